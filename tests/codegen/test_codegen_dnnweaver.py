"""DNNWeaver's files: read again they are the same integers, in C as well; what is counted from them is what is counted from the graph."""

import contextlib
import copy
import json

import numpy as np
import pytest
import torch
from torch import nn

from mico_runner import accelerators, codegen, graph, hardware
from mico_runner.codegen import dnnweaver
from mico_runner.codegen.dnnweaver import broken_rules, file, fixed, table
from mico_runner.errors import MicoError, StepError, UsageError
from mico_runner.graph import capture, costs
from mico_runner.models import MODELS
from mico_runner.models.blocks import Residual
from mico_runner.quant import PTQ, Executor, LayerBits, quantize_input, reference
from mico_runner.steps.network import kernels
from mico_runner.targets import host

RNG = np.random.default_rng(0)
EXPORTED = [name for name in MODELS.names() if name.startswith(("mico-", "mlperf-")) or name == "resnet8"]


class Mixed(nn.Module):
    """Uneven padding, strides and kernels, groups, both pools, a sum and a concatenation: what was once exported wrong."""

    def __init__(self, stride=(2, 1)):
        super().__init__()
        self.stem = nn.Conv2d(2, 6, (3, 5), stride, padding=(1, 2))
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.grouped = nn.Conv2d(6, 4, 1, groups=2)
        self.largest, self.mean = nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2)
        self.last = nn.LazyLinear(3)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        x = x + self.depthwise(x)
        x = torch.cat([self.grouped(x), x], 1)
        return self.last(torch.tanh(self.mean(self.largest(x))).flatten(1))


def quantised(network, shape, bits=(8, 8), name="net", seed=0):
    torch.manual_seed(0)
    network(torch.zeros(2, *shape))
    found = capture(network.eval(), shape, name)
    images = np.random.default_rng(seed).random((2, *shape), np.float32)
    spread = [LayerBits(*bits[i % len(bits)]) if isinstance(bits[0], tuple) else LayerBits(*bits) for i in range(99)]
    assignment = {node.name: spread[i % 99] for i, node in enumerate(found.weighted)}
    return found, PTQ(found, images).quantize(assignment), images, assignment


def equal(a, b):
    assert (a.name, a.inputs, a.outputs, a.tensors) == (b.name, b.inputs, b.outputs, b.tensors)
    for one, other in zip(a.nodes, b.nodes, strict=True):
        fields = ("name", "op", "inputs", "output", "attrs", "weight_bits", "relu_max")
        assert [getattr(one, f) for f in fields] == [getattr(other, f) for f in fields]
        assert one.constants.keys() == other.constants.keys()
        for name, values in one.constants.items():
            np.testing.assert_array_equal(values, other.constants[name])
            assert values.dtype == other.constants[name].dtype
        assert (one.weight_scale is None) == (other.weight_scale is None)


def check(network, shape, tmp_path, bits=(8, 8), in_c=True, one_stride=True):
    """The four checks but the last one."""
    found, integers, images, assignment = quantised(network, shape, bits)
    assert dnnweaver.write(integers, tmp_path) == sum(path.stat().st_size for path in tmp_path.iterdir())
    again = dnnweaver.read(tmp_path)
    equal(again, integers)
    read = quantize_input(integers, images)
    outputs = reference.run(again, read)
    assert np.array_equal(outputs, Executor(integers).run(read))
    if in_c:  # 1
        codegen.generate(integers, tmp_path / "c")
        assert np.array_equal(host.run(host.build(tmp_path / "c"), read), outputs)
    # 2
    assert {n.name: table.macs(again, n) for n in table.weighted(again)} == {
        n.name: costs.macs(found, n) for n in found.weighted
    }
    assert table.bops(again) == costs.bops(found, assignment)
    if not one_stride:  # which profiles do not know
        return
    # 3
    device = hardware.load("bitfusion")
    counted, wanted = dnnweaver.kernel_rows(again, device.batch), kernels(found, assignment, device.batch)
    cycles = [accelerators.of(device).simulate(rows)["cycles"].tolist() for rows in (counted, wanted)]
    assert cycles[0] == cycles[1] and len(cycles[0]) == len(found.weighted)


@pytest.mark.parametrize("bits", [(8, 8), ((1.5, 8), (3, 4), (1, 1), (5, 2))])
def test_files_are_the_network(tmp_path, bits):
    check(Mixed(stride=2), (2, 9, 16), tmp_path, bits, in_c=False)


@pytest.mark.slow
def test_files_are_the_network_in_c(tmp_path):
    check(Mixed(), (2, 9, 8), tmp_path, one_stride=False)


def test_what_was_once_exported_wrong_is_in_the_file(tmp_path):
    _, integers, _, _ = quantised(Mixed(), (2, 9, 8))
    dnnweaver.write(integers, tmp_path)
    content = json.loads((tmp_path / file.DESCRIPTION).read_text())
    by_type = {}
    for entry in content["operators"]:
        by_type.setdefault(entry["type"], []).append(entry)
    stem, depthwise, grouped = by_type["Convolution"]
    assert stem["attributes"] == {"stride": [2, 1], "padding": [1, 2], "dilation": [1, 1], "groups": 1}
    assert depthwise["attributes"]["groups"] == 6 and grouped["attributes"]["groups"] == 2
    assert stem["constants"]["weight"]["shape"] == [6, 3, 5, 2]
    assert (
        len(by_type["MaxPooling"]) == len(by_type["AvgPooling"]) == len(by_type["Add"]) == len(by_type["Concat"]) == 1
    )
    (image,) = (t for t in content["tensors"] if t["name"] == "input")
    assert image["nhwc"] == [1, 9, 8, 2] and image["type"] == "UINT8"


@pytest.mark.nightly
@pytest.mark.parametrize("name", EXPORTED)
def test_every_network_of_the_zoo(name, tmp_path):
    about = MODELS.info(name).meta
    narrow = {"width": 0.125} if "width" in about.get("params", {}) else {}
    shape = tuple(about["size"]["input"])
    check(MODELS.get(name)(shape, about["size"]["outputs"], **narrow), shape, tmp_path, ((8, 8), (4, 8), (2, 4)))


def test_damaged_files_are_usage_errors(tmp_path):
    _, integers, _, _ = quantised(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2)), (1, 4, 4))
    dnnweaver.write(integers, tmp_path)
    description, arrays = tmp_path / file.DESCRIPTION, tmp_path / file.ARRAYS
    text, raw = description.read_text(), arrays.read_bytes()
    arrays.write_bytes(raw[:-1])
    with pytest.raises(UsageError, match="has another sha256"):
        dnnweaver.read(tmp_path)
    arrays.write_bytes(raw)
    for old, new, match in (
        ('"version": 1', '"version": 2', "allowed: format 'mico-runner dnnweaver', version 1"),
        ('"operators"', '"operator"', "not what was written: KeyError"),
        ('"conv2d"', '"conf2d"', "conf2d"),
        ('"at": 0', '"at": 10000', "bytes at 10000"),
        ('"at": 0', '"at": -4', "bytes at -4"),
        ('"output": "', '"output": "x', "that is not there"),
        ("{", "", "not a JSON file"),
    ):
        assert old in text
        description.write_text(text.replace(old, new, 1))
        with pytest.raises(MicoError, match=match):
            dnnweaver.read(tmp_path)
    rng = np.random.default_rng(1)
    for _ in range(150):
        damaged = bytearray(text.encode())
        at = int(rng.integers(len(damaged)))
        damaged[at : at + int(rng.integers(3))] = bytes(rng.integers(32, 127, int(rng.integers(3)), dtype=np.uint8))
        description.write_bytes(damaged)
        with contextlib.suppress(MicoError):
            dnnweaver.read(tmp_path)
    description.unlink()
    with pytest.raises(UsageError, match="cannot be read"):
        dnnweaver.read(tmp_path)


def chain():
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(4, 6, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(24, 5), nn.ReLU(), nn.Linear(5, 3)),
    )


@pytest.fixture(scope="module")
def groups():
    network = capture(chain().eval(), (1, 10, 10), "chain")
    return fixed.conv_groups(network, RNG.random((8, 1, 10, 10), np.float32)), network


def test_groups_of_16_bits_are_the_network(groups, tmp_path):
    made, network = groups
    assert broken_rules(made.content) == []
    assert made.write(tmp_path) == sum(path.stat().st_size for path in tmp_path.iterdir())
    images = np.random.default_rng(5).random((20, 1, 10, 10), np.float32)
    wanted = graph.run_float(network, images).numpy()
    np.testing.assert_allclose(fixed.Groups.read(tmp_path).run(images), wanted, atol=2e-3 * np.abs(wanted).max())
    kinds = [entry["type"] for entry in made.content["operators"]]
    assert kinds[:4] == ["Convolution", "TypeCast", "LeakyReLU", "MaxPooling"] and kinds.count("Convolution") == 4


@pytest.mark.parametrize("name", ["lenet", "mico-cnn", "mico-mlp", "mico-vgg", "mico-harmlp"])
def test_chains_of_the_zoo_are_compiled_by_its_rules(name):
    about = MODELS.info(name).meta
    shape = tuple(about["size"]["input"])
    torch.manual_seed(0)
    narrow = {"width": 0.125} if "width" in about.get("params", {}) else {}
    network = capture(MODELS.get(name)(shape, 10, **narrow).eval(), shape, name)
    images = RNG.random((4, *shape), np.float32)
    made = fixed.conv_groups(network, images)
    wanted = graph.run_float(network, images).numpy()
    assert broken_rules(made.content) == []
    np.testing.assert_allclose(made.run(images), wanted, atol=5e-3 * np.abs(wanted).max())


def test_what_no_group_holds_is_said():
    network = capture(nn.Sequential(nn.Conv2d(1, 2, 3), nn.AvgPool2d(2), nn.Sigmoid()).eval(), (1, 8, 8), "averaged")
    with pytest.raises(StepError, match=r"no group of DNNWeaver2 holds: 1 \(avg_pool2d\): .*; 2 \(sigmoid\)"):
        fixed.conv_groups(network, RNG.random((2, 1, 8, 8), np.float32))
    residual = capture(Residual(nn.Conv2d(3, 3, 3, padding=1)), (3, 8, 8), "residual")
    with pytest.raises(StepError, match="allowed: a chain"):
        fixed.conv_groups(residual, RNG.random((2, 3, 8, 8), np.float32))
    for layers, match in (
        ([nn.Conv2d(2, 2, 3, groups=2)], "2 groups"),
        ([nn.Conv2d(2, 2, 3), nn.ReLU6()], "upper limit"),
        ([nn.Conv2d(2, 2, 3), nn.MaxPool2d(3, 1, 1)], "padding"),
    ):
        network = capture(nn.Sequential(*layers).eval(), (2, 8, 8), "net")
        with pytest.raises(StepError, match=match):
            fixed.conv_groups(network, RNG.random((2, 2, 8, 8), np.float32))


def changed(content, at, path, value):
    found = json.loads(json.dumps(content))  # nothing of it shared
    place = found["operators"][at]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return found


@pytest.mark.parametrize(
    ("at", "path", "value", "rule"),
    [
        (0, ["type"], "TypeCast", "the first operator is no Convolution"),
        (2, ["type"], "Add", "Add is not in a group"),
        (0, ["group"], 4, "has 4 groups"),
        (0, ["weights", "shape"], [4, 3, 5, 1], "has a kernel of 3 x 5"),
        (0, ["stride"], [1, 1, 2, 1], "has strides of"),
        (0, ["weights", "bits"], 8, "has bits"),
        (0, ["input", "bits"], 8, "has bits"),
        (0, ["bias", "frac_bits"], 3, "has its points at"),
        (0, ["bias", "shape"], [3], "has biases of"),
        (0, ["weights", "shape"], [4, 3, 3, 2], "has weights of 2 channels"),
        (0, ["output", "nhwc"], [1, 9, 10, 4], "makes"),
        (1, ["output", "frac_bits"], 60, "shifts left"),
        (1, ["output", "bits"], 8, "makes 8 bits"),
        (2, ["scalar"], 1.5, "has the slope"),
        (3, ["padding"], [[0, 0], [1, 1], [0, 0], [0, 0]], "is padded above"),
        (4, ["input", "frac_bits"], 1, "reads another tensor"),
        (2, ["type"], "MaxPooling", "several maxima"),
        (1, ["type"], "LeakyReLU", "allowed: a TypeCast first"),
    ],
)
def test_a_broken_rule_is_found(groups, at, path, value, rule):
    content = changed(groups[0].content, at, path, value)
    for entry in content["operators"]:
        entry.setdefault("padding", [[0, 0]] * 4)
        entry.setdefault("scalar", 0.0)
    assert any(rule in text for text in broken_rules(content))


def test_a_group_needs_more_than_its_convolution(groups):
    content = copy.deepcopy(groups[0].content)
    del content["operators"][-1]
    assert any("nothing follows it" in text for text in broken_rules(content))


def test_values_beyond_16_bits_are_said(groups):
    with pytest.raises(StepError, match="through 16 bits"):
        made = copy.deepcopy(groups[0])
        for entry in made.content["operators"]:
            if entry["type"] == "TypeCast":
                entry["output"]["frac_bits"] = entry["input"]["frac_bits"]
        made.run(np.ones((1, 1, 10, 10)))
