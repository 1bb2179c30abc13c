"""`model:` of a spec: a network of the zoo or of a file of the user's own. Files are read here, none of their code is run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mico_runner.data import catalog
from mico_runner.data.files import opened
from mico_runner.errors import UsageError
from mico_runner.formats import READERS, ending
from mico_runner.models import MODELS, WEIGHT_ENDINGS
from mico_runner.spec.own_code import check_entry
from mico_runner.yaml_schema import show

if TYPE_CHECKING:
    from mico_runner.spec.complete import Draft
    from mico_runner.yaml_source import Keys

PYTHON = "py"


TEACHER: Keys = ("model", "train", "teacher")
FUNCTIONS = ("loss", "loop")  # of `model.train`, of the user's own


def check_networks(draft: Draft) -> None:
    """Add what is wrong with the section, its teacher, loss and loop to the draft's problems, and make their paths absolute."""
    section = draft.data["model"]
    if section is None:
        return
    _check_network(draft, ("model",), section)
    if teacher := teacher_of(section):
        _check_network(draft, TEACHER, teacher)
        _check_teacher(draft, teacher)
    for name in FUNCTIONS if section["train"] else ():
        if function := section["train"].get(name):
            _check_function(draft, ("model", "train", name), function)


def _check_function(draft: Draft, at: Keys, function: dict[str, Any]) -> None:
    file = draft.existing((*at, "file"), function["file"])
    if file is not None and file.suffix != f".{PYTHON}":
        draft.fail((*at, "file"), f"found {show(function['file'])}; allowed: a path to a .{PYTHON} file")
    elif file is not None:
        function["file"] = str(file.resolve())
        check_entry(draft, at, file.resolve(), function["entry"])


def teacher_of(section: dict[str, Any]) -> dict[str, Any] | None:
    """The teacher of a `model` section, if it has one."""
    found: dict[str, Any] | None = section["train"].get("teacher") if section["train"] else None
    return found


def _check_teacher(draft: Draft, teacher: dict[str, Any]) -> None:
    """It knows something: from a file, or because it is trained; and nothing of samples that are to be new to the network."""
    whole = teacher["file"] is not None and not teacher["file"].endswith(f".{PYTHON}")
    if not (whole or teacher["weights"] or teacher["train"]):
        draft.fail(TEACHER, "found neither weights nor train; allowed: one of them, or both", of_key=True)
    if draft.data["crossvalidate"] is not None and teacher["train"] is None:
        text = "missing, since weights may have been learnt from the samples that crossvalidate leaves out; allowed: a recipe"
        draft.fail((*TEACHER, "train"), text)


def _check_network(draft: Draft, at: Keys, section: dict[str, Any]) -> None:
    if (section["name"] is None) == (section["file"] is None):
        found = "neither name nor file" if section["name"] is None else "both name and file"
        draft.fail(at, f"found {found}; allowed: name, one of {', '.join(MODELS.names())}, or file", of_key=True)
        return
    if section["file"] is None:
        _refuse(draft, at, section, ("entry", "input"), "a file")
    elif (file := _network_file(draft, at, section["file"])) is not None:
        if catalog_file := section["file"] in catalog.names("network"):
            file = Path(catalog.entry(section["file"]).files[0].path)
        else:
            section["file"] = str(file)
        if ending(file) == PYTHON and not catalog_file:
            check_entry(draft, at, file, section["entry"])
        else:
            _check_whole(draft, at, file, section)
    if section["weights"] is not None:
        _weights(draft, at, section)


def _network_file(draft: Draft, at: Keys, wanted: str) -> Path | None:
    """The file, absolute; None after a problem."""
    path: Keys = (*at, "file")
    known = catalog.names("network")
    if wanted in known:
        try:
            catalog.check_present(wanted)
        except UsageError as error:
            draft.fail(path, str(error))
        return Path(wanted)
    file = draft.folder / wanted
    endings = (PYTHON, *READERS.names())
    if file.suffix.lower() in WEIGHT_ENDINGS and ending(file) not in endings:
        how = f"a Python file whose class or function makes the network, and weights: {wanted}"
        draft.fail(path, f"found {show(wanted)}, which holds weights and no network; allowed: {how}")
    elif ending(file) not in endings:
        allowed = f"a path to a file ({', '.join(f'.{each}' for each in endings)}), or one of {', '.join(known)}"
        draft.unknown(path, wanted, known, allowed)
    elif not draft.fail_if_escapes(path, wanted):
        return _existing(draft, path, wanted)
    return None


def _existing(draft: Draft, path: Keys, wanted: str) -> Path | None:
    file = draft.folder / wanted
    if not os.path.exists(file):
        draft.fail(path, f"found {show(wanted)}; no such file: {file}")
        return None
    try:
        with opened(file):
            return file.resolve()
    except UsageError as error:
        draft.fail(path, str(error))
        return None


def _check_whole(draft: Draft, at: Keys, file: Path, section: dict[str, Any]) -> None:
    """A file that holds the network and its weights: nothing to choose, and nothing to train."""
    what = "a Python file"
    _refuse(draft, at, section, ("entry", "weights"), what)
    if section["params"]:
        draft.fail((*at, "params"), f"found a mapping; allowed: nothing, as they belong to {what}", of_key=True)
    written = draft.source.data
    for key in at:
        written = written[key]
    if written.get("train") is not None:
        text = f"found a mapping; allowed: null, because a {file.suffix} file is taken with the weights that it holds"
        draft.fail((*at, "train"), text, of_key=True)
    section["train"] = None


def _refuse(draft: Draft, at: Keys, section: dict[str, Any], keys: tuple[str, ...], what: str) -> None:
    for key in keys:
        if section[key] is not None:
            draft.fail((*at, key), f"found {show(section[key])}; allowed: null, as it belongs to {what}")


def _weights(draft: Draft, at: Keys, section: dict[str, Any]) -> None:
    wanted: str = section["weights"]
    path: Keys = (*at, "weights")
    if Path(wanted).suffix not in WEIGHT_ENDINGS:
        draft.fail(path, f"found {show(wanted)}; allowed: a path to a file ({', '.join(WEIGHT_ENDINGS)})")
    elif not draft.fail_if_escapes(path, wanted) and (file := _existing(draft, path, wanted)):
        section["weights"] = str(file)
