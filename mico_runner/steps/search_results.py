"""What a search leaves: the table of all it evaluated, the proof of its choice, other algorithms beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mico_runner.search import Problem, SearchResult, Space
    from mico_runner.steps.base import StepContext
    from mico_runner.tasks.base import Measure


def certify(ctx: StepContext, problem: Problem, result: SearchResult) -> None:
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
    _say_what_bound(ctx, problem, result, proof.slope * proof.effects)


def _say_what_bound(ctx: StepContext, problem: Problem, result: SearchResult, points: np.ndarray) -> None:
    """binding.csv, a line for each change, and a line of the log for each limit."""
    import pandas as pd

    from mico_runner import search

    rows = []
    for bound in search.bindings(problem, result.configs[result.chosen], points):
        ctx.log(bound.text(problem.measure.points))
        for what, change in bound.changes:
            bits = {"weight_bits": change.bits.weight, "act_bits": change.bits.activation}
            percent = {"change_percent": 100 * change.share, "quality_points": change.points}
            rows.append(
                {"layer": change.layer, **bits, "limit": bound.metric, "used": bound.used, "what": what, **percent}
            )
    columns = ["layer", "weight_bits", "act_bits", "limit", "used", "what", "change_percent", "quality_points"]
    pd.DataFrame(rows, columns=columns).to_csv(ctx.dir / "binding.csv", index=False, float_format="%.6g")


def evaluated(result: SearchResult, measure: Measure, space: Space, reference: dict[str, float]) -> pd.DataFrame:
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
    bits = {}
    for layer, column in zip(space.layers, result.configs.T, strict=True):
        bits[f"{layer}.w"] = [space.choices[i].weight for i in column]
        bits[f"{layer}.a"] = [space.choices[i].activation for i in column]
    return pd.concat(
        [table, pd.DataFrame(bits)], axis=1
    )  # at once: pandas warns of a hundred columns one after another


def compare(ctx: StepContext, problem: Problem, result: SearchResult) -> None:
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
