"""TFLite files: each operator gives what LiteRT gives, is captured, and what is damaged or unknown is one error."""

import sys

import numpy as np
import pytest
import tflite_cases
import torch
from tflite_builder import File

from mico_runner.errors import UsageError
from mico_runner.formats.tflite_file import read
from mico_runner.graph import capture
from mico_runner.graph.run import run_many


@pytest.fixture(scope="module")
def recorded():
    with np.load(tflite_cases.RECORDED) as found:
        return dict(found)


def as_torch(x):
    """A value of the file as the module has it: images with their channels in front."""
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2) if x.ndim == 4 else x))


def written(tmp_path, data):
    path = tmp_path / "net.tflite"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", list(tflite_cases.CASES))
def test_an_operator_gives_what_litert_gives(name, recorded, tmp_path):
    data, inputs = tflite_cases.made(name)
    network = read(written(tmp_path, data))
    with torch.no_grad():
        found = network.module(*(as_torch(x) for x in inputs))
        two = network.module(*(as_torch(x).repeat_interleave(2, 0) for x in inputs))
    found, two = (x if isinstance(x, tuple) else (x,) for x in (found, two))
    for i, (one, both) in enumerate(zip(found, two, strict=True)):
        wanted = as_torch(recorded[f"{name}/{i}"])
        torch.testing.assert_close(one, wanted, atol=2e-6, rtol=2e-5)
        torch.testing.assert_close(both, one.repeat_interleave(2, 0), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", list(tflite_cases.CASES))
def test_what_is_read_is_captured(name, tmp_path):
    data, inputs = tflite_cases.made(name)
    network = read(written(tmp_path, data))
    with torch.no_grad():
        wanted = network.module(*(as_torch(x) for x in inputs))
    shapes = network.input_shapes
    graph = capture(network.module, shapes if len(shapes) > 1 else shapes[0], "net")
    found = run_many(graph, [as_torch(x) for x in inputs])
    for one, other in zip(found, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def dense(f, x, shape):
    return f.operator("FULLY_CONNECTED", [x, f.constant(np.ones((2, shape[-1])))], (*shape[:-1], 2))


def test_weights_are_dequantised_per_tensor_and_per_channel(tmp_path):
    """An int8 file: the input has a scale, too, and QUANTIZE does nothing."""
    f, rng = File(), np.random.default_rng(0)
    quantised = {"kind": "INT8", "scale": 0.1, "zero": 3}
    x = f.operator("QUANTIZE", [f.input(1, 4, 4, 2)], (1, 4, 4, 2), made=quantised)
    kernel, dense = rng.integers(-127, 128, (3, 1, 1, 2)), rng.integers(0, 256, (5, 48))
    scales = np.array([0.5, 0.25, 0.125])
    w = f.constant(kernel, np.int8, scale=scales)
    b = f.constant([100, -100, 7], np.int32, scale=scales * 0.1)
    options = {"Padding": 0, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    x = f.operator("CONV_2D", [x, w, b], (1, 4, 4, 3), made=quantised, **options)
    x = f.operator("RESHAPE", [x, f.constant([1, 48], np.int32)], (1, 48), made=quantised)
    w = f.constant(dense, np.uint8, scale=0.01, zero=128)
    x = f.operator("FULLY_CONNECTED", [x, w], (1, 5), made=quantised)
    network = read(written(tmp_path, f.data(f.operator("DEQUANTIZE", [x], (1, 5)))))
    image = rng.standard_normal((1, 4, 4, 2)).astype(np.float32)
    wanted = image @ (kernel[:, 0, 0] * scales[:, None]).T + np.array([100, -100, 7]) * scales * 0.1
    wanted = wanted.reshape(1, 48) @ ((dense - 128) * 0.01).T
    np.testing.assert_allclose(network.module(as_torch(image)).detach(), wanted, rtol=1e-4, atol=1e-4)


def test_a_fused_tanh_is_kept(tmp_path):
    f = File()
    x = f.operator("ADD", [f.input(1, 3), f.constant([1.0])], (1, 3), FusedActivationFunction=4)
    found = read(written(tmp_path, f.data(x))).module(torch.ones(1, 3))
    torch.testing.assert_close(found, torch.full((1, 3), 2.0).tanh())


def test_images_in_the_order_of_torch_are_taken_and_given_as_they_are(tmp_path):
    f = File()
    x = f.operator("TRANSPOSE", [f.input(1, 2, 5, 4), f.constant([0, 2, 3, 1], np.int32)], (1, 5, 4, 2))
    x = f.operator("ADD", [x, f.constant([1.0, 2.0])], (1, 5, 4, 2))
    x = f.operator("TRANSPOSE", [x, f.constant([0, 3, 1, 2], np.int32)], (1, 2, 5, 4))
    network = read(written(tmp_path, f.data(x)))
    image = torch.rand(3, 2, 5, 4)
    assert network.input_shapes == ((2, 5, 4),)
    torch.testing.assert_close(network.module(image), image + torch.tensor([1.0, 2.0])[:, None, None])


def test_a_convolution_adds_the_padding_itself_and_bears_its_name(tmp_path):
    data, _ = tflite_cases.made("conv same")
    network = read(written(tmp_path, data))
    (conv, relu) = capture(network.module, network.input_shapes[0], "net").nodes
    assert (conv.name, conv.attrs["padding"], relu.op) == ("0_CONV_2D", (1, 1), "relu")


def message(tmp_path, data):
    path = written(tmp_path, data)
    with pytest.raises(UsageError) as error:
        read(path)
    assert str(path) in str(error.value)
    return str(error.value)


def test_all_that_cannot_be_expressed_is_named_at_once(tmp_path):
    f = File()
    x = f.operator("COS", [f.input(1, 4, 4, 1)], (1, 4, 4, 1))
    x = f.operator("COS", [x], (1, 4, 4, 1))
    x = f.operator("MEAN", [x, f.constant([0], np.int32)], (1, 4, 4, 1), KeepDims=True)
    x = f.operator("CUSTOM", [x], (1, 4, 4, 1), custom="FlexErf")
    x = f.operator("CUSTOM", [x], (1, 4, 4, 1), custom="TFLite_Detection_PostProcess")
    x = f.operator("LOGISTIC", [x], (1, 4, 4, 2))
    found = message(tmp_path, f.data(x)).splitlines()
    assert found[0].endswith("6 operators cannot be expressed:")
    assert "COS (2 times, at index 0, 1): the operator is not supported; docs/reference/tflite.md" in found[1]
    assert "MEAN (at index 2): it works over the batch" in found[2]
    assert (
        "FlexErf (at index 3): an operator of TensorFlow itself; convert the network without SELECT_TF_OPS" in found[3]
    )
    assert "TFLite_Detection_PostProcess (at index 4): a custom operator" in found[4]
    assert "LOGISTIC (at index 5): it makes the shape [1, 4, 4, 1], the file says [1, 4, 4, 2]" in found[5]


def test_inputs_must_be_one_sample_of_fixed_size(tmp_path):
    f = File()
    data = f.data(dense(f, f.input(4, 3), (4, 3)))
    assert "input 't0' has the shape [4, 3]; allowed: a batch of one sample" in message(tmp_path, data)
    f = File()
    data = f.data(dense(f, f.input(1, 1, 3, signature=(-1, -1, 3)), (1, 1, 3)))
    assert "[1, 1, 3] and sizes that are not fixed" in message(tmp_path, data)
    f = File()
    data = f.data(dense(f, f.input(1, 3, kind="INT32"), (1, 3)))
    assert "input 't0' is INT32 without a scale" in message(tmp_path, data)


def test_a_batch_in_the_signature_is_any_number(tmp_path):
    f = File()
    network = read(written(tmp_path, f.data(dense(f, f.input(1, 3, signature=(-1, 3)), (1, 3)))))
    assert network.module(torch.ones(5, 3)).shape == (5, 2)


def test_constants_are_compared_with_their_bytes(tmp_path):
    f = File()
    weight = f.tensor((2, 4), np.ones((2, 3), np.float32))
    data = f.data(f.operator("FULLY_CONNECTED", [f.input(1, 4), weight], (1, 2)))
    assert "tensor 't0' of shape [2, 4] needs 32 bytes, found 24" in message(tmp_path, data)


def test_a_tensor_that_nothing_makes(tmp_path):
    f = File()
    f.input(1, 3)
    data = f.data(f.operator("RELU", [f.tensor((1, 3))], (1, 3)))
    assert "operator 0_RELU reads tensor 1, which nothing has made" in message(tmp_path, data)


def test_other_files_and_none(tmp_path):
    assert "is no TFLite file" in message(tmp_path, b"\x08\x00\x00\x00ONNX" + bytes(64))
    with pytest.raises(UsageError, match="No such file"):
        read(tmp_path / "absent.tflite")


def test_a_missing_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tflite", None)
    with pytest.raises(UsageError, match=r"pip install 'mico-runner\[tflite\]'"):
        read(tmp_path / "net.tflite")


def small_network():
    """A file with what most have: a convolution with its padding, a pool, a flattening, a dense layer, an activation."""
    f, rng = File(), np.random.default_rng(1)
    options = {"Padding": 0, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    inputs = [f.input(1, 4, 4, 1), f.constant(rng.integers(-9, 9, (2, 3, 3, 1)), np.int8, scale=[0.1, 0.2])]
    x = f.operator("CONV_2D", [*inputs, f.constant([1, 2], np.int32, scale=[0.1, 0.2])], (1, 4, 4, 2), **options)
    pool = {"Padding": 1, "StrideH": 2, "StrideW": 2, "FilterHeight": 2, "FilterWidth": 2}
    x = f.operator("MAX_POOL_2D", [x], (1, 2, 2, 2), **pool)
    x = f.operator("RESHAPE", [x, f.constant([1, 8], np.int32)], (1, 8))
    x = f.operator("FULLY_CONNECTED", [x, f.constant(rng.standard_normal((3, 8)))], (1, 3))
    return f.data(f.operator("SOFTMAX", [x], (1, 3), Beta=1.0))


@pytest.mark.slow
def test_damaged_files_are_one_error_or_another_network(tmp_path):
    data, rng = small_network(), np.random.default_rng(2)
    path, refused = tmp_path / "net.tflite", 0
    for i in range(2000):
        changed = bytearray(data)
        if i % 4 == 0:
            del changed[rng.integers(8, len(data)) :]
        else:
            for at in rng.integers(8 if i % 2 else 0, len(data), 1 + i % 3):
                changed[at] = rng.choice([0, 1, 127, 128, 255, rng.integers(256)])
        path.write_bytes(changed)
        try:
            read(path)
        except UsageError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 1000


def test_truncated_and_random_files_are_refused(tmp_path):
    data, rng = small_network(), np.random.default_rng(3)
    for size in (0, 3, 8, 9, 40, len(data) // 2, len(data) - 200):
        message(tmp_path, data[:size])
    for _ in range(200):
        message(tmp_path, data[:8] + rng.bytes(rng.integers(1, 2000)))
