"""Kernel-latency profiles: samplers (which shapes) x targets (where they are timed) -> kernel tables with a latency column.

    profile = make(spec.profile, hardware.load("bitfusion"), work=folder)
    profile.save(folder)                    # conv2d.csv, linear.csv

The names are loaded on first use: importing this package imports neither numpy nor pandas.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mico_runner.profiling.profile import Profile as Profile
    from mico_runner.profiling.profile import make as make
    from mico_runner.profiling.profile import sample as sample
    from mico_runner.profiling.surroundings import conditions as conditions

_HOME = dict.fromkeys(("Profile", "make", "sample"), "profile") | {"conditions": "surroundings"}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
