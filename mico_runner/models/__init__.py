"""The model zoo: one file per family; an entry is a function `(input_shape, classes, **params) -> torch.nn.Module`.

Its networks take images; those whose entry says `reads="tokens"` take whole numbers (N, T) and give scores (N, T, classes).
"""

from mico_runner.registry import Registry

MODELS = Registry("model", __name__)
register = MODELS.register
TOKENS = "tokens"
WEIGHT_ENDINGS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".npz")  # of files that `weights.load` reads
