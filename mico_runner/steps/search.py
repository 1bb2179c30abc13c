"""search: per-layer bit-widths for quality against cost, on the validation part alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mico_runner.sections import Sections
from mico_runner.steps import register
from mico_runner.steps.base import Inputs, Step, StepContext

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from mico_runner.codegen.deployment import Deployment
    from mico_runner.data.dataset import DataSet
    from mico_runner.graph.ir import Graph
    from mico_runner.quant import PTQ
    from mico_runner.quant.qgraph import Assignment
    from mico_runner.search.problem import Problem
    from mico_runner.search.running import SearchResult
    from mico_runner.steps.network_latency import Latency

MEMORIES = ("flash_bytes", "ram_bytes")
_FLASH_OF_BOARD = "tables, structs and code as linked for {}, estimated; a program that is built shows what it takes"
_FLASH_OF_TABLES = "constant tables alone; code is not counted, as no board is named that the program is linked for"


@register("search", section="search", needs=["train"], optional_needs=["fit"], order=50)
class Search(Step):
    """Search per-layer bit-widths under the spec's constraints."""

    VERSION = 11

    def inputs(self, spec: Sections) -> Inputs:
        from mico_runner.steps.inputs import deployment_of, network_inputs

        program = deployment_of(spec)
        return {**network_inputs(spec), "search": spec.search, "seed": spec.seed, "program": program}

    def run(self, ctx: StepContext) -> None:
        from mico_runner import search
        from mico_runner.steps.inputs import present
        from mico_runner.steps.search_results import certify, compare, evaluated

        section = present(ctx.spec.search)
        asked = _asked(ctx)
        problem, measure = asked.problem, asked.problem.measure
        searched = search.run(problem, section.algorithm, section.params, ctx.seed, ctx.progress)
        result = search.with_uniforms(problem, searched)
        table = evaluated(result, measure, problem.space, asked.reference)
        table.to_csv(ctx.dir / "evaluations.csv", index=False)
        table.loc[result.front].to_csv(ctx.dir / "front.csv", index=False)
        _monotony(ctx, asked)
        best: Any = table.loc[result.chosen]
        chosen = _choice(ctx, asked, result)
        if section.rounding:
            seen = float(best[f"validation_{measure.name}"])
            _round(ctx, asked.network, asked.samples, chosen, asked.ptq, seen)
        _chosen_metrics(ctx, asked, best)
        ctx.metric("search.evaluations", len(searched.configs), "count")
        ctx.metric("search.uniform_evaluations", len(table) - len(searched.configs), "count")
        ctx.metric("search.front_points", len(result.front), "count")
        if section.compare or section.enumerate:
            compare(ctx, problem, searched)
        chance = asked.samples.task.knows_nothing(asked.samples.validation.targets)
        ends = measure.goodness(chance), measure.goodness(asked.quality["float"])
        volume = search.hypervolume(problem, result, *ends)
        ctx.metric("search.hypervolume", volume, "ratio", "higher", tolerance=0.02)
        certify(ctx, problem, result)


@dataclass(frozen=True)
class _Asked:
    """The problem that a spec asks to solve, and what it was made of.

    Attributes:
        reference: costs of the network at 8 x 8 bits, by name.
        quality: on the validation part, of the float network and at 8 x 8 bits.
        latency: what predicts it, if anything does.
    """

    samples: DataSet
    network: Graph
    ptq: PTQ
    deployment: Deployment
    problem: Problem
    reference: dict[str, float]
    quality: dict[str, float]
    latency: Latency | None


def _asked(ctx: StepContext) -> _Asked:
    from dataclasses import replace
    from functools import cache

    import numpy as np

    from mico_runner import search
    from mico_runner.search.problem import LOSS, QUALITY
    from mico_runner.steps.inputs import deployment_of, device_of, present
    from mico_runner.steps.network import Scorer, load_data, quantiser, trained_graph, uniform
    from mico_runner.steps.network_latency import Latency
    from mico_runner.steps.search_costs import MemoryNeeds, costs_of, flash_of_all, limits_to_keep

    section = present(ctx.spec.search)
    samples = load_data(ctx.spec)
    measure = samples.task.MEASURE
    network = trained_graph(ctx, samples)
    ptq = quantiser(ctx.spec, network, samples, section.rounding)
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
    costs = costs_of(network, device, space, latency, at_risk, flash_of_all(deployment, ptq, network, int8))
    only_int8 = search.Space.of({layer: [bits] for layer, bits in int8.items()})
    int8_costs = costs_of(network, device, only_int8, latency)
    reference = {name: cost.fixed + float(cost.table.sum()) for name, cost in int8_costs.items()}
    reference |= {"flash_bytes": int8_needs.flash, "ram_bytes": int8_needs.ram}
    memory = MemoryNeeds(ctx, ptq, space, deployment)
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
        constraints=limits_to_keep(section.constraints, reference, quality, measure),
        budget=search.Budget(section.budget.evaluations, section.budget.seconds),
        journal=ctx.work / "evaluations.jsonl",
        log=ctx.log,
        measure=measure,
        curvature=curvature,
    )
    if section.choice == "one-standard-error" and section.objectives[0] == QUALITY:
        tolerance = measure.standard_error(quality["float"], len(samples.validation))
        problem = replace(problem, tolerance=tolerance)
    return _Asked(samples, network, ptq, deployment, problem, reference, quality, latency)


def _monotony(ctx: StepContext, asked: _Asked) -> None:
    """Where the predicted latency of a layer falls with more bits."""
    import pandas as pd

    from mico_runner import search

    if asked.latency:
        rows = search.report_non_monotone(asked.problem.space, asked.problem.costs["latency"].table)
        pd.DataFrame(rows).to_csv(ctx.dir / "non_monotone.csv", index=False)
        ctx.metric("search.non_monotone_pairs", len(rows), "count")


def _choice(ctx: StepContext, asked: _Asked, result: SearchResult) -> Assignment:
    """The chosen bits, which later steps read from choice.json."""
    import json

    problem = asked.problem
    chosen = problem.space.decode(result.configs[result.chosen])
    limits = {c.metric: c.max for c in problem.constraints if c.metric in MEMORIES}
    bits = {layer: list(pair) for layer, pair in chosen.items()}
    choice = {"assignment": bits, problem.measure.name: asked.quality, "limits": limits}
    (ctx.dir / "choice.json").write_text(json.dumps(choice, indent=1), encoding="utf-8")
    pairs = ", ".join(f"{k} {b.weight:g}x{b.activation}" for k, b in chosen.items())
    ctx.log(f"chosen, weight x activation bits: {pairs}")
    return chosen


def _chosen_metrics(ctx: StepContext, asked: _Asked, best: Any) -> None:
    """Quality and costs of the chosen row of the table of evaluations."""
    from mico_runner.steps.network import memory_direction

    measure, latency, reference = asked.problem.measure, asked.latency, asked.reference
    tolerance, column = measure.allowed(len(asked.samples.validation)), f"validation_{measure.name}"
    ctx.metric(f"search.{column}", best[column], measure.unit, measure.direction, tolerance)
    better = {name: memory_direction(ctx.spec, name) for name in MEMORIES}
    ctx.metric("search.flash_bytes", int(best["flash_bytes"]), "bytes", better["flash_bytes"], tolerance="2%")
    ratio = best["flash_bytes"] / reference["flash_bytes"]
    ctx.metric("search.flash_ratio", ratio, "ratio", better["flash_bytes"], tolerance=0.02)
    ctx.metric("search.ram_bytes", int(best["ram_bytes"]), "bytes", better["ram_bytes"], tolerance="2%")
    board = asked.deployment.board
    ctx.log(f"flash: {_FLASH_OF_BOARD.format(board) if board else _FLASH_OF_TABLES}")
    if latency:
        ctx.metric("search.latency", best["latency"], latency.unit, "lower", tolerance="2%")
        ctx.metric("search.latency_ratio", best["latency_ratio"], "ratio", "lower", tolerance=0.02)
    if "energy" in asked.problem.costs:
        ctx.metric("search.energy", best["energy"], "pJ", "lower", tolerance="2%")
        ctx.metric("search.energy_ratio", best["energy_ratio"], "ratio", "lower", tolerance=0.02)
    if latency and "edp" in reference:
        edp = best["energy"] * best["latency"]
        ctx.metric("search.edp", edp, f"pJ {latency.unit}", "lower", tolerance="4%")
        ctx.metric("search.edp_ratio", edp / reference["edp"], "ratio", "lower", tolerance=0.02)


def _round(ctx: StepContext, network: Graph, samples: DataSet, chosen: Assignment, searched: PTQ, seen: float) -> None:
    """The integers that are deployed, where bits were searched with weights rounded otherwise: the better on the validation part.

    Args:
        searched: what rounded while bits were searched, with which the choice has the quality `seen`.
    """
    from mico_runner.quant import storage
    from mico_runner.steps.network import Scorer, quantiser

    ptq, measure = quantiser(ctx.spec, network, samples), samples.task.MEASURE
    deployed = ptq.quantize(chosen)
    quality = Scorer(ptq, samples.task, samples.validation).of(deployed)[0]
    ctx.log(
        f"validation {measure.name} of the choice: {measure.text(seen)} with weights rounded by {searched.weights.rounding}, "
        f"{measure.text(quality)} by {ptq.weights.rounding}; the better is deployed"
    )
    if measure.drop(seen, quality) > 0:
        deployed, quality = searched.quantize(chosen), seen
    storage.save(deployed, ctx.dir / "qgraph")
    name, tolerance = f"search.deployed_validation_{measure.name}", measure.allowed(len(samples.validation))
    ctx.metric(name, quality, measure.unit, measure.direction, tolerance)
