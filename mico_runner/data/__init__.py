"""Data sets: the catalog, loaders of real file formats (one file per family), tasks and kernel-latency profiles.

A loader is a function `(files, **loader_params) -> (train Split, test Split)`, named by its catalog entry's `loader`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mico_runner.registry import Registry

if TYPE_CHECKING:
    import pandas as pd

    from mico_runner.data.tasks import Pixels, Task

LOADERS = Registry("data loader", __name__)
register = LOADERS.register


def load_task(name: str, validation: int | None = None, seed: int = 0, pixels: Pixels | None = None) -> Task:
    """See `mico_runner.data.tasks.load_task`."""
    from mico_runner.data import tasks

    return tasks.load_task(name, validation, seed, pixels or tasks.Pixels())


def load_profile(names: str | list[str]) -> pd.DataFrame:
    """See `mico_runner.data.profiles.load_profile`."""
    from mico_runner.data import profiles

    return profiles.load_profile(names)
