"""What the simulate step does on a target of which it knows the contract alone: outputs against the reference, latency of each node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mico_runner import durable, quant
from mico_runner.errors import StepError
from mico_runner.quant import reference
from mico_runner.quant.qgraph import QGraph
from mico_runner.steps.base import StepContext
from mico_runner.steps.inputs import device_of, device_targets, scratch_of
from mico_runner.steps.rtl import TOLERANCE, program_for, report_memory
from mico_runner.targets import TARGETS
from mico_runner.targets.base import Target

if TYPE_CHECKING:
    from mico_runner.data.dataset import Split


def check(ctx: StepContext, deployed: QGraph, images: Split, name: str) -> pd.DataFrame:
    """Run the images on the target. Returns columns layer, measured (latency of each node, in the target's unit).

    Raises:
        StepError: other outputs than the integer reference's, or as `Target.run`.
        StepSkipped, UsageError: as `Target.run`.
    """
    target: Target = TARGETS.get(name)(scratch_of(ctx.spec), ctx.map)
    integers = quant.quantize_input(deployed, images.floats())
    work = ctx.work / f"on-{name}"
    durable.remove(work)  # of an interrupted run: it may be damaged
    work.mkdir(parents=True)
    ran = target.run(program_for(ctx, deployed, target.runtime), integers, device_of(ctx.spec), work)
    expected = reference.run(deployed, integers)
    if ran.outputs.shape != expected.shape:
        raise StepError(f"target {name} gave outputs of shape {ran.outputs.shape} instead of {expected.shape}")
    wrong = np.flatnonzero((ran.outputs != expected).reshape(len(expected), -1).any(axis=1))
    if len(wrong):
        raise StepError(
            f"on target {name} {len(wrong)} of {len(expected)} images have other outputs than the integer reference; "
            f"the first is image {wrong[0]}"
        )
    table = pd.DataFrame(ran.layers.items(), columns=["layer", "measured"])
    table.to_csv(ctx.dir / f"{name}.csv", index=False)
    total, volatile = float(table["measured"].sum()), not target.deterministic
    ctx.metric(f"simulate.{name}_mismatches", 0, "images", "lower")
    ctx.metric(f"simulate.{name}_latency", total, target.unit, "lower", tolerance=TOLERANCE, volatile=volatile)
    if ran.flash_bytes is not None and ran.stack_bytes is not None and device_targets(ctx.spec)[:1] == [name]:
        report_memory(ctx, ran.flash_bytes, ran.stack_bytes)
    ctx.log(
        f"{name}: {len(expected)} images, all outputs equal to the integer reference; {total:.0f} {target.unit} an image"
    )
    return table
