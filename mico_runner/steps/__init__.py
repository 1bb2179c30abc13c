"""The steps of a run: thin, each calls the packages that do the work. The contract is in `base.py`."""

from mico_runner.registry import Registry

STEPS = Registry("step", __name__)
register = STEPS.register
