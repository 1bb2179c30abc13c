"""docs/results/zoo.md: each network that `make zoo` runs is there, or is said to be left out, and nothing computes other integers."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
import yaml

from mico_runner import spec
from mico_runner.models import MODELS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/results/zoo.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def zoo():
    about = importlib.util.spec_from_file_location("zoo", ROOT / "docs/zoo.py")
    module = importlib.util.module_from_spec(about)
    about.loader.exec_module(module)
    return module


def test_every_network_has_a_row_or_is_left_out(zoo):
    left = re.findall(r"`([\w-]+)`", PAGE.partition("Left out: ")[2].partition(".")[0])
    assert set(re.findall(r"^\| `([\w-]+)`", PAGE, re.MULTILINE)) | set(left) == set(zoo.NETWORKS)


def test_no_row_has_a_mismatch():
    rows = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
    wide = [row for row in rows if len(row) == 13]
    assert wide and {row[i] for row in wide for i in (3, 6, 8)} <= {"0", "failed"}
    assert {row[5] for row in rows if len(row) == 7} <= {"0", "failed", "not run"}
    assert {row[0].strip("|` ") for row in rows if len(row) == 7} <= {row[0].strip("|` ") for row in wide}


def test_the_page_is_what_its_command_writes_of_results(zoo, tmp_path, monkeypatch):
    """And what fails is said by network, form and message."""
    monkeypatch.setattr(zoo, "CELLS", tmp_path)
    cell = {
        "mismatches": 0,
        "flash": 2048,
        "arena": 512,
        "instructions": 1,
        "bytes": 9,
        "cycles": 5,
        "steps": 1.0,
        "seconds": 3,
    }
    forms = {form: {**cell, "largest": 77} for form in ("quantised", "host", "dnnweaver", "onnx")}
    forms |= {"qemu": {"failed": "no room", "seconds": 1}, "search": {"failed": "no data", "seconds": 1}}
    (tmp_path / "mico-mlp.json").write_text(json.dumps(forms))
    text = zoo.page()
    assert "| `mico-mlp` | 25.2 k | 25.2 k | 0 | 2.0 | 0.5 | failed | failed | 0 | 0.0 | 0.0 k | 1 of 77 | 14 |" in text
    assert "- mico-mlp, qemu: no room" in text and "Left out: `llama`, `mico-cnn`, " in text


def test_the_searches_are_the_cells_of_a_valid_sweep(zoo):
    cells = {cell.data["model"]["name"]: cell for cell in spec.sweep(zoo.SPEC).cells}
    assert set(cells) == set(zoo.NETWORKS) - set(zoo.DECODERS)
    for name, cell in cells.items():
        assert cell.name == f"extends-{name}" and zoo.cell_of(name).is_file()
        assert cell.data["datasets"]["task"]["params"]["shape"] == MODELS.info(name).meta["size"]["input"]
        assert (
            yaml.safe_load(zoo.cell_of(name).read_text())["model"]["params"].items()
            <= cell.data["model"]["params"].items()
        )
