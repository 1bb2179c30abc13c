"""A Python file that a spec names, with the entry of it that is called. It is read here, not run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mico_runner import user_code
from mico_runner.errors import UsageError, did_you_mean
from mico_runner.yaml_schema import show

if TYPE_CHECKING:
    from mico_runner.spec.complete import Draft
    from mico_runner.yaml_source import Keys


def check_entry(draft: Draft, section: Keys, file: Path, entry: str | None) -> None:
    """The entry is one of the file's names; both are keys of the section."""
    try:
        known = user_code.entries(file)
    except UsageError as error:
        draft.fail((*section, "file"), str(error))
        return
    names = ", ".join(name for name in known if name != user_code.EVERY_NAME) or "none, the file defines nothing"
    path = (*section, "entry")
    if entry is None:
        draft.fail(path, f"missing, needed by a Python file; allowed: a class or function of it: {names}")
    elif entry not in known and user_code.EVERY_NAME not in known:
        near = did_you_mean(entry, known).rstrip(";")
        draft.fail(path, f"found {show(entry)}, which {file} does not define; allowed: {names}{near}")
