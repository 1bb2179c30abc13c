"""Node tests of onnx with a batch in front: what each operator's axes, shapes and pads become."""

import numpy as np
import onnx
from onnx import numpy_helper


class NotRun(Exception):
    """Why a test says nothing about networks of ours."""


def lift(graph, rank, values):
    """Move the axes of nodes by one: their computed inputs have a batch in front."""
    if rank == 0:
        raise NotRun("numbers without dimensions")
    for node in graph.node:
        LIFTS.get(node.op_type, _axis)(graph, node, rank, values)


def attribute(node, name):
    return next((a for a in node.attribute if a.name == name), None)


def _set(node, name, value):
    kept = [a for a in node.attribute if a.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, onnx.helper.make_attribute(name, value)])


def _replace(graph, name, value):
    for tensor in graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(numpy_helper.from_array(np.asarray(value), name))


def _moved(axis):
    return axis + 1 if axis >= 0 else axis


def _axis(graph, node, rank, values):
    """An attribute `axis` or `axes`."""
    if (found := attribute(node, "axis")) is not None:
        _set(node, "axis", _moved(found.i))
    elif node.op_type in DEFAULT_AXIS:
        _set(node, "axis", DEFAULT_AXIS[node.op_type] + 1)
    if (found := attribute(node, "axes")) is not None:
        _set(node, "axes", [_moved(a) for a in found.ints])


DEFAULT_AXIS = {"Gather": 0, "Split": 0}


def _axes_input(graph, node, rank, values):
    """Axes as the second input; none are all of them, but for the batch."""
    if attribute(node, "axes") is not None:
        return _axis(graph, node, rank, values)
    given = values.get(node.input[1]) if len(node.input) > 1 else None
    noop = attribute(node, "noop_with_empty_axes")
    if given is None or not given.size:
        if noop is not None and noop.i:
            return None
        given = np.arange(rank) if node.op_type != "Squeeze" else None
        if given is None:
            return None
        if len(node.input) > 1:
            node.input[1] = "all_axes"
        else:
            node.input.append("all_axes")
        graph.initializer.append(numpy_helper.from_array(given + 1, "all_axes"))
        return None
    return _replace(graph, node.input[1], [_moved(int(a)) for a in given])


def _slice(graph, node, rank, values):
    if len(node.input) > 3 and node.input[3]:
        return _replace(graph, node.input[3], [_moved(int(a)) for a in values[node.input[3]]])
    count = len(values[node.input[1]])
    while len(node.input) < 4:
        node.input.append("")
    node.input[3] = "front_axes"
    graph.initializer.append(numpy_helper.from_array(np.arange(count) + 1, "front_axes"))
    return None


def _transpose(graph, node, rank, values):
    perm = attribute(node, "perm")
    perm = list(perm.ints) if perm is not None else list(range(rank))[::-1]
    _set(node, "perm", [0, *(p + 1 for p in perm)])


def _reshape(graph, node, rank, values):
    shape = values[node.input[1]]
    allow = attribute(node, "allowzero")
    _replace(graph, node.input[1], np.array([1 if allow is not None and allow.i else 0, *shape], np.int64))


def _in_front(value):
    def lift(graph, node, rank, values):
        given = values[node.input[1]]
        short = rank - len(given) if node.op_type == "Expand" else 0
        if short <= 0:
            _replace(graph, node.input[1], np.array([value, *given], np.int64))

    return lift


def _pad(graph, node, rank, values):
    if len(node.input) > 3 and node.input[3]:
        return _replace(graph, node.input[3], [_moved(int(a)) for a in values[node.input[3]]])
    pads = values[node.input[1]]
    return _replace(graph, node.input[1], np.array([0, *pads[:rank], 0, *pads[rank:]], np.int64))


def _matmul(graph, node, rank, values):
    if rank < 2 or any(a.ndim < 2 for a in values.values()):
        raise NotRun("products of vectors, which have no batch")


def _expand(graph, node, rank, values):
    given = values[node.input[1]]
    if len(given) > rank:
        raise NotRun("an expansion that puts dimensions in front of the batch")
    if len(given) == rank:
        _replace(graph, node.input[1], np.array([1, *given], np.int64))


def _not_run(reason):
    def lift(graph, node, rank, values):
        raise NotRun(reason)

    return lift


LIFTS = {
    **dict.fromkeys((k for k in ("Squeeze", "Unsqueeze")), _axes_input),
    **{
        f"Reduce{k}": _axes_input for k in ("Mean", "Sum", "SumSquare", "L1", "L2", "LogSum", "LogSumExp", "Max", "Min")
    },
    "Slice": _slice,
    "Transpose": _transpose,
    "Reshape": _reshape,
    "Tile": _in_front(1),
    "Expand": _expand,
    "Pad": _pad,
    "MatMul": _matmul,
    "Einsum": _not_run("an equation that names each dimension"),
}
MOVES = {
    *LIFTS,
    *DEFAULT_AXIS,
    "Softmax",
    "LogSoftmax",
    "Concat",
    "LayerNormalization",
    "RMSNormalization",
    "LpNormalization",
}
