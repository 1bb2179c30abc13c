"""exits: heads at which the network may end early, and the exact choice of exits, margins and clocks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mico_runner.sections import Exits as Section
from mico_runner.sections import Sections
from mico_runner.steps import register
from mico_runner.steps.base import Inputs, Step, StepContext

if TYPE_CHECKING:
    import numpy as np
    import torch

    from mico_runner.data.dataset import DataSet, Split
    from mico_runner.exits.exact import Found
    from mico_runner.exits.heads import Heads
    from mico_runner.exits.problem import Choice, Problem
    from mico_runner.graph.ir import Graph
    from mico_runner.models.training import Loss
    from mico_runner.quant.qgraph import Assignment, QGraph
    from mico_runner.tasks.base import Task

ALIKE = 1e-6  # relative: less is the rounding of sums


@register("exits", section="model.exits", needs=["train", "fit"], order=57)
class Exits(Step):
    """Train heads at which the network may end early, and choose which are built, how sure they must be, and the clocks."""

    def inputs(self, spec: Sections) -> Inputs:
        from mico_runner.steps.inputs import data_inputs, deployment_of, device_of, network_inputs, present

        codegen = present(spec.codegen)
        return {
            "exits": present(spec.model).exits,
            "operating_points": device_of(spec).operating_points,
            "bits": [codegen.bits, codegen.ends],
            "program": deployment_of(spec),
            "data": data_inputs(spec),
            "validation": spec.datasets.validation,
            "seed": spec.seed,
            **network_inputs(spec),
        }

    def run(self, ctx: StepContext) -> None:
        import json

        from mico_runner.quant import storage
        from mico_runner.quant.exits import staged
        from mico_runner.quant.qgraph import Exit, LayerBits
        from mico_runner.steps.inputs import device_of, present
        from mico_runner.steps.network import assignment_of, load_data, quantiser, trained_graph

        section = present(present(ctx.spec.model).exits)
        points = present(device_of(ctx.spec).operating_points)
        samples = load_data(ctx.spec)
        network = trained_graph(ctx, samples)
        heads = _learnt(ctx, section, network, samples)
        attached = heads.attached()
        assignment = assignment_of(ctx, network)
        assignment |= {n.name: LayerBits(*section.bits) for n in attached.weighted if n.name not in assignment}
        whole = quantiser(ctx.spec, attached, samples).quantize(assignment)
        cycles = _cycles(ctx, attached, staged(whole, [Exit(t, 1) for t in whole.outputs[:-1]]), assignment)
        problem = _problem(whole, samples.validation, cycles, section)
        problem = replace(
            problem, points=points.points, seconds=section.seconds * problem.backbone.sum() / points.fastest.hertz
        )
        found, seconds = _timed(problem)
        best = present(found.best)
        ctx.metric("exits.choices", found.points, "count")
        ctx.metric("exits.choice_time", seconds, "s", "lower", "50%", volatile=True)
        deployed = staged(whole, [Exit(whole.outputs[e], m) for e, m in zip(best.exits, best.margins, strict=True)])
        storage.save(deployed, ctx.dir / "qgraph")
        shares = _report(ctx, problem, best, _problem(whole, samples.test, cycles, section))
        _tables(ctx, heads, problem, found.front, best, shares)
        content = {"cycles": problem.stages(best.exits).tolist(), "shares": shares.tolist()}
        (ctx.dir / "stages.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
        for name in section.compare:
            _compare(ctx, problem, best, name)


def _learnt(ctx: StepContext, section: Section, network: Graph, samples: DataSet) -> Heads:
    """The network with trained heads."""
    import torch

    from mico_runner.exits import places
    from mico_runner.exits.heads import Heads
    from mico_runner.steps.training import trained

    at = places.checked(network, section.at) if section.at else places.spread(network, section.most)
    torch.manual_seed(ctx.seed)
    heads = Heads(network, at, section.channels)
    loss = _loss(samples.task, section.train.distillation)
    trained(ctx, heads, samples, section.train, loss, "model.exits.train")
    heads.eval()
    return heads


def _loss(task: Task, share: float) -> Loss:
    def loss(outputs: torch.Tensor, targets: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        *own, teacher = outputs.unbind(2)
        found = outputs.new_zeros(())
        for each in own:
            found = found + share * task.distance(each, teacher) + (1 - share) * task.loss(each, targets, inputs)
        return found

    return loss


def _cycles(ctx: StepContext, attached: Graph, whole: QGraph, assignment: Assignment) -> tuple[np.ndarray, np.ndarray]:
    """Predicted cycles of the network from each place to the next (exits + 1,), and of the heads (exits,)."""
    import numpy as np

    from mico_runner.quant.exits import stages
    from mico_runner.steps.inputs import deployment_of
    from mico_runner.steps.network_latency import Latency

    calls = Latency(ctx, attached).coverage(deployment_of(ctx.spec).lower(whole), assignment)
    calls.to_csv(ctx.dir / "calls.csv", index=False)
    left_out = calls[calls["latency"].isna()]
    ctx.metric("exits.latency_coverage", 100 * (1 - len(left_out) / len(calls)), "%", "higher")
    if len(left_out):
        ctx.log(f"not counted, as the profile has no such kernels: {', '.join(left_out['call'])}")
    of_node = calls.groupby("node")["latency"].sum()  # NaN counts as 0
    backbone, heads = [], []
    for number, stage in enumerate(stages(whole)):
        own = [node.name for node in stage if node.name in of_node.index]
        of_head = [name for name in own if name.startswith(f"exit{number}.")]
        heads.append(float(of_node[of_head].sum()))
        backbone.append(float(of_node[[name for name in own if name not in of_head]].sum()))
    return np.array(backbone), np.array(heads[:-1])


def _problem(whole: QGraph, samples: Split, cycles: tuple[np.ndarray, np.ndarray], section: Section) -> Problem:
    """Margins and right answers of all exits on some samples; without operating points."""
    import numpy as np

    from mico_runner import quant
    from mico_runner.exits.problem import Problem
    from mico_runner.quant.executor import Executor
    from mico_runner.quant.exits import margins
    from mico_runner.steps.network import SCORED_AT_ONCE

    executor = Executor(whole)
    parts = [executor.run_many([quant.quantize_input(whole, p.floats())]) for p in samples.parts(SCORED_AT_ONCE)]
    answers = [np.concatenate(each) for each in zip(*parts, strict=True)]
    right = np.array([each.argmax(1) == samples.targets for each in answers])
    sure = np.array([margins(each) for each in answers[:-1]])
    return Problem(sure, right, *cycles, (), 0.0, section.drop, section.margins)


def _timed(problem: Problem) -> tuple[Found, float]:
    from time import process_time

    from mico_runner.exits import exact

    begin = process_time()
    found = exact.solve(problem)
    return found, process_time() - begin


def _report(ctx: StepContext, problem: Problem, best: Choice, test: Problem) -> np.ndarray:
    """Metrics of the choice on the test part; returns the share of samples that runs each stage there."""
    from mico_runner.exits import exact

    accuracy, shares = test.judged(best.exits, best.margins)
    end = 100 * float(test.right[-1].mean())
    cycles, whole = problem.stages(best.exits), float(problem.backbone.sum())
    joules = float((shares * cycles * problem.joules_per_cycle[list(best.clocks)]).sum())
    fastest = max(problem.points, key=lambda point: (point.hertz, -point.watts))
    alone = exact.timely(problem, ())[1].min()  # without exits, at the cheapest clock within the same time
    expected = float((shares * cycles).sum())
    ctx.metric("exits.accuracy", accuracy, "%", "higher", 0.3)
    ctx.metric("exits.accuracy_drop", end - accuracy, "points", "lower", 0.1)
    ctx.metric("exits.built", len(best.exits), "count")
    ctx.metric("exits.early", 100 * (1 - float(shares[-1])) if best.exits else 0.0, "%", "higher", 2)
    ctx.metric("exits.expected_cycles", expected, "cycles", "lower", "2%")
    ctx.metric("exits.cycles_saving", 100 * (1 - expected / whole), "%", "higher", 1)
    ctx.metric("exits.energy", joules, "J", "lower", "2%")
    ctx.metric("exits.energy_saving", 100 * (1 - joules * fastest.hertz / (whole * fastest.watts)), "%", "higher", 1)
    ctx.metric("exits.energy_saving_at_equal_time", 100 * (1 - joules / alone), "%", "higher", 1)
    ctx.metric("exits.longest_time", best.seconds, "s", "lower", "1%")
    ctx.log(
        f"{len(best.exits)} of {problem.exits} exits built, taken by {1 - shares[-1]:.1%} of the test samples:"
        f" accuracy {accuracy:.2f} %, {end:.2f} % without;"
        f" {1 - expected / whole:.1%} fewer cycles, {1 - joules / alone:.1%} less energy than without exits in the same time"
    )
    return shares


def _tables(
    ctx: StepContext, heads: Heads, problem: Problem, front: tuple[Choice, ...], best: Choice, shares: np.ndarray
) -> None:
    """stages.csv and front.csv."""
    import pandas as pd

    rows = []
    cycles = problem.stages(best.exits)
    for stage, (count, share, clock) in enumerate(zip(cycles, shares, best.clocks, strict=True)):
        place = heads.places[best.exits[stage]] if stage < len(best.exits) else "end"
        margin = best.margins[stage] if stage < len(best.margins) else 0
        point = problem.points[clock]
        row = {"stage": stage, "ends_after": place, "margin": margin, "cycles": count, "share": share}
        rows.append(row | {"volt": point.volts, "hertz": point.hertz, "joules": count * point.watts / point.hertz})
    pd.DataFrame(rows).to_csv(ctx.dir / "stages.csv", index=False, float_format="%.6g")
    columns = ["accuracy", "joules", "seconds", "exits", "margins", "clocks", "chosen"]
    table = [
        [
            c.accuracy,
            c.joules,
            c.seconds,
            *(" ".join(map(str, each)) for each in (c.exits, c.margins, c.clocks)),
            int(c == best),
        ]
        for c in front
    ]
    pd.DataFrame(table, columns=columns).to_csv(ctx.dir / "front.csv", index=False, float_format="%.6g")


def _compare(ctx: StepContext, problem: Problem, best: Choice, name: str) -> None:
    """What NSGA-II in NSGA-II finds beside the exact choice, on the validation part that both choose with."""
    from mico_runner.errors import StepError
    from mico_runner.exits import nested

    other = nested.solve(problem, ctx.seed)
    if other is None:
        ctx.log(f"{name} finds nothing within the limits")
        return
    if other.joules < best.joules * (1 - ALIKE):
        raise StepError(f"{name} finds {other.joules:.6g} J, less than the exact choice's {best.joules:.6g} J")
    ctx.metric(f"exits.{name}.energy_ratio", other.joules / best.joules, "ratio")
