"""What every entry of a registry must hold, the package's own and those of others: each check is a function that a test calls.

    from mico_runner.testing import check_operator

    def test_hardswish(tmp_path):
        check_operator("hardswish", tmp_path)

A check raises AssertionError with what was found.
"""

from mico_runner.testing.devices import check_accelerator, check_device
from mico_runner.testing.models import check_model
from mico_runner.testing.operators import check_operator
from mico_runner.testing.policies import check_policy
from mico_runner.testing.predictors import check_features, check_predictor, check_regressor
from mico_runner.testing.quantisers import check_quantiser, check_rounding
from mico_runner.testing.searchers import check_searcher
from mico_runner.testing.targets import check_target
from mico_runner.testing.tasks import check_task

__all__ = [
    "check_accelerator",
    "check_device",
    "check_features",
    "check_model",
    "check_operator",
    "check_policy",
    "check_predictor",
    "check_quantiser",
    "check_regressor",
    "check_rounding",
    "check_searcher",
    "check_target",
    "check_task",
]
