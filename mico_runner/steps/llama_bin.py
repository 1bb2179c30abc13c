"""Files of llama2.c in place of a C program: what its own programs read."""

from __future__ import annotations

from math import gcd

from mico_runner.data.dataset import DataSet
from mico_runner.errors import StepError
from mico_runner.models import training
from mico_runner.steps.base import StepContext

MOST_GROUP = 64  # weights of one scale, as llama2.c's own export has at most


def write_llama(ctx: StepContext, samples: DataSet) -> None:
    """Write model.bin (version 1, floats) and model-q80.bin (version 2, the largest groups of 8 bits), and read both again.

    The quality of the second is a metric of its own: its integers are those of llama2.c, not of the integer network.

    Raises StepError: the network is no decoder; UsageError: llama2.c has no form for it.
    """
    from mico_runner.formats import llama_file
    from mico_runner.models.llama import Llama
    from mico_runner.steps.network import trained_model

    model = trained_model(ctx, samples)
    if not isinstance(model, Llama):
        raise StepError(f"codegen.target: llama-bin: the network is a {type(model).__name__}; allowed: a LLaMa decoder")
    task, measure = samples.task, samples.task.MEASURE
    group = gcd(model.sizes.width, model.sizes.hidden, MOST_GROUP)
    for name, version in (("model", 1), ("model-q80", 2)):
        path = ctx.dir / f"{name}.bin"
        llama_file.write(model, path, version, group)
        read = llama_file.read(path).module
        found = task.quality(training.outputs(read, samples.test), samples.test)
        tolerance = measure.allowed(len(samples.test))
        what = f"codegen.llama_v{version}"
        ctx.metric(f"{what}_bytes", path.stat().st_size, "bytes", "lower")
        ctx.metric(f"{what}_{measure.name}", found, measure.unit, measure.direction, tolerance)
        ctx.log(f"{path.name}: version {version} of llama2.c, test {measure.name} {measure.text(found)}")
