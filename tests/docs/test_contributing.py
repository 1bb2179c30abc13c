"""What CONTRIBUTING.md promises: its model, searcher, predictor, device, accelerator and target work from outside the package."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from mico_runner import accelerators, cli, hardware, plugins
from mico_runner.testing import (
    check_accelerator,
    check_device,
    check_model,
    check_predictor,
    check_searcher,
    check_target,
)

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "CONTRIBUTING.md"
BLOCK = re.compile(r"^```(?:python|yaml)\n(.*?)^```", re.DOTALL | re.MULTILINE)
FIRST = {"own/tiny.py", "own/climb.py", "own/power.py", "own/chip.yaml", "own.yaml"}
NAME = re.compile(r"`(own[\w/]*\.(?:py|yaml))`")


@pytest.fixture
def page(tmp_path):
    """The files that the page shows, where it says."""
    text = PAGE.read_text(encoding="utf-8")
    blocks = [(NAME.findall(text[: block.start()].rpartition("\n\n")[2]), block[1]) for block in BLOCK.finditer(text)]
    found = {names[0]: content for names, content in blocks}
    assert set(found) == {*FIRST, "own/vector.py", "own/lanes.yaml", "own/plain.py"}
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


ACCELERATOR = """
spec_version: 1
name: lanes
plugins: [own]
hardware: own/lanes.yaml
profile:
  target: vector
  sampler: lhs
  shapes: 6
  bits: {weight: [2, 8], activation: [8]}
  kernels: {linear: {in_channels: [8, 64], out_channels: [4, 32]}}
"""


def test_an_accelerator_is_one_file_and_its_device(page):
    path = page / "lanes.yaml"
    path.write_text(ACCELERATOR, encoding="utf-8")
    assert cli.main(["run", str(path), "--outputs", str(page / "out"), "--quiet"]) == 0
    found = pd.read_csv(page / "out/lanes/latest/steps/profile/linear.csv")
    device = hardware.load(page / "own/lanes.yaml")
    trace = accelerators.of(device).simulate(found)
    assert (found["latency_cycles"] == trace["cycles"]).all() and len(found) == 12
    assert (trace["cycles"] == trace["compute_cycles"] + trace["stall_cycles"]).all()
    assert hardware.area_of(device).missing == ("mac",)
    assert cli.main(["validate", str(path), "--set", "simulate.target=vector"]) == 2  # there is nothing to simulate


def test_its_device_file_is_checked_by_what_the_accelerator_states(page, capsys):
    path = page / "lanes.yaml"
    path.write_text(ACCELERATOR, encoding="utf-8")
    device = page / "own/lanes.yaml"
    device.write_text(device.read_text(encoding="utf-8").replace("value: 16,", "value: 18,"), encoding="utf-8")
    assert cli.main(["validate", str(path)]) == 2
    assert "parameters.lanes.value: found 18; allowed: a multiple of 4" in capsys.readouterr().err


TARGET = """
spec_version: 1
name: plain
plugins: [own/plain.py, own/tiny.py]
hardware: host
datasets: {task: digits, validation: 300}
model: {name: tiny, train: {epochs: 8, lr: 0.01}}
codegen: {target: c}
simulate: {target: plain, images: 10}
"""


def test_a_target_is_one_file(page):
    path = page / "plain.yaml"
    path.write_text(TARGET, encoding="utf-8")
    command = ["run", str(path), "--outputs", str(page / "out"), "--quiet"]
    assert cli.main(command) == 0
    version = page / "out/plain/latest"
    metrics = json.loads((version / "metrics.json").read_text(encoding="utf-8"))
    metrics = metrics.get("metrics", metrics)
    assert metrics["simulate.plain_mismatches"]["value"] == 0 and metrics["simulate.plain_latency"]["value"] > 0
    assert (pd.read_csv(version / "steps/simulate/plain.csv")["measured"] >= 0).all()
    own = page / "own/plain.py"
    own.write_text(own.read_text(encoding="utf-8").replace("outputs = ", "outputs = -"), encoding="utf-8")
    assert cli.main(command) == 4  # the step notices, as the source of the target is an input of it


def test_its_entries_meet_the_suites_of_the_package(page):
    plugins.use(plugins.files(page / "own"))
    check_model("tiny")
    check_searcher("climb", page)
    check_device(page / "own/chip.yaml")
    check_accelerator("vector", page / "own/lanes.yaml", page)
    check_target("plain", "host", page / "target")
    check_predictor("power", page, error=0.4)  # a power law is simpler than a device
