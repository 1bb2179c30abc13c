"""What several steps need of the network: the task, the trained model, its graph, its post-training quantiser, its kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

from mico_runner import data, graph, hardware, quant
from mico_runner.data.tasks import Task
from mico_runner.graph.ir import Graph
from mico_runner.models import MODELS
from mico_runner.proxy.table import kernel_table
from mico_runner.quant.qgraph import Assignment, LayerBits
from mico_runner.steps.base import StepContext


def load_task(spec: dict[str, Any]) -> Task:
    """The spec's task; which images are held out depends on the spec's seed."""
    return data.load_task(spec["datasets"]["task"], spec["datasets"]["validation"], spec["seed"])


def build_model(spec: dict[str, Any], task: Task) -> torch.nn.Module:
    """The spec's model with initial weights drawn from the spec's seed."""
    torch.manual_seed(spec["seed"])
    return MODELS.get(spec["model"]["name"])(task.input_shape, task.classes, **spec["model"]["params"])


def trained_graph(ctx: StepContext, task: Task) -> Graph:
    """Graph of the network that the train step of this run left."""
    model = build_model(ctx.spec, task)
    with np.load(ctx.upstream("train") / "model.npz") as weights:
        model.load_state_dict({name: torch.from_numpy(weights[name]) for name in weights.files})
    return graph.capture(model, task.input_shape, ctx.spec["name"])


def quantiser(ctx: StepContext, network: Graph, task: Task) -> quant.PTQ:
    """Post-training quantiser calibrated on the first images of the training part (they stand in random order of classes)."""
    options = ctx.spec["quantization"]
    activations = {k: v for k, v in options["activations"].items() if k != "images"}
    images = task.train.floats()[: options["activations"]["images"]]
    return quant.PTQ(network, images, weights=options["weights"], activations=activations)


def uniform(network: Graph, weight_bits: float, activation_bits: int) -> Assignment:
    """The same bits for every layer."""
    return {node.name: LayerBits(weight_bits, activation_bits) for node in network.weighted}


def kernels(network: Graph, assignment: Assignment, spec: dict[str, Any]) -> pd.DataFrame:
    """Kernel table of the weighted layers under an assignment, at the batch the device's profile is measured with."""
    rows = [
        row for row in graph.kernel_rows(network, hardware.load(spec["hardware"]).batch) if row["layer"] in assignment
    ]
    for row in rows:
        bits = assignment[row["layer"]]
        row["weight_bits"], row["act_bits"] = int(np.ceil(bits.weight)), bits.activation
    return kernel_table(rows)
