"""Depthwise layers are predicted from depthwise profiles where there are some."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mico_runner import data, proxy
from mico_runner.kernel_table import is_depthwise, kernel_table
from mico_runner.proxy.terms import physical_terms

SHAPE = {"in_channels": 24, "out_channels": 24, "groups": 24, "in_h": 14, "in_w": 14, "kernel_h": 3, "kernel_w": 3}
BITS = [{"act_bits": a, "weight_bits": w} for a, w in ((8, 8), (8, 4), (4, 2), (1, 1))]


@pytest.fixture(scope="module")
def profile():
    return data.load_profile(["vexriscv-full/depthwise"])


def test_the_shipped_profile_has_forty_shapes_at_every_pair_of_bits(profile):
    assert is_depthwise(profile).all()
    assert len(profile) == 16 * len(profile[["in_channels", "in_h", "stride"]].drop_duplicates()) >= 16 * 40


def test_structure_holds_on_unseen_shapes(profile):
    rows, _ = proxy.validate(
        profile, strategy="structural", protocols=["group_kfold"], folds=5, group_by="shape", seed=0
    )
    assert rows["mape"].iloc[0] < 0.07


def test_a_networks_depthwise_layers_take_the_depthwise_estimator(profile):
    dense = data.load_profile(["vexriscv-full/conv2d"])
    layers = kernel_table([{"kind": "conv2d"} | SHAPE | bits for bits in BITS])
    alone = proxy.fit(profile, strategy="structural")
    expected = alone.predict(layers.assign(kind="depthwise"))
    both = proxy.fit(pd.concat([dense, profile], ignore_index=True), strategy="structural")
    np.testing.assert_array_equal(both.predict(layers), expected)
    assert not both.extrapolates(layers).any()
    without = proxy.fit(dense, strategy="structural")  # convolutions with groups are that profile's business
    assert (np.abs(without.predict(layers) / expected - 1) > 0.1).any()


def test_more_rows_in_a_word_make_fewer_sums():
    layers = kernel_table([{"kind": "depthwise"} | SHAPE | bits for bits in BITS])
    sums = physical_terms(layers)["sums"].to_numpy()
    assert sums.tolist() == [24 * 12 * words for words in (12, 6, 3, 3)]
