"""Networks in Python files of a user's own."""

import sys

import pytest
import torch

from mico_runner import user_code
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
    assert user_code.entries(net) == ["nn", "block", "Net", "wrong", "fails"]


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
        (
            "import nothing_of_this_name",
            "net.py:1: running this file failed: ModuleNotFoundError.* neither installed nor in",
        ),
        ("import sys\nsys.exit(3)", "net.py:2: running this file failed: SystemExit: 3"),
        ("def Net():\n    raise SystemExit('bye')", r"net.py:2: Net\(\) failed: SystemExit: bye"),
        ("x = 1\nx.y()", "net.py:2: running this file failed: AttributeError"),
        ("def f(:", "net.py:1: this is no Python"),
    ],
)
def test_a_file_that_does_not_run_is_located(net, text, says):
    net.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=says):
        user_file.build(net, "Net", {})


MAKERS = """
import torch
from torch import nn

try:
    from nothing_of_this_name import Fast
except ImportError:
    class Fast(nn.Linear):
        pass

Pair: type = Fast
One, Other = Fast, Fast
model = Fast(2, 2)

def parallel(): return nn.DataParallel(Fast(2, 2))
def compiled(): return torch.compile(Fast(2, 2))
def half(): return Fast(2, 2).half()
def scripted(): return torch.jit.trace(Fast(2, 2), torch.zeros(1, 2))
def meta(): return Fast(2, 2, device="meta")
def lazy(): return nn.LazyLinear(2)
def double():
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    torch.set_num_threads(torch.get_num_threads() + 1)
    return Fast(2, 2)
"""


@pytest.fixture
def makers(tmp_path):
    file = tmp_path / "makers.py"
    file.write_text(MAKERS, encoding="utf-8")
    return file


def test_entries_are_found_in_branches_and_assignments(makers):
    found = user_code.entries(makers)
    assert {"Fast", "Pair", "One", "Other", "model", "lazy"} <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize("entry", ["parallel", "compiled", "half"])
def test_the_module_inside_a_wrapper_is_taken_in_float32(makers, entry):
    made = user_file.build(makers, entry, {})
    assert type(made).__name__ == "Fast"
    assert made.weight.dtype == torch.float32


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("scripted", "scripted() returned a module of torch.jit; allowed: the torch.nn.Module that it was made from"),
        ("meta", "meta() returned a module whose 'weight' has no values"),
        ("lazy", "lazy() returned a module whose 'weight' has no values"),
        ("model", "'model' is a module; allowed: a class or a function"),
    ],
)
def test_modules_that_cannot_be_captured_are_refused(makers, entry, says):
    with pytest.raises(UsageError) as error:
        user_file.build(makers, entry, {})
    assert says in str(error.value)


def test_settings_of_the_process_are_as_before(makers):
    threads = torch.get_num_threads()
    user_file.build(makers, "double", {})
    assert (torch.get_default_dtype(), torch.get_num_threads()) == (torch.float32, threads)
    assert torch.is_grad_enabled()


def test_a_dot_in_a_file_s_name_is_refused(makers):
    with pytest.raises(UsageError, match=r"Python cannot import 'net.v2', for its name has a dot in it; rename it"):
        user_file.build(makers.rename(makers.with_name("net.v2.py")), "half", {})


@pytest.mark.parametrize("start", [b"\xef\xbb\xbf", b"# coding: latin-1\n# \xe4\n"], ids=["mark", "latin-1"])
def test_files_in_other_encodings_are_read_as_python_reads_them(makers, start):
    makers.write_bytes(start + MAKERS.encode())
    assert "Fast" in user_code.entries(makers)
    assert user_file.build(makers, "half", {}).weight.shape == (2, 2)
