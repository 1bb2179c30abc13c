"""Networks of size: rounding of wide layers, and the executor beside torch's float network, on one thread."""

from __future__ import annotations

import numpy as np
import torch

from mico_runner import graph, quant
from mico_runner.models import MODELS
from mico_runner.quant import compensation
from mico_runner.quant.qgraph import LayerBits
from mico_runner.quant.weights import weight_scales
from tests.bench.timing import medians

SIDE, IMAGES = 224, 8
REPEATS = 3


def bench() -> list[list[object]]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    wide = torch.nn.Sequential(torch.nn.Conv2d(512, 512, 3, padding=1), torch.nn.ReLU())
    return [
        *_rounding(2304, 4096, 256),
        *_few_samples(4096, 256, 256),
        *_executor("convolution of 512 channels, 3 x 3", wide, (512, 14, 14)),
        *_executor("ResNet-18", MODELS.get("resnet18")((3, SIDE, SIDE), 1000), (3, SIDE, SIDE)),
    ]


def _layer(k: int, samples: int, outputs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(samples, k)) * rng.exponential(1, k)
    rows = rng.normal(size=(outputs, k))
    return rows, x, x + 0.1 * rng.normal(size=x.shape), weight_scales(rows, 4, "channel", "mse")


def _rounding(k: int, samples: int, outputs: int) -> list[list[object]]:
    rows, x, read, scales = _layer(k, samples, outputs)
    problem, block = compensation._Problem(rows, x, read), compensation.BLOCK

    def round_in(columns: int) -> None:
        compensation.BLOCK = columns
        problem.compensating(scales, 4)

    ours, plain = medians([lambda: round_in(block), lambda: round_in(k)], repeats=1)  # the second takes long
    compensation.BLOCK = block
    return [[f"rounding, K = {k:,}", ours, "s", "every column updates all later ones", plain, plain / ours]]


def _few_samples(k: int, samples: int, outputs: int) -> list[list[object]]:
    rows, x, read, scales = _layer(k, samples, outputs)
    kinds = (compensation._Wide, compensation._Problem)
    ours, plain = medians([lambda kind=kind: kind(rows, x, read).round(scales, 4) for kind in kinds], REPEATS)
    return [[f"rounding, K = {k:,}, {samples} samples", ours, "s", "through the matrix K x K", plain, plain / ours]]


def _executor(label: str, model: torch.nn.Module, shape: tuple[int, ...]) -> list[list[object]]:
    model.eval()
    network = graph.capture(model, shape, "size")
    images = np.random.default_rng(0).random((IMAGES, *shape), dtype=np.float32)
    ptq, inputs = quant.PTQ(network, images), torch.from_numpy(images)

    def forward() -> None:
        with torch.inference_mode():
            model(inputs)

    rows = []
    for bits in (8, 4):
        deployed = ptq.quantize({node.name: LayerBits(bits, bits) for node in network.weighted})
        executor, integers = quant.Executor(deployed), quant.quantize_input(deployed, images)
        ours, plain = medians([lambda e=executor, i=integers: e.run(i), forward], REPEATS)
        label_of = f"executor, {label}, {bits}x{bits}"
        rows.append([label_of, ours / IMAGES, "s/image", "torch, float", plain / IMAGES, ours / plain])
    return rows
