"""Doubts about a profile: each kind of mistake is said, and nothing is said of profiles that are right."""

import os
import re

import numpy as np
import pandas as pd
import pytest

from mico_runner import data
from mico_runner.data import catalog
from mico_runner.kernel_table import kernel_table
from mico_runner.proxy.crossval import learnable
from mico_runner.proxy.plausible import MISSED, doubts

needs_mirror = pytest.mark.skipif(not os.environ.get("MICO_DATA_MIRROR"), reason="MICO_DATA_MIRROR is not set")


def profile(latency, shapes=30, seed=0, pairs=((8, 8), (8, 4))):
    """Linear layers of 2^8 to 2^16 weights, (work, rng) -> latency."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(shapes):
        size = {"in_channels": int(2 ** rng.uniform(4, 8)), "out_channels": int(2 ** rng.uniform(4, 8))}
        rows += [{"kind": "linear", **size, "act_bits": a, "weight_bits": w} for a, w in pairs]
    table = kernel_table(rows).assign(dataset="made")
    table["latency"] = [latency(work, rng) for work in table["macs"] * (0.5 + 0.1 * table["weight_bits"])]
    table.attrs["unit"] = "cycles"
    return table


def sound(work, rng):
    return 500 + work * rng.lognormal(0, 0.02)


def sentences(table):
    return doubts(table)["linear"].sentences


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("pairs", [((8, 8),), ((8, 8), (8, 4)), tuple((a, w) for a in (2, 4, 8) for w in (2, 4, 8))])
def test_a_sound_profile_raises_no_doubt(seed, pairs):
    table = profile(sound, seed=seed, pairs=pairs)
    found = doubts(table)["linear"]
    assert (found.sentences, found.outliers) == ([], 0.0)
    assert learnable(table)["linear"] > 0.9


@pytest.mark.parametrize("factor", [1000.0, 0.001, 30.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_tenth_of_the_rows_out_of_scale_is_found_and_the_worst_named(factor, seed):
    table = profile(sound, seed=seed)
    bad = np.random.default_rng(seed).choice(len(table), len(table) // 10, replace=False)
    table.loc[bad, "latency"] *= factor
    found = doubts(table)["linear"]
    assert 0.1 <= found.outliers <= 0.15
    (text,) = found.sentences
    number, value = re.search(
        r"row (\d+) of made: .*in_channels .*activations 8 x weights . bits, latency ([\d,.e+]+) cycles", text
    ).groups()
    assert int(number) - 1 in bad
    assert float(value.replace(",", "")) == pytest.approx(table["latency"][int(number) - 1], rel=1e-5)
    assert ("above" if factor > 1 else "below") in text


def test_one_bad_row_of_many_is_said_too():
    table = profile(sound)
    table.loc[7, "latency"] *= 2 * MISSED
    assert doubts(table)["linear"].outliers == 1 / 60
    assert "1 of 60 rows; the worst" in sentences(table)[0] and "row 8 of made" in sentences(table)[0]


def test_rows_are_numbered_within_their_data_set():
    table = pd.concat(
        [profile(sound).assign(dataset="first"), profile(sound, seed=1).assign(dataset="second")], ignore_index=True
    )
    table.loc[60 + 11, "latency"] *= 1000
    assert "row 12 of second" in sentences(table)[0]


@pytest.mark.parametrize("shapes", [1, 2, 4])
def test_few_shapes(shapes):
    table = profile(sound, shapes=shapes)
    assert doubts(table)["linear"].shapes == shapes
    assert f"at {shapes} shape{'s' * (shapes > 1)}:" in sentences(table)[0]


@pytest.mark.parametrize("shapes", [2, 30])
def test_latency_that_falls_as_the_work_grows(shapes):
    table = profile(lambda work, rng: 1e9 / work, shapes=shapes)
    assert "falls as the work grows (rank correlation -" in sentences(table)[-1]
    assert learnable(table)["linear"] < 0.5


@pytest.mark.parametrize("seed", range(3))
def test_random_latencies(seed):
    for low, high in ((1e3, 2e3), (1, 1e6)):
        table = profile(lambda work, rng, low=low, high=high: rng.uniform(low, high), seed=seed)
        assert any("follows the work" in text or "falls as" in text for text in sentences(table))
        assert learnable(table)["linear"] < 0.5


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_latencies_that_are_all_alike_are_said_and_can_be_learned(noise):
    table = profile(lambda work, rng: 1000 * rng.lognormal(0, noise))
    (text,) = sentences(table)
    assert "about the same at all 30 shapes" in text
    assert learnable(table)["linear"] > 0.9 and doubts(table)["linear"].outliers == 0


def test_kinds_are_doubted_one_by_one():
    pools = kernel_table(
        [
            {
                "kind": "max_pool2d",
                "in_channels": c,
                "out_channels": c,
                "in_h": 8,
                "in_w": 8,
                "kernel_h": 2,
                "kernel_w": 2,
                "stride": 2,
            }
            for c in (4, 8)
        ]
    )
    table = pd.concat(
        [profile(sound), pools.assign(dataset="pools", latency=pools["in_channels"] * 100.0)], ignore_index=True
    )
    found = doubts(table)
    assert not found["linear"].sentences and "2 shapes" in found["max_pool2d"].sentences[0]


@needs_mirror
@pytest.mark.parametrize("name", catalog.names("kernel_profile"))
def test_no_profile_of_the_catalog_is_doubted(name):
    table = data.load_profile(name)
    for kind, found in doubts(table).items():
        assert found.outliers == 0 and found.shapes >= 7, kind
        assert not found.sentences, kind
