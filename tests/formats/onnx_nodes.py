"""The node tests that the package onnx brings, as networks of one input with the batch in front.

A test has one node and numbers for its inputs and outputs. Its first float tensor becomes the network's input, all others initialisers.
Images keep their own batch, which is left free in the file; any other tensor gets a batch of one in front, and its axes move by one.
"""

import functools
import warnings
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper
from onnx_axes import MOVES, NotRun, attribute, lift

from mico_runner.errors import UsageError
from mico_runner.formats.onnx_file import read
from mico_runner.formats.onnx_file.dequantise import TRANSLATED_INT8
from mico_runner.formats.onnx_file.translation import translated, translation_of
from mico_runner.graph import capture, run_float

# Their inputs are (N, C, ...).
IMAGES = {
    *("AveragePool", "BatchNormalization", "Conv", "ConvInteger", "ConvTranspose", "DepthToSpace", "GlobalAveragePool"),
    *(
        "GlobalMaxPool",
        "GroupNormalization",
        "InstanceNormalization",
        "LRN",
        "LpPool",
        "MaxPool",
        "QLinearConv",
        "Resize",
    ),
    *("SpaceToDepth", "Upsample", "Attention", "MeanVarianceNormalization"),
}
# Their inputs are (T, N, ...), or (N, T, ...) with `layout` 1.
SEQUENCES = {"LSTM", "GRU", "RNN"}
# Their rows are samples.
ROWS = {"Gemm", "Flatten"}
# Every float operand can be computed; shapes are aligned at their end.
BROADCAST = {"Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean", "Where"}
ONLY_PACKED = {"Attention", "Concat"}
PACKED = BROADCAST | ONLY_PACKED | {"MatMul"}
# Not finite for all numbers.
ROOTS = {"Log", "Sqrt", "Pow", "ReduceLogSum"}
FLOATS = ("float32", "float16", "bfloat16", "float64")
INTEGERS = ("int8", "uint8", "int16", "uint16")
# Operators that nothing but known values meets: shapes, masks, positions.
KNOWN_ONLY = {"Shape", "Size", "Constant", "ConstantOfShape", "Range"}


@dataclass
class Case:
    name: str
    model: onnx.ModelProto
    inputs: list
    outputs: list

    @property
    def kinds(self):
        return {node.op_type for node in self.model.graph.node}


@functools.cache
def cases():
    """All tests whose operators are all among ours, the expanded ones of functions included."""
    from onnx.backend.test.loader import load_model_tests

    ours = translated() | TRANSLATED_INT8
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        tests = load_model_tests(kind="node")
    found = [Case(t.name, t.model, *([_array(v) for v in values] for values in t.data_sets[0])) for t in tests]
    return [c for c in found if c.kinds <= ours | KNOWN_ONLY and c.kinds & ours]


def _array(value):
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return np.asarray(value) if isinstance(value, np.generic) else value


def check(case, folder, packed):
    """Run every output of a test.

    Args:
        packed: all float tensors are computed, from parts of one input; else one is, and all others are initialisers.

    Raises AssertionError: other numbers; NotRun: see there; UsageError: it is refused.
    """
    if not all(isinstance(a, np.ndarray) for a in (*case.inputs, *case.outputs)):
        raise NotRun("sequences and optional values")
    places = _inputs_of(case)
    if not all(a.size for a in (*case.outputs, *(case.inputs[i] for i in places))):
        raise NotRun("empty tensors")
    if "Flatten" in case.kinds and (found := attribute(case.model.graph.node[0], "axis")) is not None and found.i != 1:
        raise NotRun("an output whose rows are no samples")
    if packed and (len(places) < 2 or not case.kinds <= PACKED):
        raise NotRun("one computed input alone")
    if not packed and case.kinds & ONLY_PACKED:
        raise NotRun("operands that each have a batch, of one constant")
    for i in range(len(case.outputs)):
        model, x, lifted = _network(case, places if packed else places[:1], i)
        try:
            found = _run(model, x, folder)
        except UsageError as error:
            if "does not depend on its input through any operator" not in str(error):
                raise
            found = _run(_doubled(model), x / 2, folder)  # nothing is left of the node
        rank = case.outputs[i].ndim
        if (
            case.kinds & SEQUENCES and "_batchwise" not in case.name
        ):  # (T, directions, N, hidden), (directions, N, hidden)
            found = np.moveaxis(found, 0, rank - 2)
        if not lifted and rank == 1:  # one number a sample is a row of one
            found = found[:, 0]
        _compare(found[0] if lifted else found, case, i)


def _run(model, x, folder):
    path = folder / "node.onnx"
    onnx.save(model, path)
    network = read(path)
    return run_float(capture(network.module, network.input_shapes[0], "node"), x).numpy()


def _doubled(model):
    """The network with a product by two in front."""
    two = numpy_helper.from_array(np.float32(2), "two")
    return _with_front(model, onnx.helper.make_node("Mul", ["in_front", "two"], [model.graph.input[0].name]), two)


def _with_front(model, node, *constants):
    """Another node that makes the input of the network."""
    graph = model.graph
    graph.input[0].name = "in_front"
    graph.initializer.extend(constants)
    nodes = [node, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _compare(found, case, i):
    expected, kind = case.outputs[i].astype(np.float64), str(case.outputs[i].dtype)
    assert found.shape == expected.shape, f"{found.shape} instead of {expected.shape}"
    coarse = {str(a.dtype) for a in (*case.inputs, *case.outputs)} & {"float16", "bfloat16"}
    tolerance = (2e-2 if coarse else 1e-4) * max(np.abs(expected[np.isfinite(expected)]).max(initial=0), 1e-2)
    last = case.model.graph.node[-1]
    if kind in INTEGERS and last.op_type in TRANSLATED_INT8:  # integers that stand for values
        values = dict(zip((v.name for v in case.model.graph.input), case.inputs, strict=True))
        at = {"QuantizeLinear": 1, "QLinearConv": 6, "QLinearMatMul": 6}.get(last.op_type)
        scale = case.outputs[1] if at is None else values[last.input[at]]
        zero = (
            case.outputs[2]
            if at is None
            else values.get(last.input[at + 1] if len(last.input) > at + 1 else "", np.zeros((), np.uint8))
        )
        scale, limits = np.float64(scale.item()), np.iinfo(zero.dtype)
        expected = (expected - zero.item()) * scale
        found = np.clip(found, *((float(end) - zero.item()) * scale for end in (limits.min, limits.max)))
        tolerance = 0.5 * scale * 1.001
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=tolerance)


def _inputs_of(case):
    """Which inputs can be computed."""
    names = [value.name for value in case.model.graph.input]
    fixed = set()
    for node in case.model.graph.node:
        translation = translation_of(node)
        if translation:
            fixed |= {node.input[i] for i in translation.arguments if i < len(node.input)}
    first = case.model.graph.node[0]
    scales = [a for a, v in zip(case.inputs, case.model.graph.input, strict=True) if v.name in first.input[1:2]]
    if first.op_type == "QuantizeLinear" and "float8" in str(case.outputs[0].dtype):
        raise NotRun("floats of 8 bits")
    if first.op_type == "QuantizeLinear" and scales[0].size > 1:
        raise NotRun("integers of several scales, which nothing reads")
    kinds = FLOATS + (INTEGERS if first.op_type in TRANSLATED_INT8 else ())
    found = [i for i, a in enumerate(case.inputs) if names[i] not in fixed and str(a.dtype) in kinds]
    if first.op_type in TRANSLATED_INT8:
        found = found[:1]
    if not found and all(str(a.dtype) not in FLOATS for a in case.inputs):
        raise NotRun("arithmetic on integers, booleans or text, or on nothing")
    if not found:
        raise NotRun("no float tensor that could be computed")
    return found


def _network(case, places, output):
    """The model of one output, the values for its input, and whether they got a batch in front."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    several = len(model.graph.node) > 1 and case.kinds & MOVES
    graph, lifted = model.graph, not case.kinds & (IMAGES | ROWS | SEQUENCES) and not several
    values = {value.name: a for value, a in zip(graph.input, case.inputs, strict=True)}
    names = [value.name for value in graph.input]
    computed = {names[i]: case.inputs[i] for i in places}
    least = 3 if case.kinds & IMAGES else 2 if case.kinds & ROWS else 1
    if min(a.ndim for a in computed.values()) < least:
        raise NotRun("tensors without room for a batch")
    kept = graph.output[output].name
    del graph.output[:]
    graph.output.add(name=kept).type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    del graph.input[:]
    for name, a in values.items():
        if name not in computed:
            graph.initializer.append(numpy_helper.from_array(a, name))
    ranks = {name: a.ndim for name, a in computed.items()}
    if lifted:
        lift(graph, max(ranks.values()), values)
        aligned = case.kinds <= BROADCAST
        computed = {
            n: a.reshape(1, *[1] * (max(ranks.values()) - a.ndim if aligned else 0), *a.shape)
            for n, a in computed.items()
        }
    if len(computed) == 1:
        ((name, x),) = computed.items()
        kind = x.dtype
    else:
        name, x, kind = _pack(graph, computed)
    if case.kinds & SEQUENCES:
        x = _by_sample(graph, name, x, case.outputs[output].ndim)
        name = "by_sample"
    value = onnx.helper.make_tensor_value_info(
        name, onnx.helper.np_dtype_to_tensor_dtype(kind), [1 if lifted else "n", *x.shape[1:]]
    )
    graph.input.append(value)
    if (
        case.kinds & ROOTS and min(a.min() for a in computed.values()) >= 0
    ):  # else the random input of a capture has no logarithm
        _with_front(model, onnx.helper.make_node("Abs", ["in_front"], [name]))
    return model, x.astype(np.float32), lifted


def _by_sample(graph, name, x, rank):
    """The input with the batch in front, and so the output; both are turned inside the network."""
    (node,), made = graph.node, graph.output[0].name
    layout = attribute(node, "layout")
    first = layout is not None and layout.i
    place = 0 if first else 2 if rank == 4 else 1
    graph.output[0].name = "made"
    turned = onnx.helper.make_node("Transpose", ["by_sample"], [name], perm=[0, 1, 2] if first else [1, 0, 2])
    back = onnx.helper.make_node("Transpose", [made], ["made"], perm=[place, *(i for i in range(rank) if i != place)])
    nodes = [turned, node, back]
    copies = [onnx.NodeProto() for _ in nodes]
    for copy, original in zip(copies, nodes, strict=True):
        copy.CopyFrom(original)
    del graph.node[:]
    graph.node.extend(copies)
    return x if first else x.swapaxes(0, 1)


def _pack(graph, computed):
    """One input whose parts are the tensors."""
    nodes, parts, start = [], [], 0
    if len({len(a) for a in computed.values()}) > 1:
        raise NotRun("operands that have no batch in common")
    for name, a in computed.items():
        flat = a.astype(np.float32).reshape(len(a), -1)
        limits = {"from": [start], "to": [start + flat.shape[1]], "along": [1], "shape": [0, *a.shape[1:]]}
        graph.initializer.extend(
            numpy_helper.from_array(np.array(v, np.int64), f"{name}_{k}") for k, v in limits.items()
        )
        cut = onnx.helper.make_node(
            "Slice", ["packed", *(f"{name}_{k}" for k in ("from", "to", "along"))], [f"{name}_flat"]
        )
        nodes += [cut, onnx.helper.make_node("Reshape", [f"{name}_flat", f"{name}_shape"], [name])]
        parts.append(flat)
        start += flat.shape[1]
    nodes += list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    return "packed", np.concatenate(parts, 1), np.dtype(np.float32)
