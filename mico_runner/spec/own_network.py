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


def check_network(draft: Draft) -> None:
    """Add what is wrong with the section to the draft's problems, and make its paths absolute."""
    section = draft.data["model"]
    if section is None:
        return
    if (section["name"] is None) == (section["file"] is None):
        found = "neither name nor file" if section["name"] is None else "both name and file"
        draft.fail(
            ("model",), f"found {found}; allowed: name, one of {', '.join(MODELS.names())}, or file", of_key=True
        )
        return
    if section["file"] is None:
        _refuse(draft, section, ("entry", "input"), "a file")
    elif (file := _network_file(draft, section["file"])) is not None:
        if catalog_file := section["file"] in catalog.names("network"):
            file = Path(catalog.entry(section["file"]).files[0].path)
        else:
            section["file"] = str(file)
        if ending(file) == PYTHON and not catalog_file:
            check_entry(draft, ("model",), file, section["entry"])
        else:
            _check_whole(draft, file, section)
    if section["weights"] is not None:
        _weights(draft, section)


def _network_file(draft: Draft, wanted: str) -> Path | None:
    """The file, absolute; None after a problem."""
    path: Keys = ("model", "file")
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


def _check_whole(draft: Draft, file: Path, section: dict[str, Any]) -> None:
    """A file that holds the network and its weights: nothing to choose, and nothing to train."""
    what = "a Python file"
    _refuse(draft, section, ("entry", "weights"), what)
    if section["params"]:
        draft.fail(("model", "params"), f"found a mapping; allowed: nothing, as they belong to {what}", of_key=True)
    written = draft.source.data["model"].get("train")
    if written is not None:
        text = f"found a mapping; allowed: null, because a {file.suffix} file is taken with the weights that it holds"
        draft.fail(("model", "train"), text, of_key=True)
    section["train"] = None


def _refuse(draft: Draft, section: dict[str, Any], keys: tuple[str, ...], what: str) -> None:
    for key in keys:
        if section[key] is not None:
            draft.fail(("model", key), f"found {show(section[key])}; allowed: null, as it belongs to {what}")


def _weights(draft: Draft, section: dict[str, Any]) -> None:
    wanted: str = section["weights"]
    path: Keys = ("model", "weights")
    if Path(wanted).suffix not in WEIGHT_ENDINGS:
        draft.fail(path, f"found {show(wanted)}; allowed: a path to a file ({', '.join(WEIGHT_ENDINGS)})")
    elif not draft.fail_if_escapes(path, wanted) and (file := _existing(draft, path, wanted)):
        section["weights"] = str(file)
