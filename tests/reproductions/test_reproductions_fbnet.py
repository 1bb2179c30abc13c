"""FBNet's operations as kernels: those of the published definition, and their costs add up to a network's."""

from pathlib import Path

import numpy as np
import pandas as pd

from mico_runner import accelerators
from mico_runner.reproductions import fbnet_designs

PUBLISHED = Path(__file__).parents[2] / "datasets/devices/fbnet_operations.csv"


def test_every_operation_does_as_many_products_as_published():
    kernels = fbnet_designs.blocks()
    table = pd.read_csv(PUBLISHED).sort_values(["position", "operation"])
    found = fbnet_designs.by_operation(kernels, kernels["macs"].to_numpy(float))
    assert (found.ravel() == table["macs"]).all()
    weights = kernels["out_channels"] * kernels["in_channels"] // kernels["groups"] * kernels["kernel_h"] ** 2
    outputs = kernels["out_channels"] * kernels["out_h"] * kernels["out_w"]
    weights = fbnet_designs.by_operation(kernels, weights.to_numpy(float)).ravel()
    assert (fbnet_designs.by_operation(kernels, outputs.to_numpy(float)).ravel() == table["activations"]).all()
    biases = table["weights"].to_numpy() - weights
    assert ((biases >= 0) & (biases <= 0.2 * np.maximum(weights, 1))).all()


def test_costs_of_operations_add_up_to_those_of_a_network(monkeypatch):
    monkeypatch.setattr(fbnet_designs, "VARY", {"parameters.rows": [8, 16, 64]})
    kernels, kept = fbnet_designs.blocks(), fbnet_designs.arrays("energy")
    assert len(kept) == 2  # the third is larger than the base
    exact, rough = fbnet_designs.costs(kept, kernels)
    network = np.random.default_rng(1).integers(0, 9, exact.shape[2])
    mine = kernels[kernels["operation"].to_numpy() == network[kernels["position"]]]
    for number in range(len(kept)):
        trace = accelerators.of(kept.device(number)).simulate(mine)
        expected = [trace["cycles"].sum(), trace["energy_pj"].sum()]
        np.testing.assert_allclose(exact[:, number, np.arange(len(network)), network].sum(axis=1), expected)
    assert (rough > 0).any() and (rough[0] <= exact[0] * 1.0001).mean() > 0.9
