"""The node tests that the package onnx ships, of every operator that is among ours, in float: read, captured, run."""

from collections import Counter

import pytest
from onnx_axes import NotRun
from onnx_nodes import cases, check

from mico_runner.errors import UsageError

# Tests that pass with one float operand computed, or all of them. The count can only grow.
LEAST_PASSED = 552
# Tests that say nothing of networks, and tests of uses that are refused. These counts can only fall.
MOST = {
    "an equation that names each dimension": 8,
    "an expansion that puts dimensions in front of the batch": 1,
    "an output whose rows are no samples": 7,
    "arithmetic on integers, booleans or text, or on nothing": 178,
    "empty tensors": 43,
    "floats of 8 bits": 2,
    "integers of several scales, which nothing reads": 8,
    "no float tensor that could be computed": 68,
    "operands that each have a batch, of one constant": 83,
    "products of vectors, which have no batch": 3,
    "sequences and optional values": 2,
    "tensors without room for a batch": 10,
    "refused": 212,
}
FIRST, LEAST_OF_FIRST = 25, 20  # operators of which one test is tried by day, and how many of these pass


def outcome(case, folder):
    """ "passed" in one of the two ways to bind its inputs; else why it was not run, or "refused"."""
    found = []
    for packed in (False, True):
        try:
            check(case, folder, packed)
        except NotRun as reason:
            found.append(str(reason))
        except UsageError:
            found.append("refused")
        else:
            found.append("passed")
    order = ("passed", "refused")
    return min(
        found, key=lambda one: (order.index(one) if one in order else len(order), one == "one computed input alone")
    )


@pytest.mark.slow
def test_one_node_test_of_each_operator_passes(tmp_path):
    first = {}
    for case in cases():
        if len(case.kinds) == 1:
            first.setdefault(min(case.kinds), case)
    found = {}
    for kind in sorted(first)[::3][:FIRST]:
        found[kind] = outcome(first[kind], tmp_path)
    assert list(found.values()).count("passed") >= LEAST_OF_FIRST, found


@pytest.mark.nightly
def test_every_node_test_passes_or_has_a_reason(tmp_path):
    found = Counter(outcome(case, tmp_path) for case in cases())
    assert found.pop("passed") >= LEAST_PASSED, found
    assert not {why: count for why, count in found.items() if count > MOST.get(why, 0)}, found
