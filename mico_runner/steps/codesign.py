"""codesign: network and accelerator designed together, with a proof of how far from the best the result can be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mico_runner.sections import Sections, TabledCosts
from mico_runner.steps import register
from mico_runner.steps.base import Inputs, Step, StepContext
from mico_runner.steps.codesign_certificate import write_certificate

if TYPE_CHECKING:
    from mico_runner.codesign.tables import Case, Costs


@register("codesign", section="codesign", order=46)
class Codesign(Step):
    """The best design within limits, its certificate, and the regret of heuristics beside it."""

    VERSION = 2

    def inputs(self, spec: Sections) -> Inputs:
        from mico_runner.steps.inputs import device_of, present

        section = present(spec.codesign)
        about: Inputs = {"codesign": section, "seed": spec.seed}
        if section.tables is not None:
            return about | {"tables": _files(section.tables)}
        return about | {"hardware": device_of(spec).sha256}

    def run(self, ctx: StepContext) -> None:
        from mico_runner.steps.inputs import present

        section = present(ctx.spec.codesign)
        if section.tables is not None:
            _tables(ctx, section.tables, section.compare, section.evaluations)
        elif section.engines is not None:
            from mico_runner.steps.codesign_engines import run

            run(ctx, section, section.engines)
        elif section.mappings is not None:
            from mico_runner.steps.codesign_mappings import run as run_mappings

            run_mappings(ctx, section, section.mappings)
        else:
            from mico_runner.steps.codesign_arrays import run as run_arrays

            run_arrays(ctx, section, present(section.vary))


def _files(section: TabledCosts) -> Inputs:
    """The tables by content: `codesign` itself has their names."""
    from mico_runner.data import catalog

    names = [name for network in section.networks.values() for name in (*network.costs, network.layers)]
    return {name: catalog.sha256(Path(name)) if _is_path(name) else catalog.fingerprint(name) for name in names}


def _path(name: str) -> Path:
    from mico_runner.data import catalog

    return Path(name) if _is_path(name) else catalog.fetch(name)[0]


def _is_path(name: str) -> bool:
    return name.endswith((".csv", ".csv.gz"))


def _tables(ctx: StepContext, section: TabledCosts, compare: tuple[str, ...], evaluations: int) -> None:
    from mico_runner.codesign import tables

    solved: list[tuple[str, Costs, Case]] = []
    columns = [*section.objectives, *section.resources]
    for name, network in section.networks.items():
        costs = tables.read(
            {Path(each).name: _path(each) for each in network.costs}, _path(network.layers), section.choices, columns
        )
        wanted = [(o, r, s) for o in section.objectives for r in section.resources for s in section.shares]
        for objective, resource, share in ctx.progress(wanted, desc=name):
            case = tables.solve(costs, objective, resource, share, compare, evaluations, ctx.seed)
            solved.append((name, costs, case))
    _report(ctx, solved, compare)


def _report(ctx: StepContext, solved: list[tuple[str, Costs, Case]], compare: tuple[str, ...]) -> None:
    """cases.csv, designs.csv, certificate.json, and metrics: gaps, and how far above the optimum others end."""
    import numpy as np
    import pandas as pd

    rows: list[dict[str, object]] = []
    designs: list[dict[str, object]] = []
    for network, costs, case in solved:
        key: dict[str, object] = {
            "network": network,
            "objective": case.objective,
            "resource": case.resource,
            "share": case.share,
        }
        others = {"uniform": case.uniform, **case.heuristics}
        ratios = {f"{name}_ratio": value / case.value for name, value in others.items()}
        rows.append({**key, "budget": case.budget, "value": case.value, "bound": case.bound, "gap": case.gap, **ratios})
        designs += [
            {**key, "layer": number, "shape": shape, **costs.choice(int(choice))}
            for number, (shape, choice) in enumerate(zip(costs.layers, case.choice, strict=True))
        ]
    cases = pd.DataFrame(rows)
    pd.DataFrame(designs).to_csv(ctx.dir / "designs.csv", index=False)
    write_certificate(ctx, cases, max(case.seconds for *_, case in solved))
    for name in compare:
        above = 100 * (cases[f"{name}_ratio"] - 1)
        known = above[np.isfinite(above)]
        ctx.metric(f"codesign.{name}.failed", int(len(above) - len(known)), "count")
        if len(known):
            ctx.metric(f"codesign.{name}.regret", float(known.mean()), "%")
            ctx.metric(f"codesign.{name}.least_regret", float(known.min()), "%")
    ctx.log(f"{int((cases['gap'] <= 0).sum())} of {len(cases)} optima proven")
