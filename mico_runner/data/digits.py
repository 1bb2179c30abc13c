"""The 8 x 8 handwritten digits that scikit-learn embeds (UCI ML Repository, Alpaydin and Kaynak 1998)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mico_runner.data import register
from mico_runner.data.dataset import Split

_TRAIN = 1297  # of 1797, in the file's order: writers follow one another, so few are in both parts


@register("sklearn-digits")
def load(files: list[Path]) -> tuple[Split, Split]:
    """1,797 images of 1 x 8 x 8, 16 grey levels brought to 0..255; the last 500 are the test part."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images = (data.images * 255 / 16).round().astype(np.uint8)[:, None]
    labels = data.target.astype(np.int64)
    return Split(images[:_TRAIN], labels[:_TRAIN]), Split(images[_TRAIN:], labels[_TRAIN:])
