"""Values that rules of several sections share."""

from __future__ import annotations

from mico_runner.spec.rules import Rules, number

SPEC_VERSION = 1
BACKENDS = ["processes", "dask", "local"]
RANGE = r"-?\d+\.\.-?\d+"  # of whole numbers, both ends included
WEIGHT_BITS = [1, 1.5, 2, 3, 4, 5, 6, 7, 8]  # 1.5 is ternary
ACTIVATION_BITS = [1, 2, 3, 4, 5, 6, 7, 8]
QUALITY, ACCURACY = "quality", "accuracy"  # the second is the first of classification
COSTS = ["latency", "energy", "edp", "flash_bytes", "ram_bytes", "bops"]
MAX_SEED = 2**32 - 1  # what torch and numpy both take
FILE_NAME = r"[^/\\\0][^\\\0]*"
RULE_TEXT = "a rule such as 'proxy.*.mape>+2%'"
CURVES_TEXT = r"auto|.+\.(ya?ml|json)"


def seed(help_: str) -> Rules:
    return number(help_, "integer", min=0, max=MAX_SEED, default=0)
