"""How real weights become integers: one file per method, an entry is a `Rounding`. Importing this package imports no method."""

from mico_runner.registry import Registry

ROUNDINGS = Registry("rounding", __name__)
register = ROUNDINGS.register
