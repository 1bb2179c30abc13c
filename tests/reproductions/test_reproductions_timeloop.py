"""Timeloop's one-line mappings: read, counted together as each alone, and DOSA's runs of them to the cycle."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mico_runner.accelerators import timeloop_mappings as mappings
from mico_runner.errors import UsageError
from mico_runner.reproductions import timeloop_dosa

MIRROR = os.environ.get("MICO_DATA_MIRROR")
needs_mirror = pytest.mark.skipif(not MIRROR, reason="MICO_DATA_MIRROR is not set")
TEXT = "L3[WIO] P28 R7 - L2[WI] N1 K4X - L1[O] K2 C3X - L0[W] P2"


def test_a_mapping_is_read():
    assert mappings.parse(TEXT) == (
        ("L3", "WIO", {("P", False): 28, ("R", False): 7}),
        ("L2", "WI", {("K", True): 4}),
        ("L1", "O", {("K", False): 2, ("C", True): 3}),
        ("L0", "W", {("P", False): 2}),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("L3[WIO] P28 - L2", "found level 'L2'; allowed"),
        ("L3[WIO] B28", r"found level 'L3\[WIO\] B28'"),
        ("L3[WIO] P2 P3", "level L3 has two loops P"),
        ("L3[WIO] P0", "loop P0; allowed: bounds from 1"),
    ],
)
def test_a_text_of_another_form_is_named(text, message):
    with pytest.raises(UsageError, match=message):
        mappings.parse(text)


def test_mappings_have_the_same_levels():
    steps = pd.DataFrame({"P": [1, 1], "Q": [1, 1]})
    with pytest.raises(
        UsageError, match=r"'L3\[WIO\] P2': other levels than the first; allowed: L3\[WIO\] L2\[WI\] L1\[O\] L0\[W\]"
    ):
        mappings.count(pd.Series([TEXT, "L3[WIO] P2"]), steps, drains=True)


@given(st.lists(st.lists(st.sampled_from("KCPQRS"), unique=True).map(tuple), min_size=1))
def test_every_order_is_part_of_a_longer_one(orders):
    found = mappings.frames(tuple((d, False) for d in order) for order in orders)
    for order, frame in found.items():
        assert [slot for slot in frame if slot in order] == list(order)
    assert set(found.values()) <= set(found)


loops = st.permutations(list("KCPQRS")).flatmap(
    lambda order: st.lists(st.integers(1, 3), min_size=6, max_size=6).map(
        lambda bounds: " ".join(f"{d}{n}" for d, n in zip(order, bounds, strict=True))
    )
)
TEXTS = st.tuples(loops, st.integers(1, 4), loops, st.integers(1, 4)).map(
    lambda part: f"L3[WIO] {part[0]} - L2[WI] N1 K{part[1]}X - L1[O] {part[2]} C{part[3]}X - L0[W] P2"
)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(TEXTS, st.integers(1, 2), st.integers(1, 2)), min_size=2, max_size=4), st.booleans())
def test_mappings_together_are_counted_as_each_alone(cases, drains):
    texts, p, q = zip(*cases, strict=True)
    steps = pd.DataFrame({"P": p, "Q": q})
    together = mappings.count(pd.Series(texts), steps, drains)
    for row in range(len(cases)):
        alone = mappings.count(pd.Series(texts[row : row + 1]), steps[row : row + 1], drains)
        assert together.compute_cycles[row] == alone.compute_cycles[0]
        for place, values in alone.reads.items():
            assert together.reads[place][row] == values[0] and together.writes[place][row] == alone.writes[place][0]


def test_draining_is_one_more_write_of_each_result():
    steps = pd.DataFrame({"P": [1], "Q": [1]})
    without, drained = (mappings.count(pd.Series([TEXT]), steps, drains) for drains in (False, True))
    results = 28 * 2 * 2  # P and K of one of the four accumulators
    assert drained.writes["L1", "O"][0] - without.writes["L1", "O"][0] == results
    assert drained.reads["L1", "O"][0] == without.reads["L1", "O"][0]
    assert drained.writes["L3", "O"][0] == without.writes["L3", "O"][0]


@needs_mirror
def test_a_part_of_dosa_to_the_cycle():
    runs = timeloop_dosa.read(Path(MIRROR) / "codesign" / "dosa" / "timeloop_dataset.csv.tar.gz").iloc[::60]
    runs = runs.reset_index(drop=True)
    counts = mappings.count(runs["mapping.mapping"], timeloop_dosa.strides(runs), drains=True)
    assert (timeloop_dosa.cycles_of(runs, counts, 8.0) == runs["target.cycle"]).all()
    terms = timeloop_dosa.words(runs, counts, 64)
    # What is fitted for each design is a law of the sizes: every access costs the same in memories of one size.
    names, constants, error = timeloop_dosa.fitted(runs, terms, 0)
    assert names == list(timeloop_dosa.CONSTANTS)
    assert np.nanmedian(np.abs(error)) < 1e-5
    assert np.median(constants["dram_pj"]) == pytest.approx(100, rel=1e-4)


@needs_mirror
def test_without_draining_fewer_runs_are_equal():
    runs = timeloop_dosa.read(Path(MIRROR) / "codesign" / "dosa" / "timeloop_dataset.csv.tar.gz").iloc[::200]
    counts = mappings.count(runs["mapping.mapping"], timeloop_dosa.strides(runs), drains=False)
    assert (timeloop_dosa.cycles_of(runs, counts, 8.0) == runs["target.cycle"]).mean() < 0.6
