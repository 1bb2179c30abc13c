"""search: per-layer bit-widths for quality against cost, on the validation part alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mico_runner.sections import SearchConstraints, Sections
from mico_runner.steps import register
from mico_runner.steps.base import Inputs, Step, StepContext

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import pandas as pd

    from mico_runner.codegen.deployment import Deployment, Needs
    from mico_runner.graph.ir import Graph
    from mico_runner.hardware import Hardware
    from mico_runner.quant import PTQ
    from mico_runner.quant.qgraph import Assignment
    from mico_runner.search import Constraint, Cost, Problem, SearchResult, Space
    from mico_runner.steps.network import Latency
    from mico_runner.tasks.base import Measure

MEMORIES = ("flash_bytes", "ram_bytes")
_FLASH_OF_BOARD = "tables, structs and code as linked for {}, estimated; a program that is built shows what it takes"
_FLASH_OF_TABLES = "constant tables alone; code is not counted, as no board is named that the program is linked for"
AT_RISK = "latency_at_risk"  # the latency that is kept with the probability `risk` of the constraint


@register("search", section="search", needs=["train"], optional_needs=["fit"], order=50)
class Search(Step):
    """Search per-layer bit-widths under the spec's constraints."""

    VERSION = 11

    def inputs(self, spec: Sections) -> Inputs:
        from mico_runner.steps.inputs import deployment_of, network_inputs

        program = deployment_of(spec)
        return {**network_inputs(spec), "search": spec.search, "seed": spec.seed, "program": program}

    def run(self, ctx: StepContext) -> None:
        import json
        from dataclasses import replace
        from functools import cache

        import numpy as np
        import pandas as pd

        from mico_runner import search
        from mico_runner.search.problem import LOSS, QUALITY
        from mico_runner.steps.inputs import deployment_of, device_of, present
        from mico_runner.steps.network import (
            Latency,
            Scorer,
            load_data,
            memory_direction,
            quantiser,
            trained_graph,
            uniform,
        )

        section = present(ctx.spec.search)
        samples = load_data(ctx.spec)
        measure = samples.task.MEASURE
        network = trained_graph(ctx, samples)
        ptq = quantiser(ctx.spec, network, samples)
        score = Scorer(ptq, samples.task, samples.validation)
        risk = section.constraints.latency.risk if section.constraints.latency else None
        latency = Latency(ctx, network) if ctx.has("fit") else None
        at_risk = Latency(ctx, network, risk) if risk else None
        tried = section.space
        layers = [node.name for node in network.weighted]
        space = search.Space.grid(layers, tried.weight_bits, tried.activation_bits, tried.pinned)
        int8 = uniform(network, 8, 8)
        device = device_of(ctx.spec)
        deployment = deployment_of(ctx.spec)
        int8_needs = deployment.needs(ptq.quantize(int8))
        costs = _costs(network, device, space, latency, at_risk, _flash_of_all(deployment, ptq, network, int8))
        only_int8 = search.Space.of({layer: [bits] for layer, bits in int8.items()})
        int8_costs = _costs(network, device, only_int8, latency)
        reference = {name: cost.fixed + float(cost.table.sum()) for name, cost in int8_costs.items()}
        reference |= {"flash_bytes": int8_needs.flash, "ram_bytes": int8_needs.ram}
        memory = _Memory(ctx, ptq, space, deployment)
        others: dict[str, Callable[[np.ndarray], np.ndarray]] = {"ram_bytes": memory.ram}
        if deployment.board:  # code is no sum over layers: the tables alone are a lower bound
            others["flash_bytes"] = memory.flash
        if "energy" in costs and latency:
            others["edp"] = lambda population: problem.cost("energy", population) * problem.cost("latency", population)
            reference["edp"] = reference["energy"] * reference["latency"]
        quality = {"float": ctx.upstream_metric(f"train.validation_{measure.name}"), "int8": score(int8)[0]}

        def evaluate(population: np.ndarray) -> dict[str, np.ndarray]:
            found = list(ctx.map(score, [space.decode(config) for config in population]))
            goodness, loss = np.array([(measure.goodness(quality), loss) for quality, loss in found]).T
            return {QUALITY: goodness, LOSS: loss}

        @cache
        def curvature() -> np.ndarray:
            from mico_runner.quant.curvature import IMAGES
            from mico_runner.quant.curvature import curvature as by_gradients

            return by_gradients(ptq, samples.task, samples.train.first(IMAGES), space.choices)

        problem = search.Problem(
            space=space,
            evaluate=evaluate,
            objectives=[search.Objective(name) for name in section.objectives],
            costs=costs,
            others=others,
            constraints=_constraints(section.constraints, reference, quality, measure),
            budget=search.Budget(section.budget.evaluations, section.budget.seconds),
            journal=ctx.work / "evaluations.jsonl",
            log=ctx.log,
            measure=measure,
            curvature=curvature,
        )
        best_known = quality["float"]
        if section.choice == "one-standard-error" and section.objectives[0] == QUALITY:
            problem = replace(problem, tolerance=measure.standard_error(best_known, len(samples.validation)))
        searched = search.run(problem, section.algorithm, section.params, ctx.seed, ctx.progress)
        result = search.with_uniforms(problem, searched)
        table = _table(result, measure, space, reference)
        table.to_csv(ctx.dir / "evaluations.csv", index=False)
        table.loc[result.front].to_csv(ctx.dir / "front.csv", index=False)
        if latency:
            rows = search.report_non_monotone(space, costs["latency"].table)
            pd.DataFrame(rows).to_csv(ctx.dir / "non_monotone.csv", index=False)
            ctx.metric("search.non_monotone_pairs", len(rows), "count")
        chosen = space.decode(result.configs[result.chosen])
        limits = {c.metric: c.max for c in problem.constraints if c.metric in MEMORIES}
        bits = {layer: list(pair) for layer, pair in chosen.items()}
        choice = {"assignment": bits, measure.name: quality, "limits": limits}
        (ctx.dir / "choice.json").write_text(json.dumps(choice, indent=1), encoding="utf-8")
        ctx.log(
            "chosen, weight x activation bits: "
            + ", ".join(f"{k} {b.weight:g}x{b.activation}" for k, b in chosen.items())
        )

        best: Any = table.loc[result.chosen]
        tolerance, column = measure.allowed(len(samples.validation)), f"validation_{measure.name}"
        ctx.metric(f"search.{column}", best[column], measure.unit, measure.direction, tolerance)
        ctx.metric("search.evaluations", len(searched.configs), "count")
        ctx.metric("search.uniform_evaluations", len(table) - len(searched.configs), "count")
        ctx.metric("search.front_points", len(result.front), "count")
        better = {name: memory_direction(ctx.spec, name) for name in MEMORIES}
        ctx.metric("search.flash_bytes", int(best["flash_bytes"]), "bytes", better["flash_bytes"], tolerance="2%")
        ratio = best["flash_bytes"] / reference["flash_bytes"]
        ctx.metric("search.flash_ratio", ratio, "ratio", better["flash_bytes"], tolerance=0.02)
        ctx.metric("search.ram_bytes", int(best["ram_bytes"]), "bytes", better["ram_bytes"], tolerance="2%")
        ctx.log(f"flash: {_FLASH_OF_BOARD.format(deployment.board) if deployment.board else _FLASH_OF_TABLES}")
        if latency:
            ctx.metric("search.latency", best["latency"], latency.unit, "lower", tolerance="2%")
            ctx.metric("search.latency_ratio", best["latency_ratio"], "ratio", "lower", tolerance=0.02)
        if "energy" in costs:
            ctx.metric("search.energy", best["energy"], "pJ", "lower", tolerance="2%")
            ctx.metric("search.energy_ratio", best["energy_ratio"], "ratio", "lower", tolerance=0.02)
        if "edp" in reference:
            edp = best["energy"] * best["latency"]
            ctx.metric("search.edp", edp, f"pJ {present(latency).unit}", "lower", tolerance="4%")
            ctx.metric("search.edp_ratio", edp / reference["edp"], "ratio", "lower", tolerance=0.02)
        if section.compare or section.enumerate:
            _compare(ctx, problem, searched)
        chance = samples.task.knows_nothing(samples.validation.targets)
        ctx.metric(
            "search.hypervolume",
            search.hypervolume(problem, result, measure.goodness(chance), measure.goodness(quality["float"])),
            "ratio",
            "higher",
            tolerance=0.02,
        )
        _certify(ctx, problem, result)


def _certify(ctx: StepContext, problem: Problem, result: SearchResult) -> None:
    """Metrics, sensitivity.csv and a line of the log: how good the choice provably is under the additive model."""
    import pandas as pd

    from mico_runner import search

    proof, space = search.certify(problem, result), problem.space
    if proof is None:
        return
    ctx.metric("search.certificate.gap", proof.gap, "ratio")
    ctx.metric("search.certificate.model_error", proof.points, problem.measure.points)
    ctx.log(
        f"the choice is within {100 * proof.gap:.2g} % of the least {proof.metric} that any bits within the limits have under the"
        f" additive model; model error measured {proof.points:.2g} {problem.measure.points}".rstrip()
    )
    rows = [
        {"layer": layer, "weight_bits": bits.weight, "act_bits": bits.activation}
        | {"loss": proof.effects[i, j], "std": proof.std[i, j]}
        for i, layer in enumerate(space.layers)
        for j, bits in enumerate(space.choices)
        if space.mask[i, j]
    ]
    pd.DataFrame(rows).to_csv(ctx.dir / "sensitivity.csv", index=False, float_format="%.6g")


def _table(result: SearchResult, measure: Measure, space: Space, reference: dict[str, float]) -> pd.DataFrame:
    """All evaluated configurations in order, as the report reads them."""
    import pandas as pd

    from mico_runner.search.problem import LOSS, QUALITY

    qualities = [measure.goodness(value) for value in result.metrics[QUALITY]]
    table = pd.DataFrame({"order": range(len(result.configs)), f"validation_{measure.name}": qualities})
    table["loss"] = result.metrics[LOSS]
    for name in [key for key in result.metrics if key not in (QUALITY, LOSS)]:
        table[name] = result.metrics[name]
    for name in ("latency", "energy"):
        if name in reference:
            table[f"{name}_ratio"] = table[name] / reference[name]
    table["feasible"] = result.feasible.astype(int)
    table["chosen"] = 0
    table.loc[result.chosen, "chosen"] = 1
    for layer, column in zip(space.layers, result.configs.T, strict=True):
        table[f"{layer}.w"] = [space.choices[i].weight for i in column]
        table[f"{layer}.a"] = [space.choices[i].activation for i in column]
    return table


def _compare(ctx: StepContext, problem: Problem, result: SearchResult) -> None:
    """Further algorithms at the same budget; with `enumerate`, the regret of each against the whole space."""
    import pandas as pd

    from mico_runner import search
    from mico_runner.search.problem import QUALITY
    from mico_runner.steps.inputs import present

    section, measure = present(ctx.spec.search), problem.measure
    found = {section.algorithm: result}
    for name in section.compare:
        if name not in found:
            found[name] = search.run(problem, name, None, ctx.seed, ctx.progress)
    truth = search.enumerate_all(problem, ctx.progress) if section.enumerate else None
    if truth:
        recorded(problem, truth).to_csv(ctx.dir / "enumeration.csv", index=False, float_format="%.9g")
        known = pd.DataFrame(present(problem.curvature)())
        known.to_csv(ctx.dir / "curvature.csv", index=False, header=False, float_format="%.6g")
    rows = []
    for name, other in found.items():
        best = measure.goodness(float(other.metrics[QUALITY][other.chosen]))
        row = {"algorithm": name, "evaluations": len(other.configs), f"best_validation_{measure.name}": best}
        if truth:
            row["regret_points"] = regret = search.regret(problem, other, truth)
            ctx.metric(f"search.regret.{name}", regret, measure.points, "lower", tolerance=0.2)
        rows.append(row)
    if truth:
        ctx.metric("search.space_feasible", len(truth.configs), "count")
    pd.DataFrame(rows).to_csv(ctx.dir / "regret.csv", index=False)


def recorded(problem: Problem, truth: SearchResult) -> pd.DataFrame:
    """Every configuration: the choice of each layer, what an evaluation gave, what is free to know."""
    import pandas as pd

    space = problem.space
    names = [f"{bits.weight:g}x{bits.activation}" for bits in space.choices]
    table = pd.DataFrame(
        {layer: [names[i] for i in column] for layer, column in zip(space.layers, truth.configs.T, strict=True)}
    )
    return table.assign(**truth.metrics)


def _flash_of_all(deployment: Deployment, ptq: PTQ, network: Graph, int8: Assignment) -> int:
    """Bytes in every program, whatever its bits: code, at least so much of it; without a board the tables of nodes without weights."""
    from mico_runner.graph import costs

    deployed = ptq.quantize(int8)
    if deployment.board:
        return deployment.least_code(deployed)
    return deployment.needs(deployed).flash - costs.model_bytes(network, int8)


def _costs(
    network: Graph,
    device: Hardware,
    space: Space,
    latency: Latency | None,
    at_risk: Latency | None = None,
    code: int = 0,
) -> dict[str, Cost]:
    """Tables over layers and choices of every cost that adds up over the layers; `code`: flash of what is in every program."""
    import numpy as np

    from mico_runner.graph import costs
    from mico_runner.search import Cost
    from mico_runner.steps.network import simulated

    nodes = network.weighted
    flash = np.array([[costs.node_bytes(node, bits.weight) for bits in space.choices] for node in nodes], dtype=float)
    macs = np.array([costs.macs(network, node) for node in nodes], dtype=float)
    bops = macs[:, None] * np.array([bits.weight * bits.activation for bits in space.choices], dtype=float)
    tables = {"flash_bytes": Cost(flash, code, "bytes"), "bops": Cost(bops, unit="bit operations")}
    for name, predictor in (("latency", latency), (AT_RISK, at_risk)):
        if predictor:
            tables[name] = Cost(predictor.table(list(space.choices)), predictor.fixed, predictor.unit)
    if device.simulated:
        tables["energy"] = Cost(simulated(network, device, list(space.choices))["energy_pj"], unit="pJ")
    return tables


def _constraints(
    section: SearchConstraints, reference: dict[str, float], quality: dict[str, float], measure: Measure
) -> list[Constraint]:
    """The spec's limits as absolute ones."""
    from mico_runner.search import Constraint
    from mico_runner.search.problem import QUALITY
    from mico_runner.steps.inputs import limits_of

    constraints = []
    for name, limit in limits_of(section).items():
        metric = AT_RISK if limit is section.latency and section.latency.risk else name
        if limit.relative_to:
            most = limit.max * reference[name]  # of the expected latency, whatever the risk
            constraints.append(Constraint(metric, max=most, reference=reference[name], relative_to=limit.relative_to))
        else:
            constraints.append(Constraint(metric, max=limit.max))
    if rule := section.quality:
        base = measure.goodness(quality[rule.relative_to])
        floors = [] if rule.max_drop is None else [base - rule.max_drop]
        floors += [measure.goodness(bound) for bound in (rule.min, rule.max) if bound is not None]
        constraints.append(Constraint(QUALITY, min=max(floors), reference=base, relative_to=rule.relative_to))
    return constraints


@dataclass(frozen=True)
class _Lowered:
    """What the program of an assignment needs."""

    ptq: PTQ
    deployment: Deployment

    def __call__(self, assignment: Assignment) -> Needs:
        return self.deployment.needs(self.ptq.quantize(assignment))


class _Memory:
    """Flash and RAM of configurations: each is lowered once, as the program that would be generated."""

    def __init__(self, ctx: StepContext, ptq: PTQ, space: Space, deployment: Deployment) -> None:
        self._ctx, self._space, self._lower = ctx, space, _Lowered(ptq, deployment)
        self._known: dict[bytes, Needs] = {}

    def flash(self, population: np.ndarray) -> np.ndarray:
        """(P,) bytes."""
        return self._each(population, "flash")

    def ram(self, population: np.ndarray) -> np.ndarray:
        """(P,) bytes."""
        return self._each(population, "ram")

    def _each(self, population: np.ndarray, what: str) -> np.ndarray:
        import numpy as np

        new = {config.tobytes(): self._space.decode(config) for config in population}
        new = {key: bits for key, bits in new.items() if key not in self._known}
        self._known.update(zip(new, self._ctx.map(self._lower, new.values()), strict=True))
        return np.array([getattr(self._known[config.tobytes()], what) for config in population], dtype=float)
