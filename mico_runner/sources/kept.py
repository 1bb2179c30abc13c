"""What was reached from where, kept in the user's cache while no file of this project changes: to follow it all again takes `plan` longer
than everything else that it does. A file for each question, so that who asks for seven answers reads seven.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from mico_runner import durable, paths
from mico_runner.sources.files import PACKAGE, Name

Answer = tuple[dict[str, str], dict[str, set[str]], list[str], bool]  # as `Reached`; of libraries the names


class Kept:
    """The answers of this project's files as they are now.

    Args:
        how: what follows names; another one's answers are not these.
        stamps: of all files of the project.
    """

    def __init__(self, how: str, stamps: Mapping[str, Sequence[int]]) -> None:
        self._how = how
        self._now = hashlib.sha256(json.dumps(stamps, sort_keys=True).encode()).hexdigest()

    def find(self, starts: Sequence[Name], chosen: Mapping[str, frozenset[str]]) -> Answer | None:
        """The answer, unless it has to be found."""
        with suppress(durable.DamagedError, ValueError, OSError, KeyError, TypeError, RecursionError):
            held = json.loads(durable.read_checked(self._place(starts, chosen)) or b"{}")
            if held["project"] == self._now:
                names = {path: set(used) for path, used in held["names"].items()}
                return held["sources"], names, held["libraries"], held["torch_threads"]
        return None

    def keep(self, starts: Sequence[Name], chosen: Mapping[str, frozenset[str]], answer: Answer) -> None:
        """Keep an answer that depends on files of this project alone; where that cannot be written it only costs time."""
        sources, names, libraries, threads = answer
        held = {"sources": sources, "libraries": libraries, "torch_threads": threads, "project": self._now}
        place = self._place(starts, chosen)
        with suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            listed = {path: sorted(used) for path, used in names.items()}
            durable.write_checked(place, json.dumps({**held, "names": listed}).encode())

    def _place(self, starts: Sequence[Name], chosen: Mapping[str, frozenset[str]]) -> Path:
        asked = [self._how, PACKAGE, list(starts), sorted((package, sorted(of)) for package, of in chosen.items())]
        name = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:32]
        return paths.cache_folder() / "reached" / f"{name}.json"
