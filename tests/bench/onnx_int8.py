"""Our C against other int8 runtimes on this machine, and fewer bits against 8 x 8: batch 1, one thread, the same integer networks.

Peers read the network as `codegen.qdq` writes it, LiteRT as `tflite_int8` does. Contenders take turns; of each ratio there is an upper
bound of 90 % (bootstrap). Each network's rows are told as soon as they are there.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from mico_runner import graph, quant
from mico_runner.codegen import qdq
from mico_runner.models import MODELS
from mico_runner.quant.qgraph import LayerBits, QGraph
from mico_runner.targets import host
from mico_runner.targets.host_kernels import SAMPLE_NS, build_networks
from tests.bench import tflite_int8

CALIBRATION = 8  # images
REPEATS = 31  # rounds, of which each contender gives the median of CALLS
CALLS = 5
NETWORKS = {  # model, shape of an image, classes
    "LeNet": ("lenet", (1, 28, 28), 10),
    "12-layer CNN": ("", (3, 32, 32), 10),
    "ResNet-8": ("resnet8", (3, 32, 32), 10),
    "DS-CNN": ("mlperf-ds-cnn", (1, 49, 10), 12),
    "MobileNetV1-0.25": ("mlperf-mobilenet-v1", (3, 96, 96), 2),
    "ResNet-18": ("resnet18", (3, 32, 32), 10),
    "MobileNetV2": ("mobilenet-v2", (3, 224, 224), 1000),
}


def twelve_layers() -> torch.nn.Module:
    """Ten 3 x 3 convolutions and two linear layers on 32 x 32 x 3, 45 million MACs."""
    layers: list[tuple[str, torch.nn.Module]] = []
    channels = 3
    for i, width in enumerate((32, 32, 0, 64, 64, 0, 128, 128, 128, 0, 128, 128, 128, 0)):
        if width == 0:
            layers.append((f"pool{i}", torch.nn.MaxPool2d(2)))
            continue
        layers += [(f"conv{i}", torch.nn.Conv2d(channels, width, 3, padding=1)), (f"relu{i}", torch.nn.ReLU())]
        channels = width
    layers += [("flatten", torch.nn.Flatten()), ("fc1", torch.nn.Linear(4 * channels, 128)), ("relu", torch.nn.ReLU())]
    return torch.nn.Sequential(OrderedDict([*layers, ("fc2", torch.nn.Linear(128, 10))]))


def bench() -> list[list[object]]:
    rows: list[list[object]] = []
    for name in NETWORKS:
        found = of(name)
        for label, ours, _, other, theirs, ratio in found:
            print(f"{label}: {ours:.1f} us, {other} {theirs:.1f} us, {ratio:.3f}", file=sys.stderr, flush=True)
        rows += found
    return rows


def of(name: str) -> list[list[object]]:
    """The rows of one network."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, shape, classes = NETWORKS[name]
    module = MODELS.get(model)(shape, classes) if model else twelve_layers()
    network = graph.capture(module.eval(), shape, "network")
    images = np.random.default_rng(0).random((CALIBRATION, *shape), dtype=np.float32)
    ptq, rng = quant.PTQ(network, images), np.random.default_rng(1)
    layers = [node.name for node in network.weighted]
    bits = {
        **{f"{b} x {b}": {layer: LayerBits(b, b) for layer in layers} for b in (8, 4, 2)},
        "mixed": {x: LayerBits(int(rng.choice([2, 3, 4, 5, 6, 8])), int(rng.choice([4, 6, 8]))) for x in layers},
    }
    return _rows(name, {label: ptq.quantize(choice) for label, choice in bits.items()}, images[:1])


def _rows(name: str, graphs: dict[str, QGraph], image: np.ndarray) -> list[list[object]]:
    """Ours at 8 x 8 beside each peer, then ours at other bits beside 8 x 8."""
    with tempfile.TemporaryDirectory(prefix="mico-bench-") as scratch:
        folder = Path(scratch)
        binary = build_networks(list(graphs.values()), folder / "c")
        qdq.write(graphs["8 x 8"], folder / "model.onnx")
        (folder / "model.tflite").write_bytes(tflite_int8.model(graphs["8 x 8"]))
        peers = {
            peer: start(str(folder / f"model.{suffix}"), image)
            for peer, (suffix, start) in PEERS.items()
            if importlib.util.find_spec(peer)
        }
        taken: dict[str, list[float]] = {label: [] for label in (*graphs, *peers)}
        for _ in range(REPEATS):
            host.run_program([str(binary), "time", str(CALLS), str(SAMPLE_NS), str(folder / "times")])
            raw = np.fromfile(folder / "times", np.uint64).reshape(CALLS, len(graphs), 2)
            for label, value in zip(graphs, np.median(raw[..., 0] / raw[..., 1], axis=0) / 1e3, strict=True):
                taken[label].append(float(value))
            for label, call in peers.items():
                taken[label].append(float(np.median([_microseconds(call) for _ in range(CALLS)])))
    pairs = [("8 x 8", peer) for peer in peers] + [(label, "8 x 8") for label in graphs if label != "8 x 8"]
    rows: list[list[object]] = []
    for ours, other in pairs:
        a, b = np.array(taken[ours]), np.array(taken[other])
        label = f"{name}, {ours} bits (ratio at most {_bound(a, b):.2f})"
        rows.append([label, np.median(a), "us", other, np.median(b), np.median(a) / np.median(b)])
    return rows


def _bound(a: np.ndarray, b: np.ndarray) -> float:
    """The upper bound of 90 % of the ratio of medians, rounds drawn anew."""
    drawn = np.random.default_rng(0).integers(0, len(a), (2000, len(a)))
    return float(np.quantile(np.median(a[drawn], axis=1) / np.median(b[drawn], axis=1), 0.9))


def _microseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e6


def _onnxruntime(model: str, image: np.ndarray) -> Callable[[], object]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: image}
    session.run(None, feed)
    return lambda: session.run(None, feed)


def _openvino(model: str, image: np.ndarray) -> Callable[[], object]:
    import openvino

    core = openvino.Core()
    network = core.read_model(model)
    network.reshape(list(image.shape))
    here = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 0}  # in the caller's thread, for which no other need be woken
    request = core.compile_model(network, "CPU", here).create_infer_request()
    request.infer([image])
    return lambda: request.infer([image], share_inputs=True)


def _litert(model: str, image: np.ndarray) -> Callable[[], object]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model, num_threads=1)
    interpreter.allocate_tensors()
    (about,) = interpreter.get_input_details()
    scale, zero = about["quantization"]
    stored = np.clip(np.round(image.transpose(0, 2, 3, 1) / scale) + zero, -128, 127).astype(np.int8)
    interpreter.set_tensor(about["index"], stored)
    interpreter.invoke()
    return interpreter.invoke


# Package: the file that it reads, and what starts it.
PEERS = {"onnxruntime": ("onnx", _onnxruntime), "openvino": ("onnx", _openvino), "ai_edge_litert": ("tflite", _litert)}
