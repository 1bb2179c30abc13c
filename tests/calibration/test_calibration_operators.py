"""Subgraphs split into operators: the shapes come back exactly, and nothing is lost on the way."""

import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mico_runner.calibration import convolution
from mico_runner.calibration.convolution import Convolution
from mico_runner.calibration.operators import operator_table
from mico_runner.data.subgraphs import load_subgraphs

needs_mirror = pytest.mark.skipif(not os.environ.get("MICO_DATA_MIRROR"), reason="MICO_DATA_MIRROR is not set")

KNOWN = {  # torchvision's published architectures
    ("resnet18", "conv1|bn1|relu"): Convolution(7, 2, 3, 64, 1, 112, 224),
    ("resnet50", "layer4_0_downsample_0|layer4_0_downsample_1"): Convolution(1, 2, 1024, 2048, 1, 7, 14),
    ("vgg16", "features_28|features_29"): Convolution(3, 1, 512, 512, 1, 14, 14),
    ("mobilenet_v2", "features_3_conv_1_0|features_3_conv_1_1|features_3_conv_1_2"): Convolution(
        3, 1, 144, 144, 144, 56, 56
    ),
    # a 16 x 16 patch of 3 channels has the counts of one pixel of 768 channels, and is the same matrix product
    ("vit_b_16", "conv_proj"): Convolution(1, 1, 768, 768, 1, 14, 14),
}


@given(
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.sampled_from([1, 2]),
    size=st.integers(2, 60),
    channels=st.tuples(st.integers(3, 300), st.integers(3, 300)),
    depthwise=st.booleans(),
    per_channel=st.sampled_from([1, 2]),
)
def test_counts_of_a_convolution_give_one_with_the_same_counts(kernel, stride, size, channels, depthwise, per_channel):
    ins, outs = (channels[1], channels[1]) if depthwise else channels
    true = Convolution(kernel, stride, ins, outs, outs if depthwise and kernel > 1 else 1, size, size * stride)
    counts = (true.macs, true.weights + per_channel * outs, true.inputs + true.outputs)
    found = convolution.single(*counts, per_channel)
    assert found is not None and found.kernel <= kernel
    assert (found.macs, found.inputs + found.outputs) == (counts[0], counts[2])
    assert found.weights + per_channel * found.out_channels == counts[1]


def test_counts_that_no_convolution_has_give_none():
    assert convolution.single(7919, 31, 17, 2) is None


def test_an_expansion_and_a_depthwise_convolution_are_told_apart():
    expand, depthwise = Convolution(1, 1, 16, 96, 1, 112, 112), Convolution(3, 2, 96, 96, 96, 56, 112)
    weights = expand.weights + depthwise.weights + 4 * 96
    assert convolution.pair(expand.macs + depthwise.macs, weights, expand.inputs + depthwise.outputs) == (
        expand,
        depthwise,
    )


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    table = load_subgraphs()
    return table[(table["hardware"] == "jetson_orin_agx_maxn") & (table["precision"] == "fp32")].reset_index(drop=True)


@needs_mirror
def test_published_networks_have_their_known_convolutions(rows):
    for (model, names), expected in KNOWN.items():
        one = rows[(rows["model"] == model) & (rows["node_names"] == names)].iloc[0]
        per_channel = 2 if "bn" in names or "downsample" in names or "conv_1" in names else 1
        assert convolution.single(one["flops"] // 2, one["weights"], one["activations"], per_channel) == expected


@needs_mirror
def test_operators_add_up_to_their_subgraph(rows):
    table = operator_table(rows)
    macs = table.groupby("row")["macs"].sum().reindex(range(len(rows))).to_numpy()
    expected = rows["flops"].to_numpy() / 2
    counted = (
        ~rows["fusion_pattern"].isin(["add_ReLU"]).to_numpy()
        & ~rows["node_names"].str.match(r"(add|mul)(_\d+)?$").to_numpy()
    )
    counted &= ~rows["fusion_pattern"].str.startswith("AdaptiveAvgPool2d").to_numpy()  # flops count the pool, too
    np.testing.assert_allclose(macs[counted], expected[counted], rtol=0.02)
    assert set(table["op"]) >= {"conv_k3", "conv_std", "conv_pw", "conv_dw", "linear", "attention", "bn", "maxpool"}
    assert (table[["macs", "weights", "elements", "reduction"]] >= 0).all(axis=None)


@needs_mirror
def test_depthwise_convolutions_are_recovered_although_never_labelled(rows):
    mobile = rows[rows["model"] == "mobilenet_v2"].reset_index(drop=True)
    assert (operator_table(mobile)["op"] == "conv_dw").sum() == 17  # one per inverted residual block
