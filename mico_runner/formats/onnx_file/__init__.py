"""ONNX files: a file becomes a torch module whose submodules are the file's nodes.

    network = read(Path("net.onnx"))
    graph = capture(network.module, network.input_shapes[0], "net", network.whole)

What depends on no input of the network is computed here, once (`constants`); int8 files are read by dequantising (`dequantise`); what
is left are calls of torch, one function for each operator of ONNX (`operators/`). The batch is a dimension that the file leaves free,
or one of 1 that the file has fixed (`batch`).
"""

from __future__ import annotations

from pathlib import Path

from mico_runner.formats.network import FileNetwork
from mico_runner.formats.onnx_file.batch import settle_batch
from mico_runner.formats.onnx_file.build import build
from mico_runner.formats.onnx_file.inputs import input_shapes
from mico_runner.formats.onnx_file.model_file import load


def read(path: Path, input_shape: tuple[int, ...] | None = None) -> FileNetwork:
    """The network of an ONNX file; nothing in it is executed.

    Args:
        path: of opset 7 or later. Files that it names as holding its weights must lie in its folder.
        input_shape: without the batch, of the only input, where the file leaves it open.

    Raises:
        UsageError: the file is damaged or no ONNX; the package `onnx` is missing; operators that cannot be expressed, all of them at
            once; an input that is no tensor of fixed shape with the batch in front.
    """
    model = load(path)
    shapes = input_shapes(model, path.name, input_shape)
    network = build(model, path.name)
    settle_batch(network, shapes)
    whole = tuple(i for i, shape in enumerate(shapes) if shape.whole)
    return FileNetwork(network, tuple(shape.sizes for shape in shapes), whole)
