"""What the search does thousands of times, for LeNet: looking up latencies and evaluating quantised networks."""

from __future__ import annotations

import numpy as np
import torch

from mico_runner import graph, quant, search
from mico_runner.accelerators import bitfusion
from mico_runner.hardware import load
from mico_runner.models import MODELS
from mico_runner.quant.qgraph import LayerBits
from mico_runner.steps.network import kernels
from tests.bench.timing import medians

CONFIGS = 100_000
IMAGES = 1_000
PROMISED_CONFIGS = 1e6  # per second


def bench() -> list[list[object]]:
    torch.set_num_threads(1)
    model = MODELS.get("lenet")((1, 28, 28), 10)
    network = graph.capture(model, (1, 28, 28), "lenet")
    rng = np.random.default_rng(0)
    return [_latency(network, rng), *_ptq(model, network, rng)]


def _latency(network, rng: np.random.Generator) -> list[object]:
    space = search.Space.grid([node.name for node in network.weighted], range(2, 9), range(2, 9))
    table = np.stack(
        [
            bitfusion.BitFusion(load("bitfusion")).cycles(kernels(network, dict.fromkeys(space.layers, bits), 16))
            for bits in space.choices
        ],
        axis=1,
    )
    problem = search.Problem(space, lambda p: {}, [search.Objective("latency")], {"latency": search.Cost(table * 1.0)})
    population = space.sample(CONFIGS, rng)
    (gather,) = medians([lambda: problem.cost("latency", population)])
    rate = CONFIGS / gather
    return ["latencies of LeNet", rate, "networks/s", "promised", PROMISED_CONFIGS, rate / PROMISED_CONFIGS]


def _ptq(model: torch.nn.Module, network, rng: np.random.Generator) -> list[list[object]]:
    images = rng.random((IMAGES, 1, 28, 28), dtype=np.float32)
    ptq = quant.PTQ(network, images[:256])
    inputs = torch.from_numpy(images)

    def evaluate(weight: float, activation: int) -> None:
        deployed = ptq.quantize({node.name: LayerBits(weight, activation) for node in network.weighted})
        quant.Executor(deployed).run(quant.quantize_input(deployed, images))

    def forward() -> None:
        with torch.inference_mode():
            for batch in inputs.split(128):
                model(batch)

    rows = []
    for weight, activation in ((8, 8), (4, 4), (2, 2)):
        ours, plain = medians([lambda w=weight, a=activation: evaluate(w, a), forward])
        label = f"PTQ evaluation, LeNet {weight}x{activation}, {IMAGES:,} images"
        rows.append([label, 1 / ours, "evaluations/s", "float forward passes in torch", 1 / plain, plain / ours])
    return rows
