"""`datasets.task` of a spec: a name of the catalog, or a mapping that leads to data of the user's own. Nothing of the data is read here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mico_runner.data import LOADERS, catalog
from mico_runner.data.source import NAME, own_loaders
from mico_runner.spec.own_code import check_entry
from mico_runner.spec.rules import Rules, choice, free, number, section, text
from mico_runner.tasks import DEFAULT, TASKS
from mico_runner.yaml_schema import check_part, show

if TYPE_CHECKING:
    from mico_runner.spec.complete import Draft
    from mico_runner.yaml_source import Keys

PATH: Keys = ("datasets", "task")
EITHER = "a file or a folder"


def check_task(draft: Draft) -> str | None:
    """Add what is wrong with the mapping to the draft's problems, make its path absolute; returns its name in the catalog, if any."""
    task = draft.data["datasets"]["task"]
    if isinstance(task, str):
        known = catalog.names("task")
        if task not in known:
            draft.unknown(PATH, task, known, f"one of {', '.join(known)}, or a mapping that leads to data of your own")
            draft.data["datasets"]["task"] = None
            return None
        return task
    if task is None:
        return None
    ways = own_loaders()
    leading = [key for key in (NAME, *ways) if key in task]
    if len(leading) != 1:
        found = " and ".join(leading) or f"{', '.join(map(str, task)) or 'an empty mapping'}"
        allowed = (
            f"exactly one of {NAME} (of the catalog), {', '.join(f'{key} ({what})' for key, what in ways.items())}"
        )
        draft.fail(PATH, f"found {found}; allowed: {allowed}", of_key=True)
        draft.data["datasets"]["task"] = None
        return None
    (way,) = leading
    checked, problems = check_part(draft.source, PATH, task, _rules(way, task.get(NAME)))
    completed: dict[str, Any] = checked
    draft.problems += problems
    if problems:
        draft.data["datasets"]["task"] = None  # nothing further is said of it
        return None
    draft.data["datasets"]["task"] = completed
    options = TASKS.info(completed["kind"]).meta.get("params", {})
    completed["options"], problems = check_part(draft.source, (*PATH, "options"), completed["options"], options)
    draft.problems += problems
    if way == NAME:
        return str(completed[NAME])
    place = _located(draft, (*PATH, way), completed[way], ways[way])
    if place is not None:
        completed[way] = str(place)
        if "entry" in completed:
            check_entry(draft, PATH, place, completed["entry"])
    for i, wanted in enumerate(completed.get("reads", ())):
        read = _located(draft, (*PATH, "reads", i), wanted, EITHER)
        completed["reads"][i] = str(read or wanted)
    return None


def _rules(way: str, name: object) -> dict[str, Rules]:
    """Of the mapping, by the key that leads to the data, and of the catalog's data set `name`."""
    kind = DEFAULT
    if way == NAME:
        kind = (catalog.entry(str(name)).task_kind if name in catalog.names("task") else None) or DEFAULT
        leading: dict[str, Rules] = {NAME: choice("of the catalog", catalog.names("task"))}
    else:
        leading = {way: text("path", minlength=1), **LOADERS.info(way).meta.get("params", {})}
    return {
        **leading,
        "kind": choice("what a network learns", TASKS.names(), default=kind),
        "options": free("of the kind"),
        "split": section("which samples are tested on", _parting(), default={}),
    }


def _parting() -> dict[str, Rules]:
    value = {"type": ["string", "number", "boolean"]}
    return {
        "test": number("share, where the data has no test part of its own", above=0, max=0.9, default=0.2),
        "hold_out": {
            "type": "dict",
            "keysrules": {"type": "string"},
            "valuesrules": {"type": "list", "schema": value, "minlength": 1},
            "default": {},
            "meta": {"help": "facts of the samples, each with the values that are tested on"},
        },
        "group_by": text("fact whose values are whole in one part", nullable=True, default=None),
    }


def _located(draft: Draft, path: Keys, wanted: str, what: str) -> Path | None:
    """The file or folder, absolute; None after a problem."""
    if draft.fail_if_escapes(path, wanted):
        return None
    place = draft.folder / wanted
    there, folder = os.path.exists(place), os.path.isdir(place)
    if not there or what not in ("a folder" if folder else "a file", EITHER):
        found = f"it is not {what}" if there else "no such file or folder"
        draft.fail(path, f"found {show(wanted)}; {found}: {place}; allowed: {what}")
        return None
    return place.resolve()
