"""What a generated folder has for its reader: an example with a test vector, a page about it, a map of its memory."""

from __future__ import annotations

import numpy as np

from mico_runner.codegen import emit, footprint
from mico_runner.codegen.layout import Layout
from mico_runner.codegen.program import Program
from mico_runner.ops.c import Buffer, input_dtype, memory_order
from mico_runner.quant import reference
from mico_runner.quant.qgraph import QGraph, QTensor


def example_files(graph: QGraph, program: Program, layout: Layout) -> dict[str, str]:
    """`example/main.c`, `example/<name>_test_vector.h`, `memory.txt`, `README.md` and `boards/host.c`."""
    images = [some_values(graph.tensors[tensor]) for tensor in graph.inputs]
    made = reference.run_many(graph, [image[None] for image in images])
    given, expected = (
        [np.ravel(array)[memory_order(buffer.shape)] for array, buffer in zip(arrays, buffers, strict=True)]
        for arrays, buffers in ((images, program.inputs), (made, program.outputs))
    )
    tables = [call.name for call in program.calls if call.constants]
    more = {
        "src": layout.sources,
        "layout": layout,
        "test_inputs": [(b, stored(b, values)) for b, values in zip(program.inputs, given, strict=True)],
        "test_output": np.concatenate(expected),
        "footprints": footprint.estimates(program),
        "widest": max(map(len, tables), default=0),
    }
    files = {
        "boards/host.c": "host.c",
        "example/main.c": "main.c",
        f"example/{program.name}_test_vector.h": "test_vector.h",
        "memory.txt": "memory.txt",
        "README.md": "README.md",
    }
    return {file: emit.render(template, program, graph.name, **more) for file, template in files.items()}


def stored(buffer: Buffer, values: np.ndarray) -> np.ndarray:
    """What the program reads: a byte for each value, or two or four, the lowest first."""
    kind = input_dtype(buffer.type)
    return values if kind.itemsize == 1 else values.astype(kind.newbyteorder("<")).view(np.uint8)


def some_values(tensor: QTensor) -> np.ndarray:
    """Random integers of all that an input's type holds, int32 in the IR's order; the same for the same shape and type."""
    rng = np.random.default_rng(0)
    if tensor.type.is_sign:
        return rng.choice(np.array([-1, 1], np.int32), tensor.shape)
    return rng.integers(tensor.type.qmin, tensor.type.qmax + 1, tensor.shape, dtype=np.int32)
