"""What the simulate step does on RTL with a network that ends early: cycles of each stage, and what is expected of them all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mico_runner import quant
from mico_runner.quant import reference
from mico_runner.quant.exits import taken
from mico_runner.steps.inputs import device_of, present
from mico_runner.steps.rtl import BUILDS, TOLERANCE, program_for, report_memory
from mico_runner.targets import program, rtl

if TYPE_CHECKING:
    from mico_runner.data.dataset import Split
    from mico_runner.quant.qgraph import QGraph
    from mico_runner.steps.base import StepContext

LOOKED_AT = 500  # images among which those are that run: some of each exit


def check(ctx: StepContext, deployed: QGraph, samples: Split, count: int) -> None:
    """Run the program on about `count` images, as many of each exit, and compare its cycles with the prediction."""
    image = rtl.build(program_for(ctx, deployed, "baremetal"), ctx.work / BUILDS)
    report_memory(ctx, image.stat().st_size, rtl.stack_bound(image).bytes)
    integers = quant.quantize_input(deployed, samples.first(LOOKED_AT).floats())
    left = _exits(deployed, integers)
    each = -(-count // len(deployed.answers))
    chosen = np.sort(np.concatenate([np.flatnonzero(left == number)[:each] for number in range(len(deployed.answers))]))
    device = device_of(ctx.spec)
    (run,) = rtl.run(image, [integers[chosen]], on=present(device.core), wait_states=int(device.value("wait_states")))
    expected = reference.run(deployed, integers[chosen])
    wrong = int((run.outputs != expected).any(axis=1).sum())
    ctx.metric("simulate.rtl_mismatches", wrong, "images", "lower")
    about = json.loads((ctx.upstream("exits") / "stages.json").read_text(encoding="utf-8"))
    (network,) = program.describe(image.parent.parent)["networks"]
    ends = [exit["after"] + 1 for exit in network["exits"]]
    parts = np.split(run.cycles, ends, axis=1)
    stage_of = np.repeat(np.arange(len(parts)), [part.shape[1] for part in parts])
    measured = np.array([np.median(part[left[chosen] >= stage].sum(1)) for stage, part in enumerate(parts)])
    table = pd.DataFrame(
        {"stage": range(len(parts)), "predicted": about["cycles"], "measured": measured, "share": about["shares"]}
    )
    table.to_csv(ctx.dir / "rtl_stages.csv", index=False)
    calls = pd.DataFrame({"layer": [layer["node"] for layer in network["layers"]], "stage": stage_of})
    ran = [run.cycles[left[chosen] >= stage, i] for i, stage in enumerate(stage_of)]
    calls["measured"] = [np.median(cycles) for cycles in ran]
    calls.to_csv(ctx.dir / "rtl.csv", index=False)
    real, foretold = (float((table[name] * table["share"]).sum()) for name in ("measured", "predicted"))
    ctx.metric("simulate.rtl_expected_cycles", real, "cycles", "lower", TOLERANCE)
    ctx.metric("simulate.rtl_expected_error", abs(foretold / real - 1), "ratio", "lower", 0.01)
    ctx.log(
        f"{device.name}: {real:.0f} cycles expected of a sample, {foretold:.0f} predicted; {wrong} of {len(chosen)} images differ"
    )


def _exits(deployed: QGraph, integers: np.ndarray) -> np.ndarray:
    """Which exit each image takes."""
    from dataclasses import replace

    from mico_runner.quant.executor import Executor

    every = replace(deployed, outputs=deployed.answers, exits=())
    return taken(deployed.exits, Executor(every).run_many([integers]))
