"""train: the float network, or the one a checkpoint holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mico_runner.sections import Sections
from mico_runner.steps import register
from mico_runner.steps.base import Inputs, Step, StepContext

if TYPE_CHECKING:
    from mico_runner.data.dataset import DataSet


@register("train", section="model", order=20)
class Train(Step):
    """Train the float network on the training part of the data."""

    VERSION = 3

    def inputs(self, spec: Sections) -> Inputs:
        from mico_runner.steps.inputs import data_inputs, model_inputs

        return {
            "seed": spec.seed,
            "data": data_inputs(spec),
            "validation": spec.datasets.validation,
            **model_inputs(spec),
        }

    def run(self, ctx: StepContext) -> None:
        import numpy as np

        from mico_runner.models import training
        from mico_runner.steps.inputs import present
        from mico_runner.steps.network import build_model, load_data, use_threads
        from mico_runner.steps.training import loss_of_teacher, trained

        use_threads(ctx)
        samples = load_data(ctx.spec)
        task, measure = samples.task, samples.task.MEASURE
        model = build_model(ctx.spec, samples)
        recipe = present(ctx.spec.model).train

        if recipe is None:
            ctx.log("model.train is null: the network is taken as it is")
        else:
            trained(ctx, model, samples, recipe, loss_of_teacher(ctx.spec, samples, model, ctx.work, ctx.log))
        np.savez(ctx.dir / "model.npz", **{name: value.numpy() for name, value in model.state_dict().items()})
        validation = task.quality(training.outputs(model, samples.validation), samples.validation)
        outputs = training.outputs(model, samples.test)
        np.save(ctx.dir / "test_outputs.npy", outputs)  # `simulate` compares on those samples that it runs
        test = task.quality(outputs, samples.test)
        ctx.log(f"float {measure.name}: validation {measure.text(validation)}, test {measure.text(test)}")
        _report_chance(ctx, samples, validation)
        for name, quality, part in (("validation", validation, samples.validation), ("test", test, samples.test)):
            tolerance = measure.allowed(len(part))
            ctx.metric(f"train.{name}_{measure.name}", quality, measure.unit, measure.direction, tolerance)
        ctx.metric("train.parameters", sum(p.numel() for p in model.parameters()), "count")


def _report_chance(ctx: StepContext, samples: DataSet, quality: float) -> None:
    """The metric train.above_chance, negative where the network knows nothing of its task; and a warning then."""
    from mico_runner.steps.inputs import present

    measure = samples.task.MEASURE
    chance = samples.task.knows_nothing(samples.validation.targets)
    above = measure.drop(quality, chance)
    ctx.metric("train.above_chance", above, measure.points)
    if above < 0:
        what, advice = "learnt", "try another model.train.lr"
        if present(ctx.spec.model).train is None:
            what, advice = (
                "knows",
                "are its weights (model.weights) and what it takes (datasets.mean, std, scale) right?",
            )
        ctx.log(
            f"warning: the network {what} nothing: {measure.name} {measure.text(quality)} on the validation samples is no more than"
            f" chance, {measure.text(chance)}; {advice}"
        )
