"""The model zoo: one file per family; an entry is a function `(input_shape, classes, **params) -> torch.nn.Module`."""

from mico_runner.registry import Registry

MODELS = Registry("model", __name__)
register = MODELS.register
WEIGHT_ENDINGS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".npz")  # of files that `weights.load` reads
