"""crossvalidate: samples are tested on by a network that was trained and quantised without it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mico_runner.sections import Sections
from mico_runner.steps import register
from mico_runner.steps.base import Inputs, Step, StepContext

if TYPE_CHECKING:
    from mico_runner.data.source import Parting
    from mico_runner.tasks.base import Measure


@register("crossvalidate", section="crossvalidate", order=25)
class Crossvalidate(Step):
    """Quality of the float and of the quantised network on each part of the samples, left out in turn, or on each draw of a test part."""

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
        import pandas as pd

        from mico_runner.steps.inputs import source_of_data
        from mico_runner.steps.network import use_threads

        use_threads(ctx)
        parts = _parts(ctx, source_of_data(ctx.spec).parting)
        rows: list[dict[str, str | int | float]] = []
        found = ctx.map(_TestedOn(ctx.spec, ctx.work, ctx.torch_threads), enumerate(parts.items()))
        for row, measure, said in ctx.progress(found, total=len(parts), desc="parts"):
            for message in said:
                ctx.log(message)
            rows.append(row)
            words = f"{measure.name} {measure.text(row['float'])}, quantised {measure.text(row['quantised'])}"
            ctx.log(f"{row['part']}: {words}")
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


@dataclass(frozen=True)
class _TestedOn:
    """A network trained without a part of the samples, and tested on it: the row of the table, its measure, lines for the log."""

    spec: Sections
    work: Path
    threads: int

    def __call__(self, part: tuple[int, tuple[str, Parting]]) -> tuple[dict[str, object], Measure, list[str]]:
        from dataclasses import replace

        import torch

        from mico_runner.models import training
        from mico_runner.steps.inputs import present, source_of_data
        from mico_runner.steps.network import Scorer, build_model, captured, load_part, quantiser, uniform
        from mico_runner.steps.training import loss_of_teacher

        torch.set_num_threads(self.threads)
        number, (name, parting) = part
        samples = load_part(self.spec, replace(source_of_data(self.spec), parting=parting))
        model, task, test = build_model(self.spec, samples), samples.task, samples.test
        recipe = present(present(self.spec.model).train)
        work = self.work / f"part{number}"
        work.mkdir(exist_ok=True)
        said: list[str] = []
        loss = loss_of_teacher(self.spec, samples, model, work, said.append)
        train, validation, seed = samples.train, samples.validation, self.spec.seed
        training.train(model, training.Lesson(task, train, validation, recipe, seed, loss), work, log=said.append)
        before = task.quality(training.outputs(model, test), test)
        network = captured(model, samples, self.spec.name)
        ptq = quantiser(self.spec, network, samples)
        after, _ = Scorer(ptq, task, test)(uniform(network, *present(self.spec.crossvalidate).bits))
        return {"part": name, "samples": len(test), "float": before, "quantised": after}, task.MEASURE, said


def _parts(ctx: StepContext, parting: Parting) -> dict[str, Parting]:
    """What is tested on in turn, by name."""
    from dataclasses import replace

    from mico_runner.data import loading
    from mico_runner.steps.inputs import present, source_of_data

    section = present(ctx.spec.crossvalidate)
    if section.group_by:
        values = loading.groups(source_of_data(ctx.spec), section.group_by)
        return {value: replace(parting, hold_out={section.group_by: (value,)}) for value in values}
    if section.draws:
        return {f"draw {i + 1}": replace(parting, hold_out={}, draw=i) for i in range(section.draws)}
    folds = present(section.folds)
    return {f"fold {i + 1}": replace(parting, hold_out={}, fold=(i, folds)) for i in range(folds)}
