"""What the files of accelerators and targets state about devices: read as text, and true."""

import subprocess
import sys

import pytest

from mico_runner.codegen import emit
from mico_runner.errors import UsageError
from mico_runner.hardware import kinds
from mico_runner.hardware.formulas import evaluate
from mico_runner.targets import TARGETS, boards
from mico_runner.targets.cores import RTL


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("rows * columns >= 2", True),
        ("rows % 3 == 0", False),
        ("rows < 3 or columns < 3", True),
        ("max(rows, columns) ** 2 // 3 - 1", 4),
        ("min(rows, 1.5)", 1.5),
    ],
)
def test_formulas(formula, value):
    assert evaluate(formula, {"rows": 4.0, "columns": 2.0}) == value


@pytest.mark.parametrize(
    "formula", ["rows.real", "__import__('os')", "rows @ 2", "height > 1", "'a' * 3", "1 <", "max", "rows // 0"]
)
def test_what_is_no_arithmetic_is_refused(formula):
    with pytest.raises(UsageError, match="formula"):
        evaluate(formula, {"rows": 4.0})


def test_cores_and_boards_are_there():
    assert set(boards("rtl")) == set(RTL) and not boards("host")
    for target in TARGETS.names():
        assert set(boards(target)) <= set(kinds.cores())
        assert all((emit.BOARDS / folder).is_dir() for folder in boards(target).values())


def test_a_device_is_checked_without_importing_its_accelerator():
    code = (
        "import sys; from mico_runner import hardware; hardware.load('gemmini-16x16'); hardware.load('vexriscv-full'); "
        "print(*[name for name in sys.modules if name.startswith(('mico_runner.accelerators', 'mico_runner.targets'))]); "
        "sys.exit('numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
