"""codesign over the designs of a simulated accelerator: bits of each layer, array and memories together, with a certificate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from time import process_time
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml

from mico_runner import hardware
from mico_runner.codesign import designs as space
from mico_runner.codesign import joint, knapsack, layer_costs
from mico_runner.codesign.heuristics import HEURISTICS
from mico_runner.errors import StepError
from mico_runner.search import allocation
from mico_runner.sections import Codesign
from mico_runner.steps.base import StepContext
from mico_runner.steps.codesign_engines import captured
from mico_runner.steps.inputs import device_of
from mico_runner.steps.network import kernels, uniform
from mico_runner.steps.traces import explained


def run(ctx: StepContext, section: Codesign, vary: Mapping[str, Any]) -> None:
    """designs.csv, layers.csv, cases.csv, certificate.json, device files, and metrics of each network and objective."""
    device = device_of(ctx.spec)
    base = ctx.spec.hardware or device.name
    every = space.enumerate_designs(hardware.read(base), vary, section.energy_by_size)
    limits = {name: share for name, share in vars(section.limits).items() if share is not None}
    kept = every.take(np.flatnonzero(space.within(every, device, limits)))
    if not len(kept):
        raise StepError(f"codesign.limits: none of {len(every)} designs keeps them; allowed: larger shares")
    ctx.log(f"{len(kept)} of {len(every)} designs within the limits")
    tables = _Tables(ctx, section, kept, hardware.read(base))
    asked = []
    for name, about in section.networks.items():
        network = captured(name, about)
        rows = kernels(network, uniform(network, *section.bits.noise_of), device.batch)
        pairs = tuple(product(section.bits.weight_bits, section.bits.activation_bits))
        noise = np.array([sum(map(allocation.noise, pair)) for pair in pairs])
        limit = sum(map(allocation.noise, section.bits.noise_of)) * len(rows)
        task = layer_costs.Task(rows, pairs, noise, limit)
        asked += [_Asked(name, task, objective) for objective in section.objectives]
    for each, case in zip(asked, ctx.map(_Solve(section, kept, ctx.seed), asked), strict=True):
        tables.add(each, case)
    tables.write()


def device_file(network: str, objective: str) -> str:
    """The best design as a device file, a value of `hardware`."""
    return f"{network}-{objective}.yaml"


class _Asked(NamedTuple):
    """A network and an objective."""

    name: str
    task: layer_costs.Task
    objective: str


class _Case(NamedTuple):
    """What is known of one.

    Attributes:
        found: the best design.
        others: what is reached otherwise, by its name.
        layers: bits, shape and trace of each layer on the best design.
        rank: place of the best design among the bounds of all.
        screening, seconds: of CPU: of the bounds, in all.
        said: lines for the log.
    """

    found: joint.Result
    others: dict[str, float]
    layers: pd.DataFrame
    rank: int
    screening: float
    seconds: float
    said: list[str]


@dataclass(frozen=True)
class _Solve:
    section: Codesign
    designs: space.Designs
    seed: int

    def __call__(self, asked: _Asked) -> _Case:
        options, said = self.section.certificate, list[str]()
        start = process_time()
        costs = layer_costs.Costs(asked.task, self.designs, asked.objective)
        coarse = joint.screened(costs)
        screening = process_time() - start
        found = joint.search(costs, options.gap, options.designs, said.append)
        seconds = process_time() - start
        rank = 1 + int((coarse < coarse[found.design] * (1 - knapsack.EXACT)).sum())
        return _Case(found, self._others(costs, found), self._layers(costs, found), rank, screening, seconds, said)

    def _others(self, costs: layer_costs.Costs, found: joint.Result) -> dict[str, float]:
        """The device as it is with bits alone; the array chosen at the widest bits and then bits; heuristics where values are at hand."""
        task, options = costs.task, self.section.certificate
        widest = max(range(len(task.bits)), key=lambda pair: task.bits[pair])
        wide = joint.search(
            layer_costs.Costs(task.only(widest), self.designs, costs.objective), options.gap, options.designs
        )
        after = joint.best_pairs(costs, wide.design)
        others = {"separate": np.inf if after is None else after[1]}
        if costs.exact:
            for name in self.section.compare:
                genes = joint.genes(costs)
                others[name] = HEURISTICS[name](genes, self.section.evaluations, self.seed)
        return others

    def _layers(self, costs: layer_costs.Costs, found: joint.Result) -> pd.DataFrame:
        task = costs.task
        rows = task.rows(range(len(task.table)), found.pairs)
        device = layer_costs.aimed(self.designs.device(found.design), costs.objective)
        return explained(device, rows)


class _Tables:
    """Collects what each network and objective gave, and writes it."""

    def __init__(self, ctx: StepContext, section: Codesign, designs: space.Designs, base: Mapping[str, Any]) -> None:
        self.ctx, self.section, self.designs, self.base = ctx, section, designs, base
        taken = space.resources(designs)
        described = [designs.described(number) for number in range(len(designs))]
        self.about = pd.DataFrame(described).assign(**taken)
        self.cases: list[dict[str, object]] = []
        self.by_design: list[pd.DataFrame] = []
        self.layers: list[pd.DataFrame] = []
        self.screening = 0.0

    def add(self, asked: _Asked, solved: _Case) -> None:
        """One network and objective."""
        ctx, found, (name, _, objective) = self.ctx, solved.found, asked
        for line in solved.said:
            ctx.log(line)
        self.screening = max(self.screening, solved.screening / len(self.designs))
        case = {"network": name, "objective": objective}
        ratios = {f"{other}_ratio": value / found.value for other, value in solved.others.items()}
        self.cases.append(
            {**case, "value": found.value, "bound": found.bound, "gap": found.gap, "open_designs": found.open, **ratios}
            | self.designs.described(found.design)
        )
        self.by_design.append(self.about.assign(**case, bound=found.bounds, value=found.values, status=found.status))
        self.layers.append(solved.layers.assign(**case))
        described = self.designs.described(found.design)
        best = space.profile(self.base, described, self.section.energy_by_size)
        text = yaml.safe_dump(best | {"name": f"{best['name']}-{name}-{objective}"}, sort_keys=False)
        (ctx.dir / device_file(name, objective)).write_text(text, encoding="utf-8")
        prefix = f"codesign.{name}.{objective}"
        unit = {"cycles": "cycles", "energy": "pJ", "edp": "pJ x cycles"}[objective]
        ctx.metric(prefix, found.value, unit, "lower", tolerance="1%")
        ctx.metric(f"{prefix}.gap", 100 * found.gap, "%", "lower", tolerance=0.01)
        ctx.metric(f"{prefix}.open_designs", found.open, "count", "lower")
        ctx.metric(f"{prefix}.mapped_designs", int((found.status == joint.EVALUATED).sum()), "count")
        ctx.metric(f"{prefix}.coarse_rank", solved.rank, "place", "lower")
        ctx.metric(f"{prefix}.seconds", solved.seconds, "s", "lower", volatile=True)
        for other, value in solved.others.items():
            if np.isfinite(value):
                ctx.metric(f"{prefix}.{other}_regret", 100 * (value / found.value - 1), "%")
        ctx.log(f"{name}, {objective}: {found.value:.6g}, gap {100 * found.gap:.2f} %, {found.open} designs open")

    def write(self) -> None:
        ctx = self.ctx
        cases = pd.DataFrame(self.cases)
        cases.to_csv(ctx.dir / "cases.csv", index=False)
        pd.concat(self.by_design, ignore_index=True).to_csv(ctx.dir / "designs.csv", index=False)
        pd.concat(self.layers, ignore_index=True).to_csv(ctx.dir / "layers.csv", index=False)
        gap, unproven = float(cases["gap"].max()), int(cases["open_designs"].sum())
        certificate = {"cases": len(cases), "open_designs": unproven, "gap": gap}
        (ctx.dir / "certificate.json").write_text(json.dumps(certificate, indent=1), encoding="utf-8")
        ctx.metric("codesign.designs", len(self.designs), "count")
        ctx.metric("codesign.open_designs", unproven, "count", "lower")
        ctx.metric("codesign.gap", 100 * gap, "%", "lower", tolerance=0.01)
        ctx.metric("codesign.seconds_per_bound", self.screening, "s", "lower", volatile=True)
