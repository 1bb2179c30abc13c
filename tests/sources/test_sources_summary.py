"""What is read of one Python file: what each name means and uses."""

import ast
import textwrap

import pytest

from mico_runner import paths
from mico_runner.sources.summary import IMPORT, summarise

MODULES = sorted(paths.PACKAGE.rglob("*.py"))
TEXT = '''
"""Module."""
import numpy as np
from mico_runner.data import tasks
LIMIT = 3  # images
TABLE: dict[str, int] = {"a": LIMIT}

class Net(tasks.Base):
    """A network."""
    size: tasks.Size = 4

    def forward(self, x, scale=LIMIT):
        """Forward."""
        data = np.abs(x)
        return data.sum() + helper(data, [tasks for tasks in x])

def helper(x, LIMIT):
    from mico_runner.graph import costs
    return costs.macs(x, LIMIT)
'''


def names(text, module="m"):
    return summarise(textwrap.dedent(text), module)["names"]


def meanings(text):
    return {name: about["meaning"] for name, about in names(text).items()}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(paths.PACKAGE).as_posix())
def test_layout_comments_and_docstrings_mean_nothing(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and (doc := node.body[0]) and ast.get_docstring(node):
            doc.value = ast.Constant("Something else.")
    other = "# a comment\n\n" + ast.unparse(ast.fix_missing_locations(tree)).replace("\n", "  # why\n", 1)
    assert meanings(other) == meanings(text)


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ("LIMIT = 3", "LIMIT = 4", {"LIMIT"}),
        ("np.abs", "np.square", {"Net"}),
        ("size: tasks.Size = 4", "size: tasks.Size = 5", {"Net"}),
        ("scale=LIMIT", "scale=2", {"Net"}),
        ("(tasks.Base)", "(tasks.Other)", {"Net"}),
        ("macs(x, LIMIT)", "macs(LIMIT, x)", {"helper"}),
        ("# images", "# other words", set()),
        ('"""Forward."""', '"""Backward."""', set()),
        ('"""A network."""\n', "\n", set()),
        ("    def forward", "\n\n    def forward", set()),
    ],
)
def test_only_what_changed_has_another_meaning(before, after, changed):
    assert TEXT.count(before) == 1
    old, new = meanings(TEXT), meanings(TEXT.replace(before, after))
    assert old.keys() == new.keys() and {name for name in old if old[name] != new[name]} == changed


def test_what_a_name_uses():
    found = names(TEXT)
    assert found["TABLE"]["uses"] == [":LIMIT"], "an annotation uses nothing"
    # `data` and `tasks` in the comprehension are its own; np is foreign, and helper of the same file
    assert found["Net"]["uses"] == [":LIMIT", ":helper", "mico_runner.data.tasks.Base", "numpy.abs"]
    assert found["helper"]["uses"] == ["mico_runner.graph.costs.macs"], "LIMIT is its parameter"
    assert found["helper"]["imports"] == ["mico_runner.graph.costs"]
    assert IMPORT not in found


def test_a_comprehensions_variable_hides_nothing_outside_of_it():
    found = names("from mico_runner import data\ndef f(x):\n    return [data for data in x] + data.load(x)\n")
    assert found["f"]["uses"] == ["mico_runner.data.load"]


@pytest.mark.parametrize(
    "statement",
    [
        "TABLE['b'] = 2",
        "for name in 'ab':\n    TABLE[name] = f",
        "try:\n    import torch\nexcept ImportError:\n    torch = None",
        "@lowers('conv')\ndef g(): pass",
        "if LIMIT:\n    f()",
        "f()",
    ],
)
def test_what_runs_at_import_always_counts(statement):
    base = "TABLE = {}\nLIMIT = 1\ndef f(): pass\ndef lowers(name): return f\n"
    assert IMPORT in names(base + statement) and IMPORT not in names(base)


@pytest.mark.parametrize(
    "statement",
    [
        "import torch",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch",
        "'text'",
        "@cache\ndef g(): pass",
    ],
)
def test_what_changes_nothing_at_import_does_not(statement):
    assert IMPORT not in names(statement)


def test_registries_entries_homes_and_paths_are_read():
    found = summarise(
        textwrap.dedent("""
            from pathlib import Path
            from mico_runner.registry import Registry
            from mico_runner.models import register
            KINDS = Registry("kind", __name__)
            OTHERS = Registry("other", f"{__name__}.others")
            THIRD = Registry("third", "mico_runner.elsewhere")
            _HOME = {"run": "running"}
            FILES = Path(__file__).resolve().parent / "kernels" / "a.c"

            @register("tiny", params={})
            def make(): ...
        """),
        "mico_runner.x",
    )
    packages = {"KINDS": "mico_runner.x", "OTHERS": "mico_runner.x.others", "THIRD": "mico_runner.elsewhere"}
    assert found["registries"] == packages
    assert found["entries"] == {"tiny": "make"} and found["homes"] == {"run": "running"}
    assert found["data"] == {"FILES": "./../kernels/a.c"}


def test_how_an_entry_is_registered_and_what_a_step_says_of_its_inputs_mean_nothing():
    text = "from mico_runner.steps import register\n@register('a', order=1)\nclass A(Step):\n    def inputs(self): return 1\n    x = 1\n"
    assert meanings(text) == meanings(text.replace("order=1", "order=2").replace("return 1", "return 2"))
    assert meanings(text) != meanings(text.replace("x = 1", "x = 2"))


def test_whether_the_number_of_jobs_is_read():
    found = names("def f(ctx): return ctx.torch_threads\ndef g(torch_threads): return torch_threads\n")
    assert found["f"]["torch_threads"] and not found["g"]["torch_threads"]


def test_a_package_may_say_its_homes_in_short():
    assert summarise('_HOME = dict.fromkeys(("make", "sample"), "profile")', "m")["homes"] == {
        "make": "profile",
        "sample": "profile",
    }
