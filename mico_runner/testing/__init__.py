"""What every entry of a registry must hold, the package's own and those of others: each check is a function that a test calls.

    from mico_runner.testing import check_operator

    def test_hardswish(tmp_path):
        check_operator("hardswish", tmp_path)

A check raises AssertionError with what was found.
"""

from mico_runner.testing.operators import check_operator

__all__ = ["check_operator"]
