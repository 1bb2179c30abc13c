"""The spec that a command was given."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mico_runner import api

if TYPE_CHECKING:
    from mico_runner.spec import Spec


def load(path: str, overrides: Sequence[str], quiet: bool = False) -> Spec:
    """The spec; what looks wrong in the files that it names is printed, and is no error. Raises as `api.load` does."""
    loaded = api.load(path, overrides)
    for warning in () if quiet else dict.fromkeys(map(str, loaded.warnings)):
        print(f"mico-run: warning: {warning}", file=sys.stderr)
    return loaded
