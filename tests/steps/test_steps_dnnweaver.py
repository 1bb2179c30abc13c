"""`codegen: {target: dnnweaver}`: files in place of a C program, read again and compared."""

import json

import pytest

from mico_runner import cli
from mico_runner.codegen import dnnweaver
from mico_runner.codegen.dnnweaver import fixed

SPEC = """
spec_version: 1
name: out
datasets: {{task: digits, validation: 300}}
model: {{name: {model}, train: {{epochs: 1, lr: 0.01}}}}
codegen: {{target: dnnweaver, bits: [4, 8]}}
steps: [train, codegen]
gates:
  codegen.dnnweaver_mismatches: {{max: 0}}
"""


@pytest.mark.parametrize(
    ("model", "is_chain"),
    [("small-cnn, params: {channels: 4}", True), ("resnet8, params: {channels: 4}", False)],
)
def test_a_spec_that_ends_in_files(model, is_chain, tmp_path):
    (tmp_path / "net.yaml").write_text(SPEC.format(model=model))
    assert cli.main(["run", str(tmp_path / "net.yaml"), "--outputs", str(tmp_path / "out")]) == 0
    version = tmp_path / "out/out/v0001"
    folder = version / "steps/codegen"
    assert {node.weight_bits for node in dnnweaver.read(folder).nodes} == {4, None}
    metrics = json.loads((version / "metrics.json").read_text())
    sizes = [(folder / name).stat().st_size for name in ("dnnweaver.json", "dnnweaver.bin")]
    assert metrics["codegen.dnnweaver_bytes"]["value"] == sum(sizes)
    assert (folder / fixed.DESCRIPTION).is_file() == is_chain == ("codegen.dnnweaver_broken_rules" in metrics)
    if is_chain:
        assert metrics["codegen.dnnweaver_broken_rules"]["value"] == 0
    else:
        assert "no groups of 16 bits" in (version / "log.jsonl").read_text()


def test_nothing_can_run_the_files(tmp_path, capsys):
    text = SPEC.format(model="small-cnn").replace("steps: [train, codegen]\n", "")
    text += "hardware: host\nsimulate: {target: host}\n"
    (tmp_path / "net.yaml").write_text(text)
    assert cli.main(["validate", str(tmp_path / "net.yaml")]) == 2
    assert "found 'dnnweaver'; allowed: c, because simulate.target host runs the program" in capsys.readouterr().err
