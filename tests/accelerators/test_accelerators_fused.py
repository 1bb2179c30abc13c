"""Fused loop nests: what every schedule keeps to, and RTL runs."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mico_runner.accelerators import fused
from mico_runner.accelerators.fused import Engine, Step
from mico_runner.errors import UsageError
from mico_runner.reproductions import tileflow

MIRROR = os.environ.get("MICO_DATA_MIRROR")
ENGINE = Engine(products_per_cycle=256, words_per_cycle=4, request_cycles=6, start_cycles=55)


def test_one_step_is_load_compute_store():
    step = Step({"left": 256, "right": 256}, 4096, stores=256, opens=True)
    assert fused.cycles([step], ENGINE) == 2 * (64 + 6) + (16 + 55) + (64 + 6) + 1


def test_a_published_product_to_the_cycle():
    """16 x 64 by 64 x 16 in tiles of 16: four steps, each of two tiles of 256 words."""
    assert fused.cycles(fused.product(16, 64, 16, 16, 16, 16), ENGINE) == 702


def test_the_result_in_between_is_neither_loaded_nor_stored():
    steps = fused.chain(m=64, k=32, middle=128, n=16, tile_m=16, tile_k=16, tile_middle=64)
    assert sum(step.stores for step in steps) == 64 * 16
    assert sum(step.loads.get("left", 0) for step in steps) == 64 * 32
    assert sum(step.products for step in steps) == 64 * 128 * (32 + 16)


tiles = st.sampled_from([16, 32, 64])


@settings(max_examples=40, deadline=None)
@given(tiles, tiles, tiles, st.integers(1, 3), st.integers(1, 3), st.floats(1, 16))
def test_no_schedule_beats_its_busiest_part_and_more_bandwidth_never_hurts(m, k, middle, blocks, turns, words):
    steps = fused.chain(blocks * m, turns * k, turns * middle, 32, m, k, middle)
    engine = Engine(256, words, 6, 55)
    taken = fused.cycles(steps, engine)
    loads = sum(words_ / words + 6 for step in steps for words_ in step.loads.values())
    computing = sum(step.products / 256 + 55 for step in steps)
    storing = sum(step.stores / words + 6 for step in steps if step.stores)
    assert max(loads, computing, storing) <= taken <= loads + computing + storing + 1 + 1e-6
    assert fused.cycles(steps, Engine(256, 2 * words, 6, 55)) <= taken
    assert fused.cycles(steps, Engine(512, words, 6, 55)) <= taken


@pytest.mark.skipif(not MIRROR, reason="MICO_DATA_MIRROR is not set")
def test_fused_runs_on_rtl():
    folder = Path(MIRROR) / "codesign" / "tileflow"
    files = [folder / f"{name}.csv" for name in ("measured", "timeloop", "traffic")]
    found = tileflow.reproduce(files, 0, 256, 4, 16, 6, 55).figures
    assert found["fused.mape"].value < 0.011 and found["single.exact"].value > 0.9
    assert found["traffic_equal"].value == 1


def test_a_table_of_another_form_is_named(tmp_path):
    (tmp_path / "runs.csv").write_text("1,2,3\n")
    with pytest.raises(UsageError, match=r"runs\.csv: found 3 columns; allowed: 7 of whole numbers: m, n, k"):
        tileflow.read(tmp_path / "runs.csv", tileflow.SINGLE)
