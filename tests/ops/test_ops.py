"""Every operator of the package meets the conformance suite, on the host and on emulated boards; no other package knows one by name."""

import ast
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import mico_runner
from mico_runner import ops
from mico_runner.graph import capture, run_float
from mico_runner.ops.families import FAMILIES
from mico_runner.targets import qemu
from mico_runner.testing import check_operator

# Nothing is left of these in an integer network, or they come from quantisation: they have no samples of their own.
WITHIN = (
    *(
        "batch_norm",
        "gather",
        "identity",
        "logic",
        "maximum",
        "requant",
        "scatter",
        "unpool",
        "variance",
        "volume",
        "where",
    ),
)
TRIED = [name for name in ops.OPERATORS.names() if name not in WITHIN]
BOARDS = ("rv32", "cortex-m4")  # of two architectures; every other board at night
PACKAGE = Path(mico_runner.__file__).parent
# `calibration` times operations of torch, by torch's names, on devices of floats; `testing` builds networks of samples.
NOT_ASKED = {"ops", "calibration", "testing"}


def those_that_run(boards):
    machines = {board: qemu.MACHINES[board] for board in boards}
    return tuple(board for board, m in machines.items() if shutil.which(m.gcc) and shutil.which(m.qemu))


@pytest.mark.parametrize("name", TRIED)
def test_every_operator_is_what_it_says(name, tmp_path):
    check_operator(name, tmp_path, seed=1, boards=those_that_run(BOARDS))


@pytest.mark.nightly
@pytest.mark.parametrize("name", TRIED)
def test_every_operator_on_the_other_boards(name, tmp_path):
    check_operator(name, tmp_path, seed=2, boards=those_that_run(qemu.MACHINES.keys() - set(BOARDS)))


def test_every_call_of_torch_goes_to_one_operator():
    calls = [call for entry in ops.operators() for call in entry.ATEN]
    assert len(calls) == len(set(calls))


def test_every_family_has_a_maker():
    assert {ops.maker(family).name for family in FAMILIES} <= set(ops.OPERATORS.names())
    assert sorted(family.stream for family in FAMILIES.values()) == list(range(len(FAMILIES)))


def named(path, names):
    """Lines that compare with, match or look up an operator's name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        parts = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        elif isinstance(node, ast.Dict):
            parts = [key for key in node.keys if key is not None]
        elif isinstance(node, ast.Subscript):
            parts = [node.slice]
        for part in parts:
            for leaf in ast.walk(part):
                if isinstance(leaf, ast.Constant) and leaf.value in names:
                    yield f"{path.relative_to(PACKAGE)}:{node.lineno}: {leaf.value!r}"


def test_no_other_package_knows_an_operator_by_name():
    names = set(ops.OPERATORS.names())
    files = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] not in NOT_ASKED]
    found = [line for path in files for line in named(path, names)]
    assert not found, "\n".join(found)
    assert list(named(PACKAGE / "ops/dilate.py", {"stride", "input"}))  # it does find what is there


TRANSPOSED = {
    "plain": nn.ConvTranspose2d(4, 6, 3, 2, 1, 1),
    "uneven": nn.ConvTranspose2d(4, 6, (2, 3), (2, 1)),
    "groups": nn.ConvTranspose2d(4, 8, 4, 2, 1, groups=2),
    "dilated": nn.ConvTranspose2d(4, 8, 3, 1, 2, dilation=2),
    "cut": nn.ConvTranspose2d(4, 2, 2, 2, 2),
    "one": nn.ConvTranspose2d(4, 2, 1),
}


@pytest.mark.parametrize("name", TRANSPOSED)
def test_transposed_convolutions_are_convolutions_of_dilated_inputs(name):
    graph = capture(TRANSPOSED[name], (4, 7, 6), "net")
    assert [node.op for node in graph.nodes] == ["dilate", "conv2d"][name == "one" :]
    x = torch.randn(2, 4, 7, 6)
    np.testing.assert_allclose(run_float(graph, x), TRANSPOSED[name](x).detach(), atol=1e-5)
