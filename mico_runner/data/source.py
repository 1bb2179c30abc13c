"""Where a spec's samples come from: a name of the catalog, or `{npz: kws.npz, kind: regression, ..}`. Reads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mico_runner.data import LOADERS, catalog
from mico_runner.errors import UnknownName
from mico_runner.tasks import DEFAULT

NAME = "name"  # the key of a catalog's data set, where the spec says more than its name


@dataclass(frozen=True)
class Parting:
    """Which samples are tested on, and what train and validation may not share.

    Attributes:
        test: share of the samples, where the data has no test part of its own.
        hold_out: facts of the samples and the values that are tested on; nothing else is then.
        group_by: a fact whose values are whole in one part: validation, or a test part that is drawn.
        fold: (number, of how many): this part of the samples is tested on, each sample in one of them.
        draw: its number: as many samples as the test part has are drawn from all, and tested on.
    """

    test: float = 0.2
    hold_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    group_by: str | None = None
    fold: tuple[int, int] | None = None
    draw: int | None = None


@dataclass(frozen=True)
class Source:
    """Attributes:
    catalog_name: of the catalog; None: a file or folder of the user's own.
    path: of it.
    kind, options: of the task.
    """

    catalog_name: str | None
    path: Path | None
    loader: str
    params: Mapping[str, object]
    kind: str = DEFAULT
    options: Mapping[str, object] = field(default_factory=dict)
    parting: Parting = Parting()

    @property
    def name(self) -> str:
        """For messages."""
        return self.catalog_name or str(self.path)

    def files(self) -> list[Path]:
        """What the loader reads. Raises as `catalog.fetch` does."""
        return catalog.fetch(self.catalog_name) if self.catalog_name else [Path(str(self.path))]


def own_loaders() -> dict[str, str]:
    """Loaders of the user's own data, by the key that names it: "a file" or "a folder"."""
    return {name: entry.meta["own"] for name, entry in LOADERS.entries.items() if "own" in entry.meta}


def source_of(task: str | Mapping[str, object]) -> Source:
    """The source that `datasets.task` of a checked spec means. Raises UnknownName."""
    if isinstance(task, str):
        return _of_catalog(task, {})
    if NAME in task:
        return _of_catalog(task[NAME], task)
    (loader,) = filter(_is_loader, task)
    params = LOADERS.info(loader).meta.get("params", {})
    given = {key: task[key] for key in params if key in task}
    return Source(None, Path(task[loader]), loader, given, **_about(task))


def _is_loader(key: str) -> bool:
    """Whether it leads to data; asked of each key, since steps that went through all loaders would depend on all of them."""
    try:
        return "own" in LOADERS.info(key).meta
    except UnknownName:
        return False


def _of_catalog(name: str, task: Mapping[str, Any]) -> Source:
    entry = catalog.entry(name)
    about = _about(task)
    about["kind"] = task.get("kind") or entry.task_kind or DEFAULT
    return Source(name, None, str(entry.loader), entry.loader_params, **about)


def _about(task: Mapping[str, Any]) -> dict[str, Any]:
    parting = task.get("split") or {}
    held = {fact: tuple(map(str, values)) for fact, values in (parting.get("hold_out") or {}).items()}
    return {
        "kind": task.get("kind", DEFAULT),
        "options": task.get("options") or {},
        "parting": Parting(parting.get("test", Parting.test), held, parting.get("group_by")),
    }
