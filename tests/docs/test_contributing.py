"""What CONTRIBUTING.md promises: its model, search algorithm, predictor and device work from a folder outside the package."""

import json
import re
import shutil
from pathlib import Path

import pytest

from mico_runner import cli, plugins

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "CONTRIBUTING.md"
BLOCK = re.compile(r"^```(?:python|yaml)\n(.*?)^```", re.DOTALL | re.MULTILINE)
NAME = re.compile(r"`(own[\w/]*\.(?:py|yaml))`")


@pytest.fixture
def page(tmp_path):
    """The files that the page shows, where it says."""
    text = PAGE.read_text(encoding="utf-8")
    blocks = [(NAME.findall(text[: block.start()].rpartition("\n\n")[2]), block[1]) for block in BLOCK.finditer(text)]
    found = {names[0]: content for names, content in blocks}
    assert set(found) == {"own/tiny.py", "own/climb.py", "own/power.py", "own/chip.yaml", "own.yaml"}
    for name, content in found.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
    for kind in ("conv2d", "linear", "avg_pool2d"):
        shutil.copy(ROOT / f"datasets/vexriscv-lite/{kind}.csv", tmp_path / "own")
    yield tmp_path
    plugins.use(())


def run(folder, *more):
    return cli.main(["run", str(folder / "own.yaml"), "--outputs", str(folder / "out"), "--quiet", *more])


def test_all_that_it_shows_works_together(page, capsys):
    assert run(page) == 0
    version = page / "out/own/latest"
    metrics = json.loads((version / "metrics.json").read_text(encoding="utf-8"))
    found = {name: figure["value"] for name, figure in metrics.get("metrics", metrics).items()}
    assert found["train.test_accuracy"] > 50 and found["proxy.conv2d.mape"] < 1 and found["search.latency"] > 0
    assert found["search.flash_bytes"] < 65536
    resolved = (version / "spec.resolved.yaml").read_text(encoding="utf-8")
    for name in ("tiny", "climb", "power", "chip", str(page / "own")):
        assert name in resolved
    capsys.readouterr()
    # A change of a file of the folder is a change of what used it, and of nothing else.
    climb = page / "own/climb.py"
    climb.write_text(climb.read_text(encoding="utf-8").replace("argmin", "argmax"), encoding="utf-8")
    assert cli.main(["plan", str(page / "own.yaml"), "--outputs", str(page / "out")]) == 0
    planned = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert "own/climb.py changed" in planned["search"] or "climb.py changed" in planned["search"]
    assert all("cached" in planned[step] for step in ("train", "fit", "evaluate"))


@pytest.mark.parametrize("setting, code", [("model.params.width=3", 0), ("search.params.children=0", 2)])
def test_parameters_are_checked_as_those_of_the_package_are(setting, code, page):
    assert cli.main(["validate", str(page / "own.yaml"), "--set", setting]) == code
