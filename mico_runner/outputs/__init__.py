"""The versioned store of results: `outputs/<spec name>/v0001/`, compared by `diff`, shown by `report.html`.

The functions are loaded on first use: importing this package imports nothing heavy.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mico_runner.outputs.baselines import baseline_of as baseline_of
    from mico_runner.outputs.baselines import save_baseline as save_baseline
    from mico_runner.outputs.comparison import Diff as Diff
    from mico_runner.outputs.comparison import diff as diff
    from mico_runner.outputs.gc import gc as gc
    from mico_runner.outputs.report.compare import write_comparison as write_comparison
    from mico_runner.outputs.report.page import write_report as write_report
    from mico_runner.outputs.run_summary import summary as summary
    from mico_runner.outputs.store import resolve as resolve
    from mico_runner.outputs.store import verify as verify
    from mico_runner.outputs.store import versions as versions
    from mico_runner.outputs.version_columns import side_by_side as side_by_side
    from mico_runner.outputs.version_history import history as history

_HOME = {
    "baseline_of": "baselines",
    "Diff": "comparison",
    "diff": "comparison",
    "gc": "gc",
    "history": "version_history",
    "side_by_side": "version_columns",
    "resolve": "store",
    "summary": "run_summary",
    "save_baseline": "baselines",
    "verify": "store",
    "versions": "store",
    "write_comparison": "report.compare",
    "write_report": "report.page",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_HOME[name]}")
    globals().update({known: getattr(module, known) for known, home in _HOME.items() if home == _HOME[name]})
    return globals()[name]
