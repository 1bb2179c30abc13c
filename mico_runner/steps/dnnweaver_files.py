"""DNNWeaver's files in place of a C program."""

from __future__ import annotations

import numpy as np

from mico_runner.codegen import dnnweaver
from mico_runner.data.dataset import DataSet
from mico_runner.errors import StepError
from mico_runner.graph.ir import Graph
from mico_runner.quant import quantize_input, reference
from mico_runner.quant.qgraph import QGraph
from mico_runner.steps.base import StepContext
from mico_runner.steps.inputs import present

COMPARED = 16  # samples that the files are tried on


def write_files(ctx: StepContext, network: Graph, deployed: QGraph, samples: DataSet) -> None:
    """Write the integer network, read it again and compare; write the groups of 16 bits besides, of a network that has that form."""
    ctx.metric("codegen.dnnweaver_bytes", dnnweaver.write(deployed, ctx.dir), "bytes", "lower")
    again = dnnweaver.read(ctx.dir)
    read = quantize_input(deployed, samples.test.first(COMPARED).floats())
    wrong = np.any(reference.run(again, read) != reference.run(deployed, read), axis=-1)
    ctx.metric("codegen.dnnweaver_mismatches", int(wrong.sum()), "count", "lower")
    calibration = present(ctx.spec.quantization).activations.images
    try:
        groups = dnnweaver.conv_groups(network, samples.train.first(calibration).floats())
    except StepError as reason:
        ctx.log(f"no groups of 16 bits, as DNNWeaver2's compiler takes them: {reason}")
        return
    broken = dnnweaver.broken_rules(groups.content)
    groups.write(ctx.dir)
    ctx.metric("codegen.dnnweaver_broken_rules", len(broken), "count", "lower")
    for rule in broken:
        ctx.log(f"DNNWeaver2's compiler would not take the groups of 16 bits: {rule}")
