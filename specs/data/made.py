"""Data sets made of others: objects pasted over textures, digits scattered over a canvas, rows of digits, digits' properties.

Each function returns {"train": (inputs, targets), "test": (inputs, targets)}, the same at every call.
"""

import numpy as np

from mico_runner.data import load_data

Parts = dict[str, tuple[np.ndarray, np.ndarray]]


def objects_on_textures(train: int = 6000, test: int = 2000) -> Parts:
    """Clothes of Fashion-MNIST, in a random place and colour over images of CIFAR-10; the target says which pixels are theirs."""
    clothes, textures = load_data("fashion-mnist"), load_data("cifar10-sample")
    parts = {}
    for name, count in (("train", train), ("test", test)):
        rng = np.random.default_rng(len(name))
        things, behind = getattr(clothes, name).inputs, getattr(textures, name).inputs
        images = behind[rng.integers(0, len(behind), count)].copy()
        masks = np.zeros((count, 32, 32), np.int64)
        for image, mask, thing in zip(images, masks, things[rng.integers(0, len(things), count), 0], strict=True):
            y, x = rng.integers(0, 5, 2)
            cut = thing[::1, ::1] > 40
            shade = (thing[None] / 255 * rng.integers(60, 256, (3, 1, 1))).astype(np.uint8)
            image[:, y : y + 28, x : x + 28] = np.where(cut, shade, image[:, y : y + 28, x : x + 28])
            mask[y : y + 28, x : x + 28] = cut
        parts[name] = (images, masks)
    return parts


def digits_on_canvas(train: int = 8000, test: int = 2000, size: int = 64, most: int = 4) -> Parts:
    """One to `most` digits of MNIST, 14 to 28 pixels high, scattered without touching; targets are boxes as `detection` takes them."""
    digits = load_data("mnist")
    parts = {}
    for name, count in (("train", train), ("test", test)):
        rng = np.random.default_rng(len(name))
        source = getattr(digits, name)
        images = np.zeros((count, 1, size, size), np.uint8)
        boxes = np.full((count, most, 5), -1, np.float32)
        for image, box in zip(images, boxes, strict=True):
            taken = np.zeros((size, size), bool)
            for slot in range(rng.integers(1, most + 1)):
                pick, step = rng.integers(len(source)), rng.integers(1, 3)
                digit = source.inputs[pick, 0][::step, ::step]
                rows, columns = np.flatnonzero(digit.any(1)), np.flatnonzero(digit.any(0))
                digit = digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
                height, width = digit.shape
                for _ in range(20):
                    y, x = rng.integers(0, size - height), rng.integers(0, size - width)
                    if not taken[y : y + height, x : x + width].any():
                        image[0, y : y + height, x : x + width] = digit
                        taken[max(y - 1, 0) : y + height + 1, max(x - 1, 0) : x + width + 1] = True
                        box[slot] = (
                            source.targets[pick],
                            (x + width / 2) / size,
                            (y + height / 2) / size,
                            width / size,
                            height / size,
                        )
                        break
        parts[name] = (images, boxes)
    return parts


def properties_of_digits() -> Parts:
    """MNIST with four labels each: even, above four, prime, with a closed loop."""
    digits = load_data("mnist")
    of = np.array([[d % 2 == 0, d > 4, d in (2, 3, 5, 7), d in (0, 6, 8, 9)] for d in range(10)], np.uint8)
    return {name: (getattr(digits, name).inputs, of[getattr(digits, name).targets]) for name in ("train", "test")}


def rows_of_digits(train: int = 12000, test: int = 2000, places: int = 5) -> Parts:
    """`places` digits of MNIST side by side at half the size, 14 x 70 pixels; a class for each place."""
    digits = load_data("mnist")
    parts = {}
    for name, count in (("train", train), ("test", test)):
        source = getattr(digits, name)
        picks = np.random.default_rng(len(name)).integers(0, len(source), (count, places))
        small = source.inputs[:, :, ::2, ::2]
        parts[name] = (np.concatenate(list(small[picks].swapaxes(0, 1)), axis=3), source.targets[picks])
    return parts


def digits_as_text(train: int = 4000, test: int = 1000, places: int = 14) -> Parts:
    """Rows of MNIST's digits as text: each image's 14 rows by how many of their pixels are dark; the target is the next row's number."""
    digits = load_data("mnist")
    parts = {}
    for name, count in (("train", train), ("test", test)):
        dark = (getattr(digits, name).inputs[:count, 0, ::2, ::2] > 127).sum(axis=2)
        parts[name] = (dark[:, :-1][:, : places - 1].astype(np.int64), dark[:, 1:][:, : places - 1].astype(np.int64))
    return parts


def diabetes() -> tuple[np.ndarray, np.ndarray]:
    """Ten measures of 442 patients and the progression of their diabetes after a year, in hundreds (Efron et al. 2004)."""
    from sklearn.datasets import load_diabetes

    found = load_diabetes()
    return found.data.astype(np.float32), (found.target / 100).astype(np.float32)
