"""mico-runner: mixed-precision neural networks on real hardware, from one YAML spec.

    import mico_runner as mico

    result = mico.run(mico.load("quickstart"))

`mico_runner.api` says what the functions do. They are loaded on first use: importing the package imports nothing else.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from mico_runner.version import VERSION as __version__

if TYPE_CHECKING:
    from mico_runner.api import Options as Options
    from mico_runner.api import compare as compare
    from mico_runner.api import compare_page as compare_page
    from mico_runner.api import diff as diff
    from mico_runner.api import history as history
    from mico_runner.api import load as load
    from mico_runner.api import metrics as metrics
    from mico_runner.api import plan as plan
    from mico_runner.api import run as run

_API = ("Options", "compare", "compare_page", "diff", "history", "load", "metrics", "plan", "run")

__all__ = ["__version__", *_API]


def __getattr__(name: str) -> object:
    if name not in _API:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("mico_runner.api"), name)
