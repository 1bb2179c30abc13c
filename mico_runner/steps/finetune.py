"""finetune: quantisation-aware training of the integer network, at the bits that are deployed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mico_runner.sections import Sections
from mico_runner.steps import register
from mico_runner.steps.base import Inputs, Step, StepContext

if TYPE_CHECKING:
    import torch

    from mico_runner.data.dataset import Split
    from mico_runner.models.training import Loss
    from mico_runner.quant import PTQ
    from mico_runner.quant.trainable import Trainable
    from mico_runner.sections import Finetune as Section
    from mico_runner.tasks.base import Task

STEPS_OFF = 1.5  # of the output, of 16 bits: beyond one, which sums in another order may make


@register("finetune", section="finetune", needs=["train"], optional_needs=["search"], order=55)
class Finetune(Step):
    """Train the integer network at the bits that are deployed."""

    def inputs(self, spec: Sections) -> Inputs:
        from mico_runner.steps.inputs import present

        given = {} if spec.search else {key: getattr(present(spec.codegen), key) for key in ("bits", "ends")}
        return {"finetune": spec.finetune, "quantization": spec.quantization, "seed": spec.seed, **given}

    def run(self, ctx: StepContext) -> None:
        from mico_runner.models import training
        from mico_runner.quant import storage
        from mico_runner.quant.trainable import Trainable
        from mico_runner.steps.inputs import present
        from mico_runner.steps.network import Scorer, assignment_of, load_data, quantiser, trained_graph
        from mico_runner.steps.training import trained

        samples = load_data(ctx.spec)
        task, measure, recipe = samples.task, samples.task.MEASURE, present(ctx.spec.finetune)
        network = trained_graph(ctx, samples)
        assignment = assignment_of(ctx, network)
        ptq = quantiser(ctx.spec, network, samples)
        before = Scorer(ptq, task, samples.validation)(assignment)[0]
        model = Trainable(ptq, assignment, from_integers=recipe.start == "integers")
        trained(ctx, model, samples, recipe, _loss(ptq, model, task, recipe), "finetune")
        storage.save(model.deployed(), ctx.dir / "qgraph")
        after = task.quality(training.outputs(model, samples.validation), samples.validation)
        ctx.log(
            f"validation {measure.name} of the integers: {measure.text(before)} before, {measure.text(after)} after"
        )
        tolerance = measure.allowed(len(samples.validation))
        ctx.metric(f"finetune.validation_{measure.name}", after, measure.unit, measure.direction, tolerance)
        ctx.metric("finetune.gain", measure.drop(after, before), measure.points)
        ctx.metric("finetune.outputs_off_grid", _off_grid(model, samples.validation), "%", "lower", 1)


def _loss(ptq: PTQ, model: Trainable, task: Task, recipe: Section) -> Loss:
    """The distance from what the float network makes of the same samples."""
    from mico_runner.models import training
    from mico_runner.quant.rounding.learned import floats
    from mico_runner.quant.rounding.reconstruction import distance_of

    kept, distance = distance_of(ptq)
    output = ptq.graph.output
    read = {output, *kept} if recipe.reconstruction else {output}

    def loss(outputs: torch.Tensor, targets: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        wanted = floats(ptq, [inputs], read)
        found = training.distilled(task, lambda _: wanted[output], recipe.distillation)(outputs, targets, inputs)
        return found + recipe.reconstruction * distance(model.seen, wanted) if recipe.reconstruction else found

    return loss


def _off_grid(model: Trainable, samples: Split) -> float:
    """Percentage of outputs that training computes otherwise than the integers that it is to stand for."""
    import numpy as np
    import torch

    from mico_runner.models import training

    of = model.deployed()
    scale, off, count = of.tensors[of.output].type.scale, 0, 0
    for part in samples.parts(training.BATCH):
        integers = training.outputs(model, part)
        model.train()
        with torch.no_grad():
            real = model(torch.from_numpy(part.floats())).numpy()
        off += int((np.abs(real - integers) > STEPS_OFF * scale).sum())
        count += real.size
    return 100 * off / count
