"""Our C against onnxruntime's int8 on this machine: batch 1, one thread, the same network, latency of one image."""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch

from mico_runner import graph, quant
from mico_runner.graph.ir import Graph
from mico_runner.models import MODELS
from mico_runner.quant.qgraph import LayerBits
from mico_runner.targets.host_kernels import time_kernels
from tests.bench.timing import medians

CALIBRATION = 32  # images
CALLS = 500  # of onnxruntime; each is timed, so that the median is of calls that nothing interrupted
PAIRS = ((8, 8), (4, 8), (2, 8))  # weights x activations


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
    try:
        import onnxruntime  # noqa: F401
    except ImportError:
        return [["int8 against onnxruntime", "skipped", "", "pip install onnxruntime onnx", "", ""]]
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = []
    for name, model, shape in (
        ("LeNet", MODELS.get("lenet")((1, 28, 28), 10), (1, 28, 28)),
        ("12-layer CNN", twelve_layers(), (3, 32, 32)),
    ):
        network = graph.capture(model.eval(), shape, "network")
        images = np.random.default_rng(0).random((CALIBRATION, *shape), dtype=np.float32)
        theirs = _onnxruntime(network, images)
        ptq = quant.PTQ(network, images)
        for weight, activation in PAIRS:
            deployed = ptq.quantize({node.name: LayerBits(weight, activation) for node in network.weighted})
            ours = time_kernels([deployed])[0].median_ns / 1e3
            rows.append(
                [f"{name}, {weight} x {activation} bits", ours, "us", "onnxruntime int8", theirs, theirs / ours]
            )
    return rows


def _onnxruntime(network: Graph, images: np.ndarray) -> float:
    """Microseconds of one image, without what a call of an empty network takes."""
    import onnx
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._rest = iter([{"x": image[None]} for image in images])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._rest, None)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory(prefix="mico-onnx-") as scratch:
        real, int8 = Path(scratch) / "real.onnx", Path(scratch) / "int8.onnx"
        onnx.save(_model(network), Path(scratch) / "raw.onnx")
        quant_pre_process(Path(scratch) / "raw.onnx", real, skip_symbolic_shape=True)
        types = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
        quantize_static(real, int8, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, **types)
        session = onnxruntime.InferenceSession(int8, options, providers=["CPUExecutionProvider"])
    empty = onnxruntime.InferenceSession(
        _empty(network).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    x = {"x": images[:1]}
    whole, nothing = medians([lambda: session.run(None, x), lambda: empty.run(None, x)], repeats=CALLS)
    return (whole - nothing) * 1e6


def _model(network: Graph):
    """The float network as ONNX, for a batch of one."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants = [], []
    names = {network.input: "x", network.output: "y"}

    def name(tensor: str) -> str:
        return names.get(tensor, tensor)

    def constant(label: str, value: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(value), label))
        return label

    for node in network.nodes:
        inputs, output = [name(t) for t in node.inputs], name(node.output)
        if node.op == "conv2d":
            stride, pad, dilation = (list(node.attrs[k]) for k in ("stride", "padding", "dilation"))
            weights = [constant(f"{node.name}.w", node.weight), constant(f"{node.name}.b", node.bias)]
            attrs = {"strides": stride, "pads": pad + pad, "dilations": dilation, "group": int(node.attrs["groups"])}
            nodes.append(helper.make_node("Conv", inputs + weights, [output], **attrs))
        elif node.op == "linear":
            weights = [constant(f"{node.name}.w", node.weight), constant(f"{node.name}.b", node.bias)]
            nodes.append(helper.make_node("Gemm", inputs + weights, [output], transB=1))
        elif node.op == "max_pool2d":
            kernel, stride, pad = (list(node.attrs[k]) for k in ("kernel", "stride", "padding"))
            window = {"kernel_shape": kernel, "strides": stride, "pads": pad + pad}
            nodes.append(helper.make_node("MaxPool", inputs, [output], **window))
        elif node.op == "relu":
            nodes.append(helper.make_node("Relu", inputs, [output]))
        elif node.op == "reshape":
            shape = constant(f"{node.name}.shape", np.array([1, *node.attrs["shape"]], np.int64))
            nodes.append(helper.make_node("Reshape", [*inputs, shape], [output]))
        else:
            raise NotImplementedError(f"no ONNX for operator {node.op}")
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, *network.shapes[network.input]])
    target = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, *network.shapes[network.output]])
    body = helper.make_graph(nodes, network.name, [source], [target], constants)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _empty(network: Graph):
    """A network that hands its input on."""
    from onnx import TensorProto, helper

    shape = [1, *network.shapes[network.input]]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in ("x", "y")]
    body = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "empty", ends[:1], ends[1:])
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
