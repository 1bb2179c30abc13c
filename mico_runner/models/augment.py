"""Random changes of a batch that leave what is to be learnt from it as it is; all drawn from the epoch's generator."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mico_runner.errors import UsageError
from mico_runner.sections import Augment, Recipe
from mico_runner.tasks.base import Shape, Task, size

MOVING = ("shift", "crop", "flip", "speed")  # change where something is in a sample
OF_IMAGES = ("shift", "crop")


def check_fits(recipe: Recipe, task: Task, shape: Shape, tokens: bool, section: str) -> None:
    """Raise UsageError: a change that the samples, of this shape each, cannot have, or that their targets would not follow.

    Args:
        tokens: they are whole numbers that stand for something.
        section: of the spec that asks for it.
    """
    asked = {f"augment.{name}": value for name, value in vars(recipe.augment).items()} | {"shift": recipe.shift}
    for key, value in asked.items():
        name, off = key.rpartition(".")[2], "false" if value is True else "0"
        if not value:
            continue
        if tokens:
            why = "the inputs are tokens"
        elif name in OF_IMAGES and len(shape) != 3:
            why = f"the inputs are no images (C, H, W) but {size(shape)}"
        elif name != "mixup" and len(shape) < 2:
            why = f"the inputs have no rows or columns, they are {size(shape)} numbers"
        elif name in MOVING and task.PLACED:
            why = "it moves what the targets say the place of"
        else:
            continue
        raise UsageError(f"{section}.{key}: found {str(value).lower()}; allowed: {off}, because {why}")


def shifted(images: Tensor, limit: int, draw: torch.Generator) -> Tensor:
    """The batch moved by one random offset of up to `limit` pixels each way, filled with zeros."""
    if not limit:
        return images
    dy, dx = torch.randint(0, 2 * limit + 1, (2,), generator=draw).tolist()
    height, width = images.shape[-2:]
    return nn.functional.pad(images, [limit] * 4)[..., dy : dy + height, dx : dx + width]


def augmented(x: Tensor, how: Augment, draw: torch.Generator) -> Tensor:
    """Each sample (N, C, H, W), or (N, C, samples), by itself: flipped, moved, played faster or slower, with bands blanked."""
    count = len(x)
    if how.flip:
        turned = torch.rand(count, generator=draw) < 0.5
        x = torch.where(turned.view(-1, *[1] * (x.ndim - 1)), x.flip(-1), x)
    if how.crop:
        height, width = x.shape[-2:]
        padded = nn.functional.pad(x, [how.crop] * 4)
        at = torch.randint(0, 2 * how.crop + 1, (count, 2), generator=draw).tolist()
        x = torch.stack(
            [each[..., dy : dy + height, dx : dx + width] for each, (dy, dx) in zip(padded, at, strict=True)]
        )
    if how.speed:
        x = _at_speeds(x, how.speed, draw)
    for axis, most in ((-2, how.mask_rows), (-1, how.mask_columns)):
        if most:
            x = _masked(x, axis, most, draw)
    return x


def _at_speeds(x: Tensor, most: float, draw: torch.Generator) -> Tensor:
    """Each sample's last dimension read at a speed of 1 / (1 + most) .. 1 + most, linearly between its values; silence behind its end.

    Pitch and formants change with the speed, as between voices (Ko et al., "Audio Augmentation for Speech Recognition", 2015).
    """
    count, length = len(x), x.shape[-1]
    speed = (1 + most) ** (2 * torch.rand(count, 1, generator=draw) - 1)
    place = torch.arange(length) * speed
    first = place.floor().long()
    share = (place - first).view(count, *[1] * (x.ndim - 2), length)

    def at(rows: Tensor) -> Tensor:
        inside = rows < length
        rows = rows.clamp(max=length - 1).view(share.shape)
        return x.gather(-1, rows.expand_as(x)) * inside.view(share.shape)

    return at(first) * (1 - share) + at(first + 1) * share


def _masked(x: Tensor, axis: int, most: int, draw: torch.Generator) -> Tensor:
    """Up to `most` neighbouring rows or columns of each sample set to the sample's mean (SpecAugment, Park et al. 2019)."""
    length, count = x.shape[axis], len(x)
    width = torch.randint(0, min(most, length) + 1, (count, 1), generator=draw)
    start = (torch.rand(count, 1, generator=draw) * (length - width + 1)).long()
    place = torch.arange(length)
    hidden = (place >= start) & (place < start + width)
    shape = [count, *[1] * (x.ndim - 1)]
    shape[axis] = length
    mean = x.mean(dim=tuple(range(1, x.ndim)), keepdim=True)
    return torch.where(hidden.view(shape), mean, x)


def mixed(x: Tensor, how: Augment, draw: torch.Generator) -> tuple[Tensor, Tensor, float]:
    """The batch, each sample x w + another's x (1 - w): the mixed batch, the others' places in it, w (mixup, Zhang et al. 2018).

    w is drawn for the batch from Beta(a, a), a = `how.mixup`.
    """
    first, second = (torch._standard_gamma(torch.tensor(float(how.mixup)), generator=draw) for _ in range(2))
    share = float(first / (first + second))
    others = torch.randperm(len(x), generator=draw)
    return share * x + (1 - share) * x[others], others, share
