"""Validation of every estimate: protocols that say which rows an estimator may see, and error metrics.

A protocol is a function `(table, folds, group_by, rng) -> list of (train, test)` of row positions, registered in `protocols.py`.
"""

from mico_runner.registry import Registry

PROTOCOLS = Registry("validation protocol", __name__)
register = PROTOCOLS.register
