"""allocate: bits of a network that is known by its layers alone, within an accelerator's energy, latency or memory."""

from __future__ import annotations

from typing import Any

from mico_runner.sections import Sections
from mico_runner.steps import register
from mico_runner.steps.base import Inputs, Step, StepContext

STEEP = 1.5  # a bit less of 2 saves twice at most of what bits cost; above this, and from more bits, tiles have begun to fit
UNITS = {"energy": "pJ", "latency": "cycles", "flash_bytes": "bytes"}


@register("allocate", section="allocate", order=45)
class Allocate(Step):
    """The highest signal-to-quantisation-noise ratio within cost limits; no data, no training."""

    VERSION = 4

    def inputs(self, spec: Sections) -> Inputs:
        from mico_runner.steps.inputs import device_of

        return {"allocate": spec.allocate, "hardware": device_of(spec).sha256}

    def run(self, ctx: StepContext) -> None:
        import numpy as np
        import pandas as pd

        from mico_runner import graph
        from mico_runner.graph import costs
        from mico_runner.models import MODELS
        from mico_runner.search import Cost, Space, allocation
        from mico_runner.steps.inputs import device_of, limits_of, present
        from mico_runner.steps.network import kernels, report_area, simulated
        from mico_runner.steps.traces import explained, report_streamed

        section, device = present(ctx.spec.allocate), device_of(ctx.spec)
        model = MODELS.get(section.network)(section.input, section.classes, **section.params)
        network = graph.capture(model, section.input, section.network)
        layers = [node.name for node in network.weighted]

        def tables(space: Space) -> dict[str, np.ndarray]:
            by_simulator = simulated(network, device, list(space.choices))
            flash = [[costs.node_bytes(node, bits.weight) for bits in space.choices] for node in network.weighted]
            raw = {
                "energy": by_simulator["energy_pj"],
                "latency": by_simulator["cycles"],
                "flash_bytes": np.array(flash, dtype=float),
            }
            return {name: Cost(table).table for name, table in raw.items()}  # rounded, so that no last digit decides

        tried = section.space
        space = Space.grid(layers, tried.weight_bits, tried.activation_bits, tried.pinned)
        cost = tables(space)
        int8 = {name: float(t.sum()) for name, t in tables(Space.of({layer: [(8, 8)] for layer in layers})).items()}
        limits = {
            name: (cost[name], limit.max * (int8[name] if limit.relative_to else 1.0))
            for name, limit in limits_of(section.constraints).items()
        }
        for name in ("energy", "latency"):
            found = allocation.cliffs(space, cost[name], STEEP)
            steep = sorted({layer for layer, *_ in found})
            if found:
                layer, before, after, quotient = found[0]
                ctx.log(
                    f"{name} is a matter of the schedule in {len(steep)} layers, in which one bit saves more than {STEEP:g} times: "
                    f"{quotient:.1f} times from {before.weight:g} x {before.activation} to {after.weight:g} x {after.activation} "
                    f"in {layer}; also in {', '.join(steep[:5])}"
                )
        over = section.over
        chosen = allocation.best(space, limits)
        uniform = allocation.best_uniform(space, limits)
        front = allocation.front(space, cost[over], {k: v for k, v in limits.items() if k != over}, section.points)
        everywhere = [np.full(len(layers), i) for i in np.flatnonzero(space.mask.all(axis=0))]
        named = {"front": front, "uniform": everywhere, "chosen": [chosen]}
        rows = [
            {"which": which, **row}
            for which, configs in named.items()
            for row in allocation.describe(space, configs, cost)
        ]
        points = pd.DataFrame(rows)
        alike = points["which"] == "uniform"
        pairs = [space.choices[int(config[0])] for config in everywhere]
        points.loc[alike, ["weight_bits", "act_bits"]] = np.array(pairs, dtype=float).reshape(-1, 2)
        for name, reference in int8.items():
            points[f"{name}_ratio"] = points[name] / reference
        points.to_csv(ctx.dir / "front.csv", index=False)
        bits = space.decode(chosen)
        per_layer = pd.DataFrame({"layer": layers, "macs": [costs.macs(network, node) for node in network.weighted]})
        per_layer["in_shape"] = [network.shapes[node.inputs[0]] for node in network.weighted]
        per_layer["out_shape"] = [network.shapes[node.output] for node in network.weighted]
        per_layer["weight_bits"] = [bits[layer].weight for layer in layers]
        per_layer["act_bits"] = [bits[layer].activation for layer in layers]
        for name, table in cost.items():
            per_layer[name] = np.take_along_axis(table, chosen[:, None], axis=1)[:, 0]
        per_layer.to_csv(ctx.dir / "layers.csv", index=False)
        trace = explained(device, kernels(network, bits, device.batch))
        trace.to_csv(ctx.dir / "trace.csv", index=False)  # what cycles and energy are made of, at these bits

        best = points[points["which"] == "chosen"].iloc[0]
        ctx.metric("allocate.sqnr", best["sqnr_db"], "dB", "higher", tolerance="1%")
        for name, unit in UNITS.items():
            ctx.metric(f"allocate.{name}", best[name], unit, "lower", tolerance="1%")
            ctx.metric(f"allocate.{name}_ratio", best[f"{name}_ratio"], "ratio", "lower", tolerance=0.01)
            ctx.metric(f"allocate.int8.{name}", int8[name], unit)
        busy = (trace["utilisation"] * trace["cycles"]).sum() / trace["cycles"].sum()
        ctx.metric("allocate.utilisation", busy, "ratio", "higher", tolerance=0.02)
        report_area(ctx, device, "allocate")
        ctx.log(f"{len(layers)} layers: {best['sqnr_db']:.2f} dB at {_shares(best)} of INT8's")
        report_streamed(ctx, network, device, "allocate")
        if uniform is not None:
            gain = best["sqnr_db"] - allocation.sqnr(space, uniform)
            pair = space.choices[int(uniform[0])]
            ctx.metric("allocate.gain_over_uniform", gain, "dB", "higher", tolerance="1%")
            ctx.log(f"{gain:.2f} dB above the best uniform bits within the limits, {pair.weight:g} x {pair.activation}")


def _shares(row: Any) -> str:
    return ", ".join(f"{100 * row[f'{name}_ratio']:.1f} % {name.replace('_', ' ')}" for name in UNITS)
