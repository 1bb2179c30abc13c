"""Terms of the host's kernels: what fewer bits cost there is seen, on shapes that were not profiled."""

from __future__ import annotations

import numpy as np
import pytest

from mico_runner import data, hardware, proxy
from mico_runner.codegen.lowering import lower
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.kernel_table import SHAPE, kernel_table
from mico_runner.proxy.terms import physical_terms
from mico_runner.targets.one_kernel import single_layer

POLICY = KernelPolicy.of("host")
CLEARLY = 1.5  # one latency of a shape over another's: more than noise and alignment make
MEAN_ERROR = {"conv2d": 0.13, "linear": 0.17}  # what is reached on shapes that were left out
LAYERS = [
    {"kind": "conv2d", "in_channels": 3, "out_channels": 20, "in_h": 9, "in_w": 9, "kernel_h": 3, "kernel_w": 3},
    {"kind": "conv2d", "in_channels": 16, "out_channels": 40, "in_h": 6, "in_w": 6},
    {"kind": "linear", "in_channels": 100, "out_channels": 10},
]


@pytest.mark.parametrize("layer", LAYERS)
def test_the_terms_are_of_the_kernel_that_a_layer_gets(layer):
    """At all bits that the device offers: bits do not decide on the host, and the profile has all weights."""
    device = hardware.load("host")
    profiled = set(data.load_profile([f"host/{layer['kind']}"])["weight_bits"])
    for weight in device.weight_bits:
        bits = 2 if weight == 1.5 else int(weight)
        assert bits in profiled
        terms = physical_terms(kernel_table([{**layer, "weight_bits": bits, "act_bits": 8}]), policy=POLICY).iloc[0]
        assert {name.split("_")[0] for name in terms.index[terms > 0]} == {"wide"}
        for activation in device.activation_bits:
            graph = single_layer(rng=np.random.default_rng(0), weight_bits=weight, act_bits=activation, **layer)
            (call,) = lower(graph, POLICY).calls
            assert call.function == "mico_conv2d_simd", (weight, activation)


@pytest.fixture(scope="module", params=["conv2d", "linear"])
def unseen(request):
    """The shipped profile with `wide` and `plain`: predictions of shapes that were left out."""
    table = data.load_profile([f"host/{request.param}"])
    fold = np.random.default_rng(0).permutation(len(table.drop_duplicates(SHAPE))) % 5
    fold = fold[table.groupby(SHAPE).ngroup().to_numpy()]
    for name, wide in (("wide", True), ("plain", False)):
        predicted = np.empty(len(table))
        for left_out in range(5):
            out = fold == left_out
            model = proxy.fit(table[~out], strategy="structural", params={"wide": wide})
            predicted[out] = model.predict(table[out])
        table[name] = predicted
    return table


def test_unseen_shapes_are_better_predicted_with_them(unseen):
    kind = unseen["kind"].iloc[0]
    error = {name: (unseen[name] / unseen["latency"] - 1).abs() for name in ("wide", "plain")}
    assert error["wide"].mean() < MEAN_ERROR[kind] and error["wide"].mean() < 0.7 * error["plain"].mean()
    of_weights = error["wide"].groupby(unseen["weight_bits"]).mean()
    assert (of_weights < MEAN_ERROR[kind] + 0.03).all(), of_weights.to_dict()


def test_a_search_sees_what_fewer_bits_cost(unseen):
    """A linear layer reads each weight once, and takes the longer for making bytes of them first; a convolution hardly notices."""
    of_bits = unseen.pivot_table(index=SHAPE, columns=["weight_bits", "act_bits"], values=["wide", "latency"])
    ratios = {
        name: np.median([of_bits[name][bits][8] / of_bits[name][8][8] for bits in range(1, 8)])
        for name in ("wide", "latency")
    }
    assert abs(ratios["wide"] / ratios["latency"] - 1) < 0.1
    if unseen["kind"].iloc[0] == "conv2d":
        assert ratios["latency"] < 1.05
        return
    right = clear = 0
    for _, rows in unseen.groupby(SHAPE):
        measured, predicted = rows["latency"].to_numpy(), rows["wide"].to_numpy()
        slower = measured[:, None] > CLEARLY * measured[None]
        clear += int(slower.sum())
        right += int((slower & (predicted[:, None] > predicted[None])).sum())
    assert clear > 1000 and right > 0.85 * clear


def test_layers_with_groups_are_of_the_plain_kernel():
    layer = {"kind": "conv2d", "in_channels": 8, "out_channels": 8, "in_h": 8, "in_w": 8, "kernel_h": 3, "kernel_w": 3}
    table = kernel_table([{**layer, "groups": groups, "weight_bits": 8, "act_bits": 8} for groups in (1, 2)])
    terms = physical_terms(table, policy=POLICY)
    wide = terms.filter(like="wide_").sum(axis=1)
    assert wide[0] > 0 and wide[1] == 0 and terms.filter(like="plain_").sum(axis=1)[1] > 0
    assert (terms >= 0).all(axis=None)


def test_other_kinds_keep_their_terms():
    table = kernel_table([{"kind": "max_pool2d", "in_channels": 4, "in_h": 8, "in_w": 8, "kernel_h": 2, "kernel_w": 2}])
    assert physical_terms(table, policy=POLICY).equals(physical_terms(table))
