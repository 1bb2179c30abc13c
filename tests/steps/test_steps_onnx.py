"""`codegen: {target: onnx}`: a model in place of a C program, compared with the integer network where ONNX Runtime is there."""

import json
import sys

import onnx
import pytest

from mico_runner import cli

SPEC = """
spec_version: 1
name: out
hardware: host
datasets: {task: digits, validation: 300}
model: {name: small-cnn, train: {epochs: 1, lr: 0.01}}
search:
  space: {weight_bits: [4, 8], activation_bits: [8]}
  algorithm: random
  objectives: [accuracy, flash_bytes]
  constraints: {flash_bytes: {max: 65536}}
  budget: {evaluations: 2}
codegen: {target: onnx}
"""


@pytest.mark.parametrize("has_runtime", [True, False])
def test_a_spec_that_ends_in_a_model(has_runtime, tmp_path, monkeypatch, capsys):
    if not has_runtime:
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "net.yaml").write_text(SPEC)
    assert cli.main(["run", str(tmp_path / "net.yaml"), "--outputs", str(tmp_path / "out")]) == 0
    version = tmp_path / "out/out/v0001"
    model = onnx.load(version / "steps/codegen/model.onnx")
    assert [t.name for t in (*model.graph.input, *model.graph.output)] == ["input", "output"]
    metrics = json.loads((version / "metrics.json").read_text())
    assert metrics["codegen.onnx_bytes"]["value"] == (version / "steps/codegen/model.onnx").stat().st_size
    assert ("codegen.onnx_same_class" in metrics) == has_runtime
    if has_runtime:
        assert metrics["codegen.onnx_same_class"]["value"] > 99
    else:
        assert "pip install onnxruntime" in capsys.readouterr().out + (version / "log.jsonl").read_text()
