"""Networks in Python files of a user's own."""

import sys

import pytest
import torch

from mico_runner.errors import UsageError
from mico_runner.models import user_file

NET = """
from torch import nn
from parts import block

class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.body = block(width)

    def forward(self, x):
        return self.body(x)

def wrong():
    return 3

def fails():
    return 1 / 0
"""
PARTS = """
from torch import nn

def block(width):
    return nn.Linear(8, width)
"""


@pytest.fixture
def net(tmp_path):
    (tmp_path / "parts.py").write_text(PARTS, encoding="utf-8")
    file = tmp_path / "net.py"
    file.write_text(NET, encoding="utf-8")
    return file


def test_an_entry_is_called_with_its_parameters(net):
    assert user_file.build(net, "Net", {"width": 6})(torch.zeros(1, 8)).shape == (1, 6)


def test_entries_are_read_not_run(net):
    net.write_text(NET + "\nraise SystemExit\n", encoding="utf-8")
    assert user_file.entries(net) == ["nn", "block", "Net", "wrong", "fails"]


def test_each_build_reads_the_files_again(net):
    user_file.build(net, "Net", {})
    (net.parent / "parts.py").write_text(PARTS.replace("8, width", "8, 9"), encoding="utf-8")
    assert user_file.build(net, "Net", {})(torch.zeros(1, 8)).shape == (1, 9)


def test_the_path_and_other_modules_of_the_name_are_as_before(net):
    before, json = list(sys.path), sys.modules["json"]
    file = net.rename(net.with_name("json.py"))
    user_file.build(file, "Net", {})
    assert sys.path == before
    assert sys.modules["json"] is json


@pytest.mark.parametrize("statement", ["from .parts import block", "from nets.parts import block"])
def test_modules_beside_it_are_found_however_they_are_imported(net, tmp_path, statement):
    folder = tmp_path / "nets"
    folder.mkdir()
    for name in ("parts.py", "net.py"):
        (tmp_path / name).rename(folder / name)
    file = folder / "net.py"
    file.write_text(NET.replace("from parts import block", statement), encoding="utf-8")
    assert user_file.build(file, "Net", {})(torch.zeros(1, 8)).shape == (1, 4)


@pytest.mark.parametrize(
    ("entry", "params", "says"),
    [
        ("Nett", {}, "net.py has no 'Nett'; did you mean 'Net'?"),
        ("Net", {"depth": 1}, "net.py: Net(depth=1) failed: TypeError: .*depth"),
        ("wrong", {}, r"net.py: wrong() returned int; allowed: a torch.nn.Module"),
        ("fails", {}, r"net.py:17: fails() failed: ZeroDivisionError: division by zero"),
    ],
)
def test_an_entry_that_makes_no_network_is_located(net, entry, params, says):
    with pytest.raises(UsageError) as error:
        user_file.build(net, entry, params)
    first, _, rest = says.partition(".*")
    assert first in str(error.value)
    assert rest in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import nothing_of_this_name", "net.py:1: running this file failed: ModuleNotFoundError"),
        ("x = 1\nx.y()", "net.py:2: running this file failed: AttributeError"),
        ("def f(:", "net.py:1: this is no Python"),
    ],
)
def test_a_file_that_does_not_run_is_located(net, text, says):
    net.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=says):
        user_file.build(net, "Net", {})
