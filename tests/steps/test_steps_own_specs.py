"""The shipped specs with networks, data and tasks of one's own keep their gates."""

import pytest

from mico_runner import cli, paths

SPECS = paths.shipped("specs")
TASKS = [
    "anomaly",
    "unet",
    "detector",
    "regression",
    "spoken-digits",
    "multi-label",
    "sequence-labelling",
    "next-token",
]


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["own-torch", "own-onnx"])
def test_a_network_of_one_s_own_keeps_its_gates(name, tmp_path, capsys):
    if name == "own-onnx":
        pytest.importorskip("onnx")
    assert cli.main(["run", str(SPECS / f"{name}.yaml"), "--outputs", str(tmp_path)]) == 0, capsys.readouterr().err


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["resnet8-mlperf", "mobilenet-v2-224", "patches-mcunet", "patches-mobilenet-v2"])
def test_a_network_of_others_keeps_its_gates(name, tmp_path, capsys):
    assert cli.main(["run", str(SPECS / f"{name}.yaml"), "--outputs", str(tmp_path)]) == 0, capsys.readouterr().err


@pytest.mark.nightly
@pytest.mark.parametrize("name", TASKS)
def test_every_other_task_keeps_its_gates(name, tmp_path, capsys):
    """Training for real, bits chosen by the task's own measure, C on the whole test part."""
    assert cli.main(["run", str(SPECS / f"{name}.yaml"), "--outputs", str(tmp_path)]) == 0, capsys.readouterr().err
