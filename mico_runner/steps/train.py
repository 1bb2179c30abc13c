"""train: the float network, or the one a checkpoint holds."""

from __future__ import annotations

from mico_runner.sections import Sections
from mico_runner.steps import register
from mico_runner.steps.base import Inputs, Step, StepContext


@register("train", section="model", order=20)
class Train(Step):
    """Train the float network on the task's training part."""

    VERSION = 2

    def inputs(self, spec: Sections) -> Inputs:
        from mico_runner.steps.inputs import model_inputs, task_inputs

        return {
            "seed": spec.seed,
            "task": task_inputs(spec),
            "validation": spec.datasets.validation,
            **model_inputs(spec),
        }

    def run(self, ctx: StepContext) -> None:
        import numpy as np
        import pandas as pd

        from mico_runner.models import training
        from mico_runner.steps.inputs import present
        from mico_runner.steps.network import build_model, load_task, use_threads

        use_threads(ctx)
        task = load_task(ctx.spec)
        model = build_model(ctx.spec, task)
        recipe = present(ctx.spec.model).train

        if recipe is None:
            ctx.log("model.train is null: the network is taken as it is")
        else:
            ticks = iter(ctx.progress(range(recipe.epochs), total=recipe.epochs, desc="epochs"))
            history = training.train(
                model, task.train, task.validation, recipe, ctx.seed, ctx.work, lambda *_: next(ticks, None), ctx.log
            )
            pd.DataFrame(history).to_csv(ctx.dir / "history.csv", index=False)
        np.savez(ctx.dir / "model.npz", **{name: value.numpy() for name, value in model.state_dict().items()})
        validation = training.accuracy(training.logits(model, task.validation.floats()), task.validation.labels)
        right = training.logits(model, task.test.floats()).argmax(axis=1) == task.test.labels
        np.save(ctx.dir / "test_right.npy", right)  # of each test image: `simulate` compares on those that it runs
        test = float(right.mean() * 100)
        ctx.log(f"float accuracy: validation {validation:.2f} %, test {test:.2f} %")
        above = training.above_chance(validation, task.validation.labels)
        if above < 0:
            what, advice = "learnt", "try another model.train.lr"
            if recipe is None:
                what, advice = (
                    "knows",
                    "are its weights (model.weights) and what it takes (datasets.mean, std, scale) right?",
                )
            ctx.log(
                f"warning: the network {what} nothing: {validation:.2f} % of the validation images is no more than chance,"
                f" {validation - above:.2f} % (always the commonest class, and sampling noise); {advice}"
            )
        ctx.metric("train.above_chance", above, "points")
        for name, score, part in (("validation", validation, task.validation), ("test", test, task.test)):
            ctx.metric(f"train.{name}_accuracy", score, "%", "higher", training.accuracy_tolerance(len(part)))
        ctx.metric("train.parameters", sum(p.numel() for p in model.parameters()), "count")
