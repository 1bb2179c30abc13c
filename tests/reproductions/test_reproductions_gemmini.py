"""Gemmini as built: which array a mapping runs on, what its tiles come to, and RTL runs of layers that were left out."""

import os
from pathlib import Path

import numpy as np
import pytest

from mico_runner.accelerators import gemmini
from mico_runner.accelerators.timeloop_mappings import parse
from mico_runner.reproductions import gemmini_rtl

MIRROR = os.environ.get("MICO_DATA_MIRROR")


def run(text, stride=1, **layer):
    extents = {d: np.array([float(layer.get(d, 1))]) for d in "KCPQRS"}
    strides = {"P": np.array([float(stride)]), "Q": np.array([float(stride)])}
    return gemmini.tiled([parse(text)], extents, strides)


CONV = "L3[WIO] K4 P2 - L2[WI] N1 K8X - L1[O] S3 R3 Q14 C16X - L0[W] P7"


def test_the_array_holds_the_widest_loop():
    found = run(CONV, K=32, C=16, P=14, Q=14, R=3, S=3)
    assert found.array[0] == 16 and not found.product[0]
    assert {d: (found.tile[d][0], found.turns[d][0]) for d in "KPQ"} == {"K": (8, 4), "P": (7, 2), "Q": (14, 1)}


def test_tiles_of_products_are_counted_in_arrays():
    """A tile of 16 x 16 is one unit: one array of 4 x 4, of which a layer of 64 x 64 has 16 along each side."""
    found = run("L3[WIO] C4 K4 - L2[WI] N1 K4X - L1[O] K4 C4 C4X - L0[W] N1", K=64, C=64)
    assert found.product[0] and found.array[0] == 4
    assert [found.turns[d][0] for d in "KCP"] == [16, 16, 1]
    assert gemmini.terms(found, 2**19)["product_tile"][0] == 256


def test_convolutions_have_square_outputs():
    narrow = run("L3[WIO] K4 - L2[WI] N1 K8X - L1[O] S3 R3 Q2 C16X - L0[W] P14", K=32, C=16, P=14, Q=2, R=3, S=3)
    assert narrow.whole["Q"][0] == 14 and narrow.turns["Q"][0] == 7


def test_what_fits_the_cache_is_never_missed_and_a_small_one_misses_every_load():
    found = run(CONV, K=32, C=16, P=14, Q=14, R=3, S=3)
    least, most = gemmini.terms(found, 1e9), gemmini.terms(found, 1)
    assert least["missed_byte"][0] == 0 and most["missed_byte"][0] == most["byte"][0]
    # four tiles of filters by two of columns: weights of 8 x 16 x 9 and a window of 9 x 16 pixels each
    assert most["byte"][0] == 8 * (8 * 16 * 9 + 9 * 16 * 16)


def test_computing_takes_a_cycle_a_row_and_no_less_than_four():
    wide = gemmini.terms(run(CONV, K=32, C=16, P=14, Q=14, R=3, S=3), 2**19)
    assert wide["compute"][0] == 8 * 9 * 14 * 7
    narrow = gemmini.terms(run(CONV.replace("P2", "P14").replace("P7", "N1"), K=32, C=16, P=14, Q=14, R=3, S=3), 2**19)
    assert narrow["compute"][0] == 4 * 14 * 9 * 14 * 4


def test_more_of_anything_is_never_faster():
    terms = gemmini.terms(run(CONV, K=32, C=16, P=14, Q=14, R=3, S=3), 2**10)
    constants = dict(zip(gemmini.CONSTANTS, gemmini.FIRST, strict=True))
    base = gemmini.cycles(terms, constants)[0]
    assert base >= max(terms["compute"][0], constants["conv_tile"] * terms["conv_tile"][0])
    for name in gemmini.CONSTANTS:
        assert gemmini.cycles(terms, constants | {name: 2 * constants[name]})[0] >= base


@pytest.mark.skipif(not MIRROR, reason="MICO_DATA_MIRROR is not set")
def test_rtl_runs_of_layers_that_were_left_out():
    file = Path(MIRROR) / "codesign" / "dosa" / "firesim_training_data_firesim_results.csv.gz"
    figures = gemmini_rtl.reproduce([file], 0, 6, 2**19).figures
    assert figures["beyond_16x16"].value == 22 and figures["beyond_their_array"].value == 0
    assert figures["excluded_rows"].value == 10
    assert figures["spearman"].value > 0.985 and figures["mape"].value < 0.14
