"""Which source a result depends on: the code that a step reaches, found by reading it, never by importing it.

    with Sources() as sources:
        reached = sources.reach([(Path("mico_runner/steps/train.py"), "Train")], {"mico_runner.models": ["lenet"]})
    reached.sources         # {"models/lenet.py": hash, "models/training.py": hash, ...}
    reached.libraries       # {"numpy": "2.4.6", "torch": "2.13.0"}

From the names that one starts with, every top-level name is followed that they use, across the files of this project and those that lie
beside a user's file; imports inside functions count, annotations do not. A file's hash is over those names of it that are reached, by
their meaning (`summary.py`): comments, docstrings, layout and the rest of the file change nothing. Statements that run at the import of a
file are reached with it. Of a registry all entries are reached, unless it is said which are chosen; of a constant that is a path, the
files. Objects need no rule of their own: what made them was reached.
"""

from mico_runner.sources.reach import Reached, Sources

__all__ = ["Reached", "Sources"]
