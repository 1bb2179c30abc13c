"""int8 files of onnxruntime's quantiser: weights are dequantised, activations stay what their integers stand for."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import nn

from mico_runner.formats.onnx_file import read
from mico_runner.graph import capture, run_float


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.last = nn.Linear(8, 5)

    def forward(self, x):
        x = torch.relu(self.first(x))
        x = nn.functional.relu6(x + torch.relu(self.second(x)))
        return self.last(nn.functional.max_pool2d(x, 2).mean((2, 3)))


class Images(CalibrationDataReader):
    def __init__(self, x):
        self.left = [{"x": part.numpy()} for part in x.split(1)]

    def get_next(self):
        return self.left.pop() if self.left else None


@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator])
@pytest.mark.parametrize("kind", [QuantType.QInt8, QuantType.QUInt8])
def test_a_quantised_file_is_the_network_but_for_rounding(form, kind, tmp_path):
    torch.manual_seed(0)
    network, x = Network().eval(), torch.randn(16, 3, 8, 8)
    path, quantised = tmp_path / "net.onnx", tmp_path / "int8.onnx"
    torch.onnx.export(network, (x[:1],), path, dynamo=False, opset_version=17, input_names=["x"], output_names=["y"])
    quantize_static(
        path,
        quantised,
        Images(x),
        quant_format=form,
        activation_type=kind,
        weight_type=QuantType.QInt8,
        per_channel=form == QuantFormat.QDQ,
    )
    found = read(quantised)
    graph = capture(found.module, found.input_shapes[0], "int8")
    assert sorted(n.op for n in graph.weighted) == ["conv2d", "conv2d", "linear"]
    right = network(x).detach()
    difference = (run_float(graph, x) - right).abs().max() / right.abs().max()
    assert 1e-6 < difference < 0.02  # the weights are rounded, and nothing else


def quantise_and_back(scale, zero, kind, tmp_path):
    constants = [
        numpy_helper.from_array(np.float32(scale), "scale"),
        numpy_helper.from_array(np.array(zero, kind), "zero"),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
    ]
    nodes.append(helper.make_node("Mul", ["d", "scale"], ["y"]))
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in ("x", "y")]
    model = helper.make_model(
        helper.make_graph(nodes, "g", values[:1], values[1:], constants), opset_imports=[helper.make_opsetid("", 13)]
    )
    onnx.save(model, tmp_path / "net.onnx")
    found = read(tmp_path / "net.onnx")
    return found.module(torch.tensor([[-3.0, 1.0, 7.0, 0.2]])) / scale


def test_limits_of_a_type_that_stand_for_a_relu_are_kept(tmp_path):
    x = [-3.0, 1.0, 7.0, 0.2]
    assert quantise_and_back(0.1, 0, np.int8, tmp_path)[0].tolist() == pytest.approx(x)
    assert quantise_and_back(0.1, 3, np.uint8, tmp_path)[0].tolist() == pytest.approx(x)
    assert quantise_and_back(0.1, 0, np.uint8, tmp_path)[0].tolist() == pytest.approx([0, 1, 7, 0.2])
    assert quantise_and_back(0.1, -128, np.int8, tmp_path)[0].tolist() == pytest.approx([0, 1, 7, 0.2])
    assert quantise_and_back(6 / 255, 0, np.uint8, tmp_path)[0].tolist() == pytest.approx([0, 1, 6, 0.2])
