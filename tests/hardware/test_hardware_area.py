"""Area: what each part states, nothing else; it adds up, and grows with units and memories."""

import copy
import os
import re
from math import fsum
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mico_runner import hardware
from mico_runner.errors import UsageError
from mico_runner.hardware import kinds
from mico_runner.hardware.parameters import SRAMS

MIRROR = os.environ.get("MICO_DATA_MIRROR")
FILES = {path.stem: path for path in (Path(__file__).parents[2] / "hardware").glob("*.yaml")}
KNOWN = [name for name in FILES if hardware.area_of(hardware.load(name)).um2 is not None]
FIGURE = {"unit": "um2 per bit", "source": "test"}


def test_of_the_shipped_devices_these_have_sourced_figures():
    assert {"bitfusion", "eyeriss", "gemmini-16x16"} <= set(KNOWN)
    assert hardware.area_of(hardware.load("bitfusion")).um2 == 5.87e6
    assert hardware.area_of(hardware.load("gemmini-16x16")).um2 == pytest.approx(116e3 + 544e3 + 146e3, rel=1e-4)
    assert hardware.area_of(hardware.load("tpu-like")).missing == ("mac", "sram", "weight_rf", "sum_rf")
    assert hardware.area_of(hardware.load("scalesim-32x32")).missing == ("mac", *SRAMS)
    assert hardware.area_of(hardware.load("host")).parts == ()


@pytest.mark.parametrize("name", FILES)
def test_the_parts_add_up_exactly(name):
    area = hardware.area_of(hardware.load(name))
    if area.um2 is None:
        assert area.missing or not area.parts
    else:
        assert area.um2 == fsum(part.count * part.um2_each for part in area.parts)


@pytest.mark.skipif(not MIRROR, reason="MICO_DATA_MIRROR is not set")
def test_eyeriss_parts_are_those_of_the_reference_design():
    text = (Path(MIRROR) / "accelerators/timeloop/eyeriss_like/stats.txt").read_text(encoding="utf-8")
    printed = dict(re.findall(r"=== (\w+) ===\n\n    SPECS.*?Area(?: \(total\))? +: ([\d.]+) um\^2", text, re.DOTALL))
    parts = {part.name: part.um2_each for part in hardware.area_of(hardware.load("eyeriss")).parts}
    assert parts["mac"] == pytest.approx(float(printed["mac"]) / 168, rel=1e-4)
    for ours, theirs, share in (  # our size over that of the reference
        ("glb", "shared_glb", 100 / 128),
        ("weight_spad", "weights_spad", 224 / 192),
        ("input_spad", "ifmap_spad", 1),
        ("sum_spad", "psum_spad", 24 / 16),
    ):
        assert parts[ours] == pytest.approx(float(printed[theirs]) * share, rel=2e-4)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(KNOWN), st.integers(1, 4), st.integers(1, 4), st.integers(0, 3))
def test_more_units_or_memory_is_never_smaller(name, more, bigger, at):
    data = hardware.read(FILES[name])
    small, large = hardware.area_of(hardware.load(data)), copy.deepcopy(data)
    array = large["architecture"]
    if array:
        array["rows"]["value"] *= more
        stores = array["memories"][1:]
        stores[at % len(stores)]["size"]["value"] *= bigger
    else:
        large["parameters"][kinds.accelerators()[data["kind"]].meta["units"][0]]["value"] *= more
        memory = SRAMS[at % 3]
        large["parameters"][f"{memory}_bytes"]["value"] *= bigger
        # BitFusion's published figure does not tell its memories from the rest of the chip: only a figure of their own grows.
        for figures in (data["parameters"], large["parameters"]):
            figures.setdefault(f"{memory}_um2_per_bit", FIGURE | {"value": 0.3})
        small = hardware.area_of(hardware.load(data))
    big = hardware.area_of(hardware.load(large))
    assert big.um2 >= small.um2 and (big.um2 > small.um2) == (more > 1 or bigger > 1)
    for before, after in zip(small.parts, big.parts, strict=True):
        assert after.um2 >= before.um2


def test_a_part_without_a_figure_leaves_the_area_unknown():
    data = hardware.read(FILES["gemmini-16x16"])
    del data["parameters"]["act_sram_um2_per_bit"]
    area = hardware.area_of(hardware.load(data))
    assert (area.um2, area.missing) == (None, ("act_sram",))
    data["parameters"]["rest_um2"] = {"value": 300_000.0, "unit": "um2", "source": "test"}  # has what states none
    area = hardware.area_of(hardware.load(data))
    assert [part.name for part in area.parts] == ["mac", "weight_sram", "output_sram", "rest"]
    assert area.um2 == pytest.approx(115_993.6 + 272_000.6144 + 146_014.208 + 300_000)


def test_impossible_areas_are_named():
    data = hardware.read(FILES["bitfusion"])
    data["parameters"]["mac_um2"]["value"] = -1
    data["parameters"]["rest_um2"]["unit"] = "mm2"
    with pytest.raises(UsageError) as error:
        hardware.load(data)
    assert "parameters.mac_um2.value: found -1; allowed: a number above 0" in str(error.value)
    assert "parameters.rest_um2.unit: found 'mm2'; allowed: um2" in str(error.value)
