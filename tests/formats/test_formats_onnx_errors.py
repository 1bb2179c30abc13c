"""Files that are damaged, foreign or hostile, and networks that cannot be expressed, end with one UsageError that names file and node."""

import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from mico_runner.errors import UsageError
from mico_runner.formats.onnx_file import read
from mico_runner.graph import capture

SEED = 0
node = helper.make_node


def model_of(nodes, shape=("n", 3, 8, 8), constants=None, opset=18, functions=(), kind=TensorProto.FLOAT, output="y"):
    """A network from x to y."""
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    x, y = (
        helper.make_tensor_value_info("x", kind, shape),
        helper.make_tensor_value_info(output, TensorProto.FLOAT, None),
    )
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("own", 1)]
    return helper.make_model(
        helper.make_graph(nodes, "net", [x], [y], held), opset_imports=domains, functions=functions, ir_version=9
    )


def refused(model, folder, shape=None):
    """The message of reading and capturing a model."""
    path = folder / "net.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    with pytest.raises(UsageError) as error:
        found = read(path, shape)
        capture(found.module, found.input_shapes[0], "net")
    assert "net.onnx" in str(error.value)
    return str(error.value)


def conv():
    weight = np.random.default_rng(SEED).normal(size=(4, 3, 3, 3)).astype(np.float32)
    return model_of([node("Conv", ["x", "w"], ["y"], name="conv")], constants={"w": weight})


def test_every_cut_of_a_file_is_one_error(tmp_path):
    data = conv().SerializeToString()
    for end in [*range(0, len(data) - 1, 7), len(data) - 1]:
        refused(data[:end], tmp_path)


def test_random_bytes_and_random_changes_never_crash(tmp_path):
    rng = np.random.default_rng(SEED)
    for size in (1, 10, 1000):
        refused(rng.bytes(size), tmp_path)
    data, path = conv().SerializeToString(), tmp_path / "net.onnx"
    for _ in range(60):
        changed = bytearray(data)
        for place in rng.integers(0, len(data), 3):
            changed[place] = rng.integers(0, 256)
        path.write_bytes(bytes(changed))
        try:
            read(path)
        except UsageError as error:
            assert "net.onnx" in str(error)


CASES = {
    "opset": (lambda: model_of([node("Relu", ["x"], ["y"])], opset=6), "opset 6; allowed: 7 to"),
    "newer": (lambda: model_of([node("Relu", ["x"], ["y"])], opset=1000), "opset 1000; allowed: 7 to"),
    "missing": (
        lambda: model_of([node("Conv", ["x", "w"], ["y"], name="c")]),
        "node 'c' (Conv): its input 'w' is neither",
    ),
    "cycle": (
        lambda: model_of([node("Add", ["x", "b"], ["y"], name="a"), node("Relu", ["y"], ["b"])]),
        "node 'a' (Add): its input 'b'",
    ),
    "twice": (
        lambda: model_of([node("Relu", ["x"], ["y"]), node("Relu", ["x"], ["y"])]),
        "its output 'y' is made twice",
    ),
    "no output": (lambda: model_of([node("Relu", ["x"], ["z"])]), "its output 'y' is made by no operator"),
    "constant": (
        lambda: model_of([node("Relu", ["c"], ["y"])], constants={"c": np.ones(3, np.float32)}),
        "does not depend on its input",
    ),
    "values": (lambda: damaged_values(), "the values of 'w' do not fit"),
    "shapes": (
        lambda: model_of(
            [node("Conv", ["x", "w"], ["y"], name="c")], constants={"w": np.ones((4, 5, 3, 3), np.float32)}
        ),
        "node 'c' (Conv): ",
    ),
    "type": (lambda: model_of([node("Relu", ["x"], ["y"])], kind=TensorProto.BOOL), "input 'x' is of type bool"),
    "batch": (lambda: model_of([node("Relu", ["x"], ["y"])], (3, 8, 8)), "the first dimension must be the batch"),
    "open size": (
        lambda: model_of([node("Relu", ["x"], ["y"])], ("n", 3, "h", "w")),
        "['n', 3, 'h', 'w']: sizes behind the batch must be fixed",
    ),
    "random": (
        lambda: model_of([node("RandomNormalLike", ["x"], ["r"], name="r"), node("Add", ["x", "r"], ["y"])]),
        "it draws random numbers",
    ),
    "loop": (lambda: calls_itself(), "function 'again' calls itself"),
    "many": (lambda: doubles(), "operators when its functions are written out"),
    "large": (
        lambda: model_of(
            [node("ConstantOfShape", ["s"], ["c"]), node("Add", ["x", "c"], ["y"])], constants={"s": np.array([2**40])}
        ),
        "a constant of more than",
    ),
    "attribute": (
        lambda: model_of([node("Relu", ["x"], ["y"], name="r", slope=0.5)]),
        "node 'r' (Relu): its attribute 'slope' is not supported",
    ),
    "argument": (
        lambda: model_of([node("Reshape", ["x", "x"], ["y"], name="r")]),
        "its input 'x' must not depend on the input",
    ),
    "axis": (
        lambda: model_of([node("Softmax", ["x"], ["y"], name="s", axis=7)]),
        "node 's' (Softmax): axis 7 of a tensor of 4 dimensions",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_cannot_be_read_is_told(name, tmp_path):
    make, message = CASES[name]
    assert message in refused(make(), tmp_path)


def damaged_values():
    model = conv()
    model.graph.initializer[0].raw_data = b"1234"
    return model


def function(name, *nodes):
    return helper.make_function(
        "own", name, ["x"], ["y"], nodes, [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    )


def calls_itself():
    return model_of(
        [node("again", ["x"], ["y"], domain="own")],
        functions=[function("again", node("again", ["x"], ["y"], domain="own"))],
    )


def doubles():
    made = [function("f0", node("Relu", ["x"], ["y"]))]
    for i in range(1, 40):
        one, two = (node(f"f{i - 1}", [a], [b], domain="own") for a, b in (("x", "z"), ("z", "y")))
        made.append(function(f"f{i}", one, two))
    return model_of([node("f39", ["x"], ["y"], domain="own")], functions=made)


def test_all_that_is_missing_is_told_at_once(tmp_path):
    nodes = [
        *(node("Round", ["x"], ["a"], name="first"), node("Round", ["a"], ["b"], name="second")),
        *(node("Own", ["b"], ["c"], domain="own", name="third"), node("TopK", ["c", "k"], ["y", "i"], name="fourth")),
    ]
    lines = refused(model_of(nodes, constants={"k": np.array([2])}), tmp_path).splitlines()
    assert (
        lines[0]
        == "net.onnx: 4 nodes have operators that are not supported; docs/reference/onnx.md lists those that are:"
    )
    assert lines[1].startswith("  Round (2 times): nodes 'first', 'second': ")
    assert lines[2].startswith("  own.Own: node 'third': ") and lines[3].startswith(
        "  TopK: node 'fourth': leave it to the program"
    )


def test_what_capture_refuses_is_named_by_the_node_of_the_file(tmp_path):
    nodes = [
        node("Softmax", ["x"], ["a"], axis=0, name="/up/soft"),
        node("ReduceMean", ["x"], ["b"], axes=[0], name="mean"),
        node("Add", ["a", "b"], ["y"]),
    ]
    text = refused(model_of(nodes, opset=13), tmp_path)
    assert "net.onnx: node '/up/soft' (Softmax): softmax over the batch is not supported" in text
    assert "net.onnx: node 'mean' (ReduceMean): a mean over the batch is not supported" in text
    assert ".py:" not in text


def test_an_open_size_can_be_given(tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(model_of([node("Relu", ["x"], ["y"])], ("n", 3, "h", "w")), path)
    assert read(path, (3, 4, 5)).input_shapes == ((3, 4, 5),)
    assert "does not fit it" in refused(model_of([node("Relu", ["x"], ["y"])], ("n", 3, "h", "w")), tmp_path, (4, 4, 5))


@pytest.mark.parametrize("place", ["../other.bin", "/etc/passwd", "folder/../../other.bin", ""])
def test_values_outside_of_the_folder_are_refused(place, tmp_path):
    folder = tmp_path / "inside"
    folder.mkdir()
    (tmp_path / "other.bin").write_bytes(bytes(432))
    assert "must lie in it" in refused(with_external(place), folder)
    (folder / "link.bin").symlink_to(tmp_path / "other.bin")
    assert "must lie in it" in refused(with_external("link.bin"), folder)


def with_external(place, length=432):
    model = conv()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", place), ("offset", 0), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
    return model


def test_values_in_the_folder_are_read(tmp_path):
    (tmp_path / "data.bin").write_bytes(conv().graph.initializer[0].raw_data)
    onnx.save(with_external("data.bin"), tmp_path / "net.onnx")
    onnx.save(conv(), tmp_path / "whole.onnx")
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(read(tmp_path / "net.onnx").module(x), read(tmp_path / "whole.onnx").module(x))
    assert "needed are 0 to 1000" in refused(with_external("data.bin", 1000), tmp_path)
    assert "cannot be read" in refused(with_external("none.bin"), tmp_path)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    onnx.save(conv(), tmp_path / "net.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UsageError, match=r"pip install 'mico-runner\[onnx\]'"):
        read(tmp_path / "net.onnx")


def test_a_branch_that_is_constant_is_taken_and_functions_are_written_out(tmp_path):
    def branch(kind):
        return helper.make_graph(
            [node(kind, ["x"], ["b"])], kind, [], [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)]
        )

    nodes = [
        node("If", ["c"], ["a"], then_branch=branch("Relu"), else_branch=branch("Neg")),
        node("twice", ["a"], ["y"], domain="own"),
    ]
    twice = function("twice", node("Add", ["x", "x"], ["y"]))
    onnx.save(model_of(nodes, constants={"c": np.array(False)}, functions=[twice]), tmp_path / "net.onnx")
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(read(tmp_path / "net.onnx").module(x), -2 * x)
