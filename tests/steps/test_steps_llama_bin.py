"""`codegen: {target: llama-bin}`: files of llama2.c in place of a C program."""

import json

import numpy as np
import pytest
import torch

from mico_runner import cli
from mico_runner.formats.llama_file import read, write
from mico_runner.models.llama import Llama, LlamaSizes

SPEC = """
spec_version: 1
name: out
datasets: {task: {file: words.py, entry: load, kind: next-token}, validation: 2}
model: MODEL
evaluate: {uniform_bits: [[8, 8]]}
codegen: {target: llama-bin, bits: [8, 8]}
gates: {train.above_chance: {min: -100}}
"""
NET = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Embedding(9, 4), nn.Linear(4, 9))
"""
DATA = """
import numpy as np


def load():
    rows = np.random.default_rng(0).integers(0, 9, (12, 5))
    return {"train": (rows[:8, :-1], rows[:8, 1:]), "test": (rows[8:, :-1], rows[8:, 1:])}
"""


def run(tmp_path, model):
    torch.manual_seed(0)
    write(Llama(LlamaSizes(8, 12, 1, 2, 1, 9, 4)), tmp_path / "tiny.bin", version=1)
    (tmp_path / "words.py").write_text(DATA)
    (tmp_path / "net.yaml").write_text(SPEC.replace("MODEL", model))
    return cli.main(["run", str(tmp_path / "net.yaml"), "--outputs", str(tmp_path / "out")]), tmp_path / "out/out/v0001"


def test_both_versions_are_read_again(tmp_path):
    code, version = run(tmp_path, "{file: tiny.bin}")
    assert code == 0
    metrics = {name: found["value"] for name, found in json.loads((version / "metrics.json").read_text()).items()}
    floats, q80 = (read(version / f"steps/codegen/{name}.bin").module for name in ("model", "model-q80"))
    assert metrics["codegen.llama_v1_perplexity"] == pytest.approx(metrics["train.test_perplexity"], rel=1e-5)
    assert metrics["codegen.llama_v2_perplexity"] == pytest.approx(metrics["train.test_perplexity"], rel=1e-2)
    assert metrics["codegen.llama_v2_bytes"] < metrics["codegen.llama_v1_bytes"]
    a, b = (net.blocks[0].attention.wq.weight.detach().numpy() for net in (floats, q80))
    assert 0 < np.abs(a - b).max() <= np.abs(a).max() / 127 / 2 * 1.001


def test_another_network_is_refused(tmp_path, capsys):
    (tmp_path / "net.py").write_text(NET)
    code, _ = run(tmp_path, "{file: net.py, entry: Net, train: {epochs: 1, lr: 0.01}}")
    assert code == 4 and "codegen.target: llama-bin: the network is a " in capsys.readouterr().err
