"""codesign over the mappings of each layer on one array: the best one found, and how far from the best of all it can be."""

from __future__ import annotations

from dataclasses import dataclass
from time import process_time

import pandas as pd

from mico_runner.accelerators import spatial
from mico_runner.codesign import proofs
from mico_runner.codesign.layer_costs import unique_layers
from mico_runner.hardware import Architecture
from mico_runner.sections import Codesign, Mappings
from mico_runner.steps.base import StepContext
from mico_runner.steps.codesign_certificate import write_certificate
from mico_runner.steps.codesign_engines import captured
from mico_runner.steps.inputs import device_of, present
from mico_runner.steps.network import kernels, uniform


@dataclass(frozen=True)
class _Proof:
    """A layer's proof, and its seconds of CPU."""

    array: Architecture
    objective: str
    options: Mappings

    def __call__(self, layer: spatial.Layer) -> tuple[proofs.Proof, float]:
        start = process_time()
        found = proofs.prove(layer, self.array, self.objective, self.options.budgets, self.options.gap)
        return found, process_time() - start


def run(ctx: StepContext, section: Codesign, options: Mappings) -> None:
    """cases.csv, a row per different layer and objective, certificate.json, and metrics of each network and objective."""
    device = device_of(ctx.spec)
    array = present(device.architecture)
    rows, slowest = [], 0.0
    for name, about in section.networks.items():
        network = captured(name, about)
        table = kernels(network, uniform(network, *section.bits.noise_of), device.batch)
        first, which = unique_layers(table)
        for objective in section.objectives:
            gaps = []
            layers = [spatial.layer_of(row) for row in table.iloc[first].itertuples()]
            proven = ctx.map(_Proof(array, objective, options), layers)
            for number, (found, seconds) in enumerate(ctx.progress(proven, total=len(layers), desc=objective)):
                slowest = max(slowest, seconds)
                gaps.append(found.gap)
                about_row = {
                    "network": name,
                    "objective": objective,
                    "layer": table.iloc[first[number]]["layer"],
                    "times": int((which == number).sum()),
                }
                cost = {"value": found.value, "bound": found.bound, "gap": found.gap}
                rows.append({**about_row, **cost, "mappings_seen": found.seen, "mappings": found.space})
            prefix = f"codesign.{name}.{objective}"
            ctx.metric(f"{prefix}.layers", len(gaps), "count")
            ctx.metric(f"{prefix}.proven_layers", sum(gap == 0 for gap in gaps), "count", "higher")
            ctx.metric(f"{prefix}.gap", 100 * max(gaps), "%", "lower", tolerance=0.01)
            ctx.log(
                f"{name}, {objective}: {sum(gap == 0 for gap in gaps)} of {len(gaps)} proven, gap {100 * max(gaps):.2f} %"
            )
    write_certificate(ctx, pd.DataFrame(rows), slowest, tolerance=0.01)
