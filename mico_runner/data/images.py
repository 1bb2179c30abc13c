"""A folder of images, read by Pillow: png, jpg, bmp, webp, ppm, pgm or tif, 8 bits a channel.

Every file's header is read when the folder is loaded; its pixels, when a network takes them (`decoded.Decoded`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from mico_runner.data import folders, register
from mico_runner.data.dataset import Split
from mico_runner.data.decoded import Decoded
from mico_runner.data.files import opened
from mico_runner.errors import UsageError

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "PPM", "TIFF")
COLOURS = {"rgb": ("RGB", 3), "grey": ("L", 1)}  # Pillow's name, channels
MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")  # of 8 bits


@register(
    "images",
    own="a folder",
    params={
        "size": {
            "type": "list",
            "schema": {"type": "integer", "min": 1, "max": 4096},
            "minlength": 2,
            "maxlength": 2,
            "nullable": True,
            "default": None,
            "meta": {"help": "[height, width] of the inputs; null: all images must have one size"},
        },
        "crop": {
            "type": "boolean",
            "default": False,
            "meta": {"help": "cut the centre out that has the proportions of size, instead of distorting"},
        },
        "color": {"type": "string", "allowed": ["rgb", "grey"], "default": "rgb"},
        "names": {
            "type": "string",
            "nullable": True,
            "default": None,
            "meta": {"help": "pattern of the files' names, as in '{label}_{speaker}_{take}'"},
        },
    },
)
def load(
    files: list[Path],
    size: Sequence[int] | None = None,
    crop: bool = False,
    color: str = "rgb",
    names: str | None = None,
) -> tuple[Split, Split | None]:
    """uint8 images (N, 3 or 1, H, W), a class each: see `folders.listed` for where files lie and what their names say.

    Images are resized by Pillow's bilinear filter, which averages where it makes them smaller. Transparency is left out; how a camera
    was held (EXIF) is not looked at.

    Raises UsageError: a file is no image of 8 bits, damaged, or of another size than the first one; reading pixels may raise it as well.
    """
    (folder,) = files
    if crop and size is None:
        raise UsageError("datasets.task.crop: found true without a size; allowed: with size: [height, width]")
    parts = folders.listed(folder, folders.PICTURES, names)
    wanted = (size[0], size[1]) if size is not None else None
    shape = wanted or _shape(parts[0].paths[0])
    for part in parts:
        for path in part.paths:
            found = _shape(path)
            if wanted is None and found != shape:
                first = f"{shape[0]} x {shape[1]}, as {parts[0].paths[0].name}"
                raise UsageError(f"{path}: found {found[0]} x {found[1]} pixels; allowed: {first}, or give a size")
    train, *test = (_split(part, _Form(shape, crop, color)) for part in parts)
    return train, test[0] if test else None


@dataclass(frozen=True)
class _Form:
    """Attributes: size: height, width."""

    size: tuple[int, int]
    crop: bool
    color: str

    def pixels(self, paths: Sequence[Path], row: int) -> np.ndarray:
        """uint8 (channels, height, width) of one file."""
        mode, channels = COLOURS[self.color]
        height, width = self.size
        with _image(paths[row]) as image:
            if "transparency" in image.info and image.mode == "P":
                image = image.convert("RGBA")  # or Pillow warns of what it leaves out
            found = image.convert(mode)
            if self.crop:
                found = ImageOps.fit(found, (width, height), Image.Resampling.BILINEAR)
            elif found.size != (width, height):
                found = found.resize((width, height), Image.Resampling.BILINEAR)
            return np.asarray(found).reshape(height, width, channels).transpose(2, 0, 1)


def _split(part: folders.Files, form: _Form) -> Split:
    sample = (COLOURS[form.color][1], *form.size)
    inputs = Decoded(len(part.paths), sample, np.dtype(np.uint8), partial(form.pixels, part.paths))
    return Split(inputs, part.labels, about=part.about, named=True)


def _shape(path: Path) -> tuple[int, int]:
    """Height and width of an image, of which the header is read."""
    with _image(path) as image:
        if image.mode not in MODES:
            raise UsageError(f"{path}: found an image of mode {image.mode}; allowed: 8 bits a channel")
        frames = getattr(image, "n_frames", 1)
        if frames != 1 and image.format != "MPO":  # a camera's JPEG with views behind the photo, which is the first
            raise UsageError(f"{path}: found {frames} images in the file; allowed: one")
        return image.height, image.width


@contextmanager
def _image(path: Path) -> Iterator[Image.Image]:
    """The opened file; what Pillow finds wrong meanwhile is a UsageError that names it."""
    try:
        with opened(path) as handle, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged metadata beside whole pixels
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(handle, formats=FORMATS) as image:
                yield image
    except UsageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        limit = f"at most {Image.MAX_IMAGE_PIXELS:,} pixels"
        raise UsageError(f"{path}: its header says that it holds more; allowed: {limit}") from None
    except Exception as error:  # Pillow raises whatever its reading of the bytes runs into
        found = f"{type(error).__name__}: {error}".replace("\n", " ")
        raise UsageError(f"{path}: not a whole image ({found}); allowed: {', '.join(FORMATS)}") from None
