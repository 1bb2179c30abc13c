"""Packages whose names are imported on first use: the names that type checkers see are those that there are."""

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

import mico_runner

LAZY = [
    module.name
    for module in pkgutil.walk_packages(mico_runner.__path__, "mico_runner.")
    if module.ispkg and hasattr(importlib.import_module(module.name), "_HOME")
]


def seen_by_checkers(package):
    """Name -> module, of the imports under `if TYPE_CHECKING:`."""
    tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
    blocks = [n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    imports = [n for block in blocks for n in block.body if isinstance(n, ast.ImportFrom)]
    return {alias.asname: f"{n.module}.{alias.name}" for n in imports for alias in n.names}


@pytest.mark.parametrize("name", LAZY)
def test_type_checkers_see_the_names_that_there_are(name):
    package = importlib.import_module(name)
    homes = {each: f"{name}.{home}.{each}" for each, home in package._HOME.items()}
    modules = {each: f"{name}.{each}" for each in getattr(package, "_MODULES", ())}
    assert seen_by_checkers(package) == homes | modules
    assert all(getattr(package, each) is not None for each in homes)


def test_there_are_some():
    assert len(LAZY) >= 5
