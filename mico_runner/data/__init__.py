"""Data sets: the catalog, loaders of real file formats (one file per family), samples for tasks and kernel-latency profiles.

A loader is a function `(files, **params) -> (train Split, test Split or None)`. It is named by its catalog entry's `loader`, or, where it
reads data of the user's own (`own="a file"` or `"a folder"`), by the key of `datasets.task` that leads to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mico_runner.registry import Registry

if TYPE_CHECKING:
    import pandas as pd

    from mico_runner.data.dataset import DataSet

LOADERS = Registry("data loader", __name__)
register = LOADERS.register


def load_data(name: str, validation: int | None = None, seed: int = 0, scale: float = 1.0) -> DataSet:
    """A data set of the catalog; see `mico_runner.data.loading.load`."""
    from mico_runner.data import loading, source

    return loading.load(source.source_of(name), validation, seed, scale)


def load_profile(names: str | list[str]) -> pd.DataFrame:
    """See `mico_runner.data.profiles.load_profile`."""
    from mico_runner.data import profiles

    return profiles.load_profile(names)
