"""Device profiles: figures with sources, names with neighbours, errors with places."""

import pytest

from mico_runner import hardware, paths
from mico_runner.errors import UnknownName, UsageError
from mico_runner.hardware import rules
from mico_runner.testing import check_device

CHIP = {"name": "chip", "kind": "cpu", "latency_unit": "ns", "weight_bits": [4, 8], "activation_bits": [8]}


@pytest.mark.parametrize("name", hardware.names())
def test_shipped_devices(name):
    device = hardware.load(name)
    assert device.name == name
    assert device == hardware.load(paths.shipped("hardware") / f"{name}.yaml")
    check_device(name)


def test_bitfusion_is_the_published_configuration():
    device = hardware.load("bitfusion")
    assert (device.clock_hz, device.batch, device.latency_unit) == (500e6, 16, "cycles")
    assert (device.value("input_rows"), device.value("output_columns")) == (16, 32)
    assert [device.value(f"{t}_sram_bytes") // 1024 for t in ("weight", "act", "output")] == [64, 32, 16]


def test_a_mapping_a_path_and_what_they_say(tmp_path):
    path = tmp_path / "chip.yaml"
    path.write_text("".join(f"{key}: {value}\n" for key, value in CHIP.items()), encoding="utf-8")
    assert hardware.load(CHIP) == hardware.load(path) == hardware.load(str(path))
    assert hardware.load(CHIP).batch == 1 and hardware.load(CHIP).clock_hz is None
    assert hardware.load(hardware.read(path)) == hardware.load(path), "completed data loads as the file does"


def test_the_fingerprint_follows_the_meaning(tmp_path):
    path = tmp_path / "chip.yaml"
    path.write_text("# a comment\n" + "".join(f"{k}: {v}\n" for k, v in reversed(CHIP.items())), encoding="utf-8")
    assert hardware.load(path).sha256 == hardware.load(CHIP).sha256
    assert hardware.load({**CHIP, "batch": 2}).sha256 != hardware.load(CHIP).sha256


def test_unknown_names_have_neighbours():
    with pytest.raises(UnknownName, match="unknown hardware 'bitfuson'; did you mean 'bitfusion'"):
        hardware.load("bitfuson")
    with pytest.raises(UnknownName, match="'input_row'; did you mean 'input_rows'"):
        hardware.load("bitfusion").value("input_row")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("kind: gpu", "chip.yaml:1:7: kind: found 'gpu'; allowed: one of bitfusion, cpu, fpga, spatial, systolic"),
        ("clock_hz: 0", "chip.yaml:1:11: clock_hz: found 0; allowed: a number above 0 or null"),
        ("clock_hz: .inf", "chip.yaml:1:11: clock_hz: found inf; allowed: a finite number"),
        ("batch: true", "chip.yaml:1:8: batch: found true; allowed: a whole number from 1 to 65536"),
        ("batsh: 1", "chip.yaml:1:1: batsh: unknown key; allowed: .*; did you mean 'batch'"),
        ("weight_bits: [16]", r"chip.yaml:1:15: weight_bits\[0\]: found 16; allowed: one of 1, 1.5, 2"),
        ("parameters: {a: 3}", "chip.yaml:1:17: parameters.a: found 3; allowed: a mapping of value, unit, source"),
        (
            "parameters: {a: {value: 3, unit: B}}",
            "chip.yaml:1:17: parameters.a.source: missing; allowed: text, not empty",
        ),
        ("parameters: {A-b: {value: 3, unit: B, source: me}}", "chip.yaml:1:14: parameters.A-b: found 'A-b'"),
        ("[", "chip.yaml:3:5: not YAML"),
    ],
)
def test_errors_have_places(line, said, tmp_path):
    rest = "".join(f"{key}: {value}\n" for key, value in CHIP.items() if not line.startswith(f"{key}:"))
    (tmp_path / "chip.yaml").write_text(f"{line}\n{rest}", encoding="utf-8")
    with pytest.raises(UsageError, match=said):
        hardware.load(tmp_path / "chip.yaml")


def test_all_problems_at_once():
    with pytest.raises(UsageError) as caught:
        hardware.load({"name": "Chip", "kind": "gpu", "batch": 0})
    missing = [key for key, rule in rules().items() if rule.get("required") and key not in ("name", "kind")]
    assert len(str(caught.value).split("\n")) == 3 + len(missing)
