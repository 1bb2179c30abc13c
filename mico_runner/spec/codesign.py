"""What the form of the section `codesign` cannot say: its files, and what goes together."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mico_runner.data import catalog
from mico_runner.yaml_schema import show

if TYPE_CHECKING:
    from mico_runner.spec.complete import Draft
    from mico_runner.yaml_source import Keys

TABLE = "table"  # kind of the catalog's entries


def check_codesign(draft: Draft) -> None:
    """Tables become absolute paths, so that the resolved spec runs from anywhere; what is not there is a problem."""
    section = draft.data["codesign"]
    if section is None:
        return
    path: Keys = ("codesign", "tables")
    if section["tables"] is None:
        draft.fail(path, "missing; allowed: a mapping of networks, choices, objectives, resources, shares")
        return
    for name, network in section["tables"]["networks"].items():
        at: Keys = (*path, "networks", name)
        network["layers"] = _file(draft, (*at, "layers"), network["layers"])
        network["costs"] = [_file(draft, (*at, "costs", i), file) for i, file in enumerate(network["costs"])]


def _file(draft: Draft, path: Keys, name: str) -> str:
    if not name.endswith((".csv", ".csv.gz")):
        if name not in catalog.names(TABLE):
            known = catalog.names(TABLE)
            draft.unknown(path, name, known, f"a table of the catalog ({', '.join(known)}), a path to a .csv file")
        return name
    if draft.fail_if_escapes(path, name):
        return name
    file = draft.folder / name
    if not os.path.exists(file):
        draft.fail(path, f"found {show(name)}; no such file: {file}")
        return name
    return str(file.resolve())
