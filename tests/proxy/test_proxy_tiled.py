"""Terms of the tiled kernels: by the micro-kernel that codegen chooses, better on unseen shapes, and only where they are asked for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mico_runner import data, proxy
from mico_runner.codegen import micro
from mico_runner.codegen.micro.base import POSITIONS
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.kernel_table import kernel_table
from mico_runner.proxy.terms import physical_terms
from mico_runner.quant.qgraph import QType

bits = st.sampled_from([1, 2, 4, 8])


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 64), st.integers(4, 64), st.integers(1, 12), st.sampled_from([1, 3, 5]), bits, bits, st.booleans()
)
def test_the_parts_add_up_to_the_estimate_by_which_codegen_chooses(
    channels, outputs, size, kernel, weight, act, tables
):
    shape = {"in_channels": channels, "out_channels": outputs, "in_h": size + kernel - 1, "in_w": size + kernel - 1}
    row = {"kind": "conv2d", **shape, "kernel_h": kernel, "kernel_w": kernel, "weight_bits": weight, "act_bits": act}
    terms = physical_terms(kernel_table([row]), policy=KernelPolicy(tiles=True, tables=tables))
    assert (terms >= 0).all(axis=None)
    taps, positions = channels * kernel**2, size**2
    candidates = micro.candidates(weight, QType(act, False, 1.0), False, tables or kernel == 1)
    holding = [k for k in candidates if k.holds(taps)]
    chosen = min(holding, key=lambda k: k.cycles(taps, outputs, positions, kernel == 1 and channels % 4 == 0))
    block = chosen.block_outputs(chosen.tile(positions))
    estimate = chosen.cycles(
        taps, -(-outputs // block) * block, positions, True
    )  # whole tiles; gathering has terms of its own
    besides = chosen.cycles(0, 0, positions, True)  # what preparing a patch takes in any case
    parts = [f"{prefix}{part}" for prefix in ("", "narrow_") for part in ("packing", "sums", "steps")] + [
        "near_packing"
    ]
    assert terms[parts].sum(axis=1)[0] == pytest.approx(estimate - besides)
    gathered = terms["patches"][0] + POSITIONS * terms["near_tiles"][0]
    assert gathered == (
        0 if kernel == 1 and channels % 4 == 0 else terms[["positions", "narrow_positions"]].sum(axis=1)[0]
    )


def on_unseen_shapes(table: pd.DataFrame, tiled: bool | str) -> float:
    """Mean relative error."""
    found = proxy.validate(table, strategy="structural", params={"tiled": tiled}, protocols=["group_kfold"])
    return float(found.protocols["mape"].iloc[0])


@pytest.mark.parametrize(("kind", "tiled"), [("conv2d", True), ("conv2d-tables", "tables"), ("linear", True)])
def test_unseen_shapes_are_better_predicted_with_them(kind, tiled):
    table = data.load_profile([f"vexriscv-full/{kind}"])
    assert on_unseen_shapes(table, tiled) < 0.04 < on_unseen_shapes(table, False)


@pytest.mark.parametrize("device", ["vexriscv-full", "vexriscv-fullcfu"])
def test_pooling_of_2_x_2_has_a_kernel_of_its_own(device):
    table = data.load_profile([f"{device}/max_pool2d"])
    assert on_unseen_shapes(table, True) < 0.04 < on_unseen_shapes(table, False)


def test_a_model_with_them_is_the_same_after_saving(tmp_path):
    table = data.load_profile(["vexriscv-full/linear", "vexriscv-full/max_pool2d"])
    model = proxy.fit(table, strategy="hybrid", params={"tiled": True, "tune": False, "complete": False})
    model.save(tmp_path)
    np.testing.assert_array_equal(proxy.load(tmp_path).predict(table), model.predict(table))


def test_other_kinds_and_other_settings_keep_their_terms():
    table = data.load_profile(["vexriscv-full/depthwise"])
    assert physical_terms(table, policy=KernelPolicy(tiles=True)).equals(physical_terms(table))
    table = data.load_profile(["vexriscv-full/linear"])
    assert "array_steps" in physical_terms(table) and "array_steps" not in physical_terms(
        table, policy=KernelPolicy(tiles=True)
    )
