"""The notebook's cells run one after another, as Jupyter would run them, and it is stored without outputs."""

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs/tutorial/python.ipynb"


def cells():
    found = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert found["nbformat"] == 4
    return [cell for cell in found["cells"] if cell["cell_type"] == "code"]


def test_it_holds_programs_and_no_outputs():
    for number, cell in enumerate(cells()):
        compile("".join(cell["source"]), f"cell {number}", "exec")
        assert cell["outputs"] == [] and cell["execution_count"] is None


@pytest.mark.nightly
def test_its_cells_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for number, cell in enumerate(cells()):
        exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
    assert "search.latency_ratio: 0." in capsys.readouterr().out
    assert (tmp_path / "versions.html").stat().st_size < 1_000_000
