"""crossvalidate: every sample is tested on once, by a network that was trained and quantised without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mico_runner.sections import Sections
from mico_runner.steps import register
from mico_runner.steps.base import Inputs, Step, StepContext

if TYPE_CHECKING:
    from mico_runner.data.source import Parting


@register("crossvalidate", section="crossvalidate", order=25)
class Crossvalidate(Step):
    """Quality of the float and of the quantised network on each part of the samples, left out in turn."""

    VERSION = 1

    def inputs(self, spec: Sections) -> Inputs:
        from mico_runner.steps.inputs import data_inputs, model_inputs, present

        return {
            "crossvalidate": present(spec.crossvalidate),
            "seed": spec.seed,
            "data": data_inputs(spec),
            "validation": spec.datasets.validation,
            "quantization": spec.quantization,
            **model_inputs(spec),
        }

    def run(self, ctx: StepContext) -> None:
        from dataclasses import replace

        import pandas as pd

        from mico_runner.models import training
        from mico_runner.steps.inputs import present, source_of_data
        from mico_runner.steps.network import Scorer, build_model, captured, load_part, quantiser, uniform, use_threads

        use_threads(ctx)
        section, source = present(ctx.spec.crossvalidate), source_of_data(ctx.spec)
        recipe = present(present(ctx.spec.model).train)
        parts = _parts(ctx, source.parting)
        rows: list[dict[str, str | int | float]] = []
        for name, parting in ctx.progress(parts.items(), total=len(parts), desc="parts"):
            samples = load_part(ctx.spec, replace(source, parting=parting))
            model = build_model(ctx.spec, samples)
            work = ctx.work / f"part{len(rows)}"
            work.mkdir(exist_ok=True)
            training.train(model, samples.task, samples.train, samples.validation, recipe, ctx.seed, work, log=ctx.log)
            before = samples.task.quality(training.outputs(model, samples.test), samples.test)
            network = captured(model, samples, ctx.spec.name)
            ptq = quantiser(ctx, network, samples)
            after, _ = Scorer(ptq, samples.task, samples.test)(uniform(network, *section.bits))
            rows.append({"part": name, "samples": len(samples.test), "float": before, "quantised": after})
            measure = samples.task.MEASURE
            ctx.log(f"{name}: {measure.name} {measure.text(before)}, quantised {measure.text(after)}")
        table = pd.DataFrame(rows)
        table.to_csv(ctx.dir / "parts.csv", index=False)
        tolerance = measure.allowed(int(table["samples"].sum()))
        for kind in ("float", "quantised"):
            worst = table[kind].min() if measure.higher else table[kind].max()
            for word, value in (("mean", table[kind].mean()), ("worst", worst)):
                name = f"crossvalidate.{kind}.{word}_{measure.name}"
                ctx.metric(name, float(value), measure.unit, measure.direction, tolerance)
        drop = measure.drop(table["float"].mean(), table["quantised"].mean())
        ctx.metric(f"crossvalidate.{measure.name}_drop", float(drop), measure.points, "lower", tolerance)
        ratio = float(table["quantised"].mean() / table["float"].mean())
        ctx.metric(f"crossvalidate.{measure.name}_ratio", ratio, "ratio", measure.direction, tolerance=0.01)


def _parts(ctx: StepContext, parting: Parting) -> dict[str, Parting]:
    """What is tested on in turn, by name."""
    from dataclasses import replace

    from mico_runner.data import loading
    from mico_runner.steps.inputs import present, source_of_data

    section = present(ctx.spec.crossvalidate)
    if section.group_by:
        values = loading.groups(source_of_data(ctx.spec), section.group_by)
        return {value: replace(parting, hold_out={section.group_by: (value,)}) for value in values}
    folds = present(section.folds)
    return {f"fold {i + 1}": replace(parting, hold_out={}, fold=(i, folds)) for i in range(folds)}
