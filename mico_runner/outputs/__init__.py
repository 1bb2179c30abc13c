"""The versioned store of results: `outputs/<spec name>/v0001/`, compared by `diff`, shown by `report.html`.

The functions are loaded on first use: importing this package imports nothing heavy.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mico_runner.outputs.diff import Diff as Diff
    from mico_runner.outputs.diff import diff as diff
    from mico_runner.outputs.gc import gc as gc
    from mico_runner.outputs.report import write_report as write_report
    from mico_runner.outputs.store import resolve as resolve
    from mico_runner.outputs.store import save_baseline as save_baseline
    from mico_runner.outputs.store import verify as verify

_HOME = {
    "Diff": "diff",
    "diff": "diff",
    "gc": "gc",
    "resolve": "store",
    "save_baseline": "store",
    "verify": "store",
    "write_report": "report",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_HOME[name]}")
    globals().update({known: getattr(module, known) for known, home in _HOME.items() if home == _HOME[name]})
    return globals()[name]
