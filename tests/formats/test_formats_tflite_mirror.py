"""TFLite files that others trained: MLPerf Tiny's reference networks and MCUNet's."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from mico_runner.data import cifar
from mico_runner.formats.tflite_file import read
from mico_runner.graph import capture, run_float
from mico_runner.quant import PTQ, Executor, reference
from mico_runner.quant.qgraph import LayerBits
from mico_runner.targets.host_kernels import build_networks, run_networks

MIRROR = os.environ.get("MICO_DATA_MIRROR")
pytestmark = pytest.mark.skipif(not MIRROR, reason="MICO_DATA_MIRROR is not set: these are files of other people")


def network(name):
    return read(Path(MIRROR) / "networks" / f"{name}.tflite")


def graph_of(name):
    found = network(name)
    return capture(found.module, found.input_shapes[0], name.split("/")[-1])


def random_outputs(name):
    with np.load(Path(MIRROR) / "networks" / f"{name}_random.npz") as found:
        x, y = found["x"], found["y"]
    x = x.reshape(len(x), 49, 10, 1) if "kws" in name else x
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)), y.reshape(len(y), -1)


@pytest.fixture(scope="module")
def test_set():
    """10,000 images with pixels 0..255, and their labels."""
    (archive,) = (Path(MIRROR) / "tasks" / "cifar10_sample").glob("*.tar.xz")
    _, test = cifar.load([archive])
    return test.inputs.astype(np.float32), np.asarray(test.targets)


def accuracy(graph, images, labels):
    found = [run_float(graph, images[i : i + 500]).argmax(1) for i in range(0, len(images), 500)]
    return float((torch.cat(found).numpy() == labels).mean())


def test_image_classification_gives_litert_s_outputs():
    x, y = random_outputs("mlperf_tiny/ic_float")
    np.testing.assert_allclose(run_float(graph_of("mlperf_tiny/ic_float"), x), y, atol=1e-5, rtol=0)


def test_keywords_give_litert_s_outputs():
    """The "float" file holds convolution weights of 8 bits with a scale, for which LiteRT rounds each activation to 8 bits as it runs.

    With the same weights as floats, LiteRT gives our outputs within 2e-7 (measured with ai-edge-litert 2.3.0).
    """
    x, y = random_outputs("mlperf_tiny/kws_float")
    found = run_float(graph_of("mlperf_tiny/kws_float"), x)
    np.testing.assert_allclose(found, y, atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", ["mlperf_tiny/ic_int8", "mlperf_tiny/kws_int8", "mcunet/vww"])
def test_a_quantised_file_is_read_by_its_real_values(name):
    found = network(name)
    graph = capture(found.module, found.input_shapes[0], "net")
    x = torch.rand(2, *found.input_shapes[0])
    with torch.no_grad():
        torch.testing.assert_close(run_float(graph, x), found.module(x), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "off"), [("ic_float", 1e-4), pytest.param("ic_int8", 2e-4, marks=pytest.mark.nightly)]
)
def test_accuracy_of_image_classification(test_set, name, off):
    """87.19 % is what the mirror states of the float file; of the int8 file, whose activations LiteRT rounds, 86.97 %."""
    assert accuracy(graph_of(f"mlperf_tiny/{name}"), *test_set) == pytest.approx(0.8719, abs=off)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("mcunet/vww", marks=pytest.mark.slow),
        pytest.param("mcunet/mcunetv2_large", marks=pytest.mark.nightly),
    ],
)
@pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("make")), reason="needs gcc and make")
def test_mcunet_at_8_bits_in_c(name, tmp_path):
    found = network(name)
    graph = capture(found.module, found.input_shapes[0], name.split("/")[-1])
    size = found.input_shapes[0][1:]
    small = torch.rand(8, 3, 10, 10, generator=torch.Generator().manual_seed(0)) * 2 - 1
    images = torch.nn.functional.interpolate(small, size, mode="bilinear").numpy()
    with torch.no_grad():
        torch.testing.assert_close(
            run_float(graph, images), found.module(torch.from_numpy(images)), atol=1e-4, rtol=1e-4
        )
    quantised = PTQ(graph, images).quantize({n.name: LayerBits(8, 8) for n in graph.weighted})
    few = 2 if size[0] > 100 else 4
    integers = reference.quantize_input(quantised, images[:few])
    wanted = reference.run(quantised, integers)
    np.testing.assert_array_equal(Executor(quantised).run(integers), wanted)
    binary = build_networks([quantised], tmp_path)
    np.testing.assert_array_equal(run_networks(binary, [integers])[0], wanted)
