"""Every error a user can cause or meet, with the exit code `mico-run` ends with."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MicoError(Exception):
    """Base class: the message is for the user, no traceback is shown."""

    exit_code = 4


class UsageError(MicoError):
    """The command line, the spec, a hardware file or a data file is wrong."""

    exit_code = 2


class GateError(MicoError):
    """A metric is outside the gate that the spec sets for it."""

    exit_code = 3


class StepError(MicoError):
    """A step could not do its job."""

    exit_code = 4


class StepSkipped(MicoError):
    """A tool that the step needs is missing; the message names the command that installs it.

    The pipeline records the step as `skipped`, never as `ok`.
    """


class UnknownName(UsageError):
    """A name is not among the known ones.

    >>> str(UnknownName("model", "lenat", ["lenet", "mlp"]))
    "unknown model 'lenat'; did you mean 'lenet'? known: lenet, mlp"
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        super().__init__(f"unknown {kind} {name!r}{did_you_mean(name, self.known)} known: {', '.join(self.known)}")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` when a known name is close, else `;`."""
    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ";"
