"""Arrays and memories in hardware YAML: figures become bits, cycles and pJ; what cannot be is named with its line."""

import re
from math import inf
from pathlib import Path

import pytest

from mico_runner import hardware, yaml_schema, yaml_source
from mico_runner.accelerators.dataflow import DATAFLOWS
from mico_runner.errors import UsageError
from mico_runner.hardware.architecture_schema import DATAFLOW_NAMES

CHIP = """\
name: chip
kind: spatial
latency_unit: cycles
weight_bits: [4, 8]
activation_bits: [8]
architecture:
  rows: {value: 4, unit: elements, source: me}
  columns: {value: 8, unit: elements, source: me}
  dataflow: free
  objective: cycles
  mac: {kind: fused, bits: {value: 8, unit: bits, source: me}, granularity: {value: 2, unit: bits, source: me}, energy: {value: 0.5, unit: pJ, source: me}}
  accumulator_bits: {value: 32, unit: bits, source: me}
  output_bits: {value: 8, unit: bits, source: me}
  memories:
    - name: dram
      per: chip
      keeps: [weights, inputs, outputs]
      bandwidth: {shared: {value: 8, unit: bytes per cycle, source: me}}
      energy: {value: 20, unit: pJ per bit, source: me}
    - name: spad
      per: element
      keeps: [weights, outputs]
      size: {value: 16, unit: bytes, source: me}
      double_buffered: true
      width: {value: 16, unit: bits, source: me}
      energy: {value: 0.8, unit: pJ per access, source: me}
      write_energy: {value: 0.1, unit: pJ per bit, source: me}
      network: {weights: {bandwidth: {value: 64, unit: bits per cycle, source: me}, overlapped: false}}
"""  # noqa: E501


def load(tmp_path, found="", said=""):
    assert found in CHIP, "the test changes what is there"
    path = tmp_path / "chip.yaml"
    path.write_text(CHIP.replace(found, said, 1) if found else CHIP, encoding="utf-8")
    return hardware.load(path)


def test_figures_become_bits_cycles_and_picojoules(tmp_path):
    array = load(tmp_path).architecture
    dram, spad = array.stores
    assert (array.rows, array.columns, array.mac_kind, array.mac_pj) == (4, 8, "fused", 0.5)
    assert (dram.size, dram.shared, dram.read, dram.read_pj, dram.write_pj) == (inf, 64, inf, 20, 20)
    assert (spad.size, spad.per_element, spad.read_pj, spad.write_pj) == (64, True, 0.05, 0.1)
    assert (spad.feeds[0][1].bandwidth, spad.feeds[0][1].overlapped) == (64, False)
    assert [spad.element_bits(bits) for bits in (1, 5, 8, 9, 16, 17)] == [1, 16 / 3, 8, 16, 16, 32]
    assert array.mac_area_um2 is None and spad.area_um2 is None, "no area is stated"


def test_area_is_known_when_that_of_every_part_is(tmp_path):
    area = "area: {value: %d, unit: um2, source: me}"
    text = CHIP.replace(
        "energy: {value: 0.5, unit: pJ, source: me}", "energy: {value: 0.5, unit: pJ, source: me}, " + area % 10
    )
    (tmp_path / "half.yaml").write_text(text, encoding="utf-8")
    assert hardware.area_of(hardware.load(tmp_path / "half.yaml")).missing == ("spad",)
    (tmp_path / "chip.yaml").write_text(text + "      " + area % 100 + "\n", encoding="utf-8")
    assert hardware.area_of(hardware.load(tmp_path / "chip.yaml")).um2 == 32 * (10 + 100)
    per_bit = "      " + (area % 2).replace("um2", "um2 per bit")
    (tmp_path / "dense.yaml").write_text(text + per_bit + "\n", encoding="utf-8")
    # of all 16 bytes, though half of them are being filled
    assert hardware.area_of(hardware.load(tmp_path / "dense.yaml")).um2 == 32 * (10 + 128 * 2)


def test_completed_data_loads_as_the_file_does(tmp_path):
    device = load(tmp_path)
    assert hardware.load(hardware.read(tmp_path / "chip.yaml")) == device


def test_the_fingerprint_follows_the_architecture(tmp_path):
    assert load(tmp_path).sha256 != load(tmp_path, "value: 4,", "value: 5,").sha256


def test_every_dataflow_is_known_to_the_mapper():
    assert set(DATAFLOW_NAMES) == set(DATAFLOWS)


BROKEN = yaml_source.read(Path(__file__).with_name("broken_architecture.yaml")).data


@pytest.mark.parametrize("case", BROKEN, ids=[case["says"][:60] for case in BROKEN])
def test_errors_name_the_place_what_was_found_and_what_is_allowed(case, tmp_path):
    with pytest.raises(UsageError, match=re.escape(case["says"])):
        load(tmp_path, *case["swap"])


def test_an_architecture_that_is_not_there_is_asked_for(tmp_path):
    path = tmp_path / "chip.yaml"
    path.write_text(CHIP[: CHIP.index("architecture")], encoding="utf-8")
    with pytest.raises(UsageError, match="architecture: missing, needed by kind spatial; allowed: a mapping of rows"):
        hardware.load(path)


def test_all_problems_at_once(tmp_path):
    text = CHIP.replace("name: spad", "name: dram").replace("value: 16, unit: bytes", "value: 1, unit: bytes")
    (tmp_path / "chip.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        hardware.load(tmp_path / "chip.yaml")
    assert len(str(caught.value).split("\n")) == 2


def test_one_memory_is_refused_with_the_number_that_is_needed(tmp_path):
    start = CHIP.index("    - name: spad")
    with pytest.raises(
        UsageError, match=r"architecture.memories: found \[.*allowed: a list of at least 2, each a mapping"
    ):
        load(tmp_path, CHIP[start:])


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ({"minlength": 1}, "a list, not empty"),
        ({"minlength": 2}, "a list of at least 2"),
        ({"minlength": 2, "maxlength": 2}, "a list of 2"),
        ({"minlength": 2, "maxlength": 5}, "a list of 2 to 5"),
        ({"maxlength": 5}, "a list of at most 5"),
        ({}, "a list"),
    ],
)
def test_the_length_of_a_list_is_said_as_it_is_checked(rules, text):
    assert yaml_schema.describe({"type": "list", **rules}) == text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (" granularity: {value: 2, unit: bits, source: me},", "", "granularity: missing, needed by kind fused"),
        ("granularity: {value: 2,", "granularity: {value: 3,", "found 3; allowed: a divisor of mac.bits, which is 8"),
        ("kind: fused", "kind: bit_serial", "found with kind bit_serial; allowed: with kind fused"),
    ],
)
def test_fused_multipliers_say_what_they_split_into(tmp_path, old, new, message):
    assert load(tmp_path).architecture.mac_granularity == 2
    with pytest.raises(UsageError, match=message):
        load(tmp_path, old, new)
