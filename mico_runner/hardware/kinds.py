"""What the files of accelerators and targets say about devices: the decorators' keywords, which are read without importing the files.

A file of `mico_runner.accelerators` states what a profile of its kind holds, one of `mico_runner.targets` the cores that it runs.
The registry is made inside a function, so that not every step that loads a device has all accelerators among its sources
(`mico_runner.sources`): the keywords decide which profiles are valid. A step that simulates a device has its class as a source anyway.
"""

from __future__ import annotations

from functools import cache

from mico_runner.registry import Entry, Registry


def accelerators() -> dict[str, Entry]:
    """The entries of `mico_runner.accelerators` by kind, for their keywords."""
    return _reader("accelerator", "mico_runner.accelerators").entries


def simulated_kinds() -> list[str]:
    """The kinds of devices that a cost model simulates, sorted."""
    return list(accelerators())


def has_architecture(kind: str) -> bool:
    """Whether a profile of the kind describes its array under `architecture`; the others have `parameters`."""
    entry = accelerators().get(kind)
    return entry is not None and "parameters" not in entry.meta


def cores() -> list[str]:
    """The cores that some target runs programs on."""
    boards = [entry.meta.get("boards", {}) for entry in _reader("target", "mico_runner.targets").entries.values()]
    return sorted({core for known in boards for core in known})


@cache
def _reader(kind: str, package: str) -> Registry:
    return Registry(kind, package)
