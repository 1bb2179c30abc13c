"""Networks of the zoo at 224 x 224 for small images, each enlarged sevenfold at the start: to measure networks of size."""

from torch import nn

from mico_runner.models import MODELS

SIZE = 224


def upscaled(name: str, classes: int = 10) -> nn.Module:
    """The zoo's network `name` for images of 3 x 32 x 32."""
    return nn.Sequential(nn.Upsample(scale_factor=SIZE // 32), MODELS.get(name)((3, SIZE, SIZE), classes))
