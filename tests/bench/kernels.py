"""The tiled kernels on the RTL of VexRiscv Full: cycles per MAC of the matrix product 16 x 64 x 32, no wait states, beside their bars.

Four figures for each pair of bits: the product with all unpacking of the weights, which is what the bars are for, and the same without
tables; packing of the activations; and a whole layer, requantisation and call counted. Deterministic.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from mico_runner import codegen
from mico_runner.codegen import emit, micro
from mico_runner.codegen.micro.base import MicroKernel
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.codegen.program import Form, stored_bits
from mico_runner.codegen.tiling import form
from mico_runner.ops.c import Buffer, ConvGeometry
from mico_runner.quant import reference
from mico_runner.quant.qgraph import QGraph, QType
from mico_runner.targets import program, rtl
from mico_runner.targets.one_kernel import single_layer

ROWS, INPUTS, OUTPUTS = 16, 64, 32
MACS = ROWS * INPUTS * OUTPUTS
# Activations x weights: cycles of the product with tables, and without; what they took when they were last made faster.
BARS = {
    (8, 8): (97_088, 97_088),
    (8, 4): (85_916, 85_916),
    (8, 2): (47_968, 61_720),
    (8, 1): (25_244, 61_052),
    (4, 4): (63_000, 63_000),
    (2, 2): (32_080, 32_080),
    (1, 1): (13_830, 15_952),
}
PRODUCT = Path(__file__).with_name("product.c")


def bench() -> list[list[object]]:
    lines: list[list[object]] = []
    for bits, bars in BARS.items():
        graph, x = operands(*bits)
        name = "{} x {}".format(*bits)
        for what, tables, bar in (("product without tables", False, bars[1]), ("product", True, bars[0])):
            packing, product = parts(graph, x, tables)
            lines.append([f"{name}: {what}", product / MACS, "cycles per MAC", "bar", bar / MACS, product / bar])
        lines.append([f"{name}: packing of activations", packing / MACS, "cycles per MAC", "", None, None])
        lines.append([f"{name}: whole layer", layer(graph, x) / MACS, "cycles per MAC", "", None, None])
    return lines


def pairs() -> list[list[object]]:
    """The product of every width of weights; those of 3, 5, 6 and 7 bits beside the next of 4 and 8."""
    lines: list[list[object]] = []
    for act_bits in (1, 2, 4, 8):
        wider = {}
        for weight_bits in range(8, 0, -1):
            cost = parts(*operands(act_bits, weight_bits))[1] / MACS
            line = [f"{act_bits} x {weight_bits}: product", cost, "cycles per MAC"]
            if weight_bits in (1, 2, 4, 8):
                lines.append([*line, "", None, None])
            else:
                bar = 4 if weight_bits < 4 else 8
                lines.append([*line, f"{act_bits} x {bar}", wider[bar], cost / wider[bar]])
            wider[weight_bits] = cost
    return lines


def operands(act_bits: int, weight_bits: int) -> tuple[QGraph, np.ndarray]:
    """The layer, and its input (ROWS, INPUTS)."""
    rng = np.random.default_rng(0)
    graph = single_layer("linear", in_channels=INPUTS, out_channels=OUTPUTS, batch=ROWS, weight_bits=weight_bits,
                         act_bits=act_bits, rng=rng)  # fmt: skip
    return graph, rng.integers(0, 1 << act_bits, (ROWS, INPUTS))


def layer(graph: QGraph, x: np.ndarray) -> int:
    """Cycles of a whole linear layer, alone in its program, its code and weights in the caches as far as they fit."""
    with tempfile.TemporaryDirectory() as folder:
        codegen.generate_networks([replace(graph, name="layer")], folder, KernelPolicy.of("baremetal"))
        (run,) = rtl.run(rtl.build(folder), [np.stack([x, x])])
    assert np.array_equal(run.outputs, reference.run(graph, np.stack([x, x])))
    return int(run.cycles[1].sum())


def parts(graph: QGraph, x: np.ndarray, tables: bool = True) -> tuple[int, int]:
    """Cycles of packing the activations x (rows, inputs), and of the product; checks its sums.

    Args:
        tables: as `micro.candidates`.
    """
    (node,) = graph.nodes
    activation = graph.tensors[node.inputs[0]].type
    policy, size = KernelPolicy(tiles=True, tables=tables), (INPUTS, OUTPUTS, len(x))
    kernel, _ = policy.micro_kernels(stored_bits(node), activation, *size, single=False, whole=True)[0]
    read, made = Buffer("x", x.shape, activation, "arena"), Buffer("y", (OUTPUTS,), QType(8, False, 1.0), "arena")
    tile = form(node, node.weight, ConvGeometry(len(x), 1, INPUTS, len(x), 1, OUTPUTS), read, made, kernel)
    assert isinstance(tile, Form)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (source,) = micro.write([f"mico_conv2d_{kernel.name}"], work)
        source.rename(work / "micro_kernel.c")
        (work / "case.h").write_text(case(tile, kernel, x), encoding="utf-8")
        board = emit.BOARDS / "rtl"
        flags = [
            *emit.RV32_TARGET.split(),
            *emit.RV32_CFLAGS.split(),
            "-nostdlib",
            "-Wl,--gc-sections",  # whole layers
            "-nostartfiles",
            "-T",
            str(board / "link.ld"),
        ]
        folders = [f"-I{path}" for path in (work, emit.KERNELS, board)]
        sources = [str(board / "start.S"), str(PRODUCT), str(emit.KERNELS / "mico_gather.c")]
        program.checked([rtl.GCC, *flags, *folders, "-o", str(work / "elf"), *sources, "-lgcc"], "gcc", 100)
        program.checked([rtl.OBJCOPY, "-O", "binary", str(work / "elf"), str(work / "bin")], "objcopy", 100)
        (work / "in").write_bytes(b"")
        command = [str(rtl.core("full")), str(work / "bin"), str(work / "in"), str(work / "out"), "0", str(10**8)]
        program.checked(command, "product", 100)
        packing, product, *sums = np.fromfile(work / "out", "<i4")
    size = kernel.positions
    found = np.reshape(sums, (-1, OUTPUTS, size)).transpose(0, 2, 1).reshape(len(x), OUTPUTS)
    assert np.array_equal(found, x @ node.weight.astype(int).T)
    return int(packing), int(product)


def case(tile: Form, kernel: MicroKernel, x: np.ndarray) -> str:
    """`case.h` of product.c."""
    values = np.ascontiguousarray(x.astype(np.uint8)).view("<u4")
    defines = {
        "TILE": kernel.positions,
        "M": len(x),
        "N": OUTPUTS,
        "CODE_WORDS": tile.fields["value_words"],
        "ROW_WORDS": tile.weights.words.shape[1],
        "SCRATCH_WORDS": tile.scratch_words,
    }
    if kernel.TABLES:
        defines["BITS_OF_TABLES"] = kernel.bits
    lines = [f"#define {name} {value}" for name, value in defines.items()]
    for name, words in (("values", values), ("rows", tile.weights.words)):
        numbers = ", ".join(f"0x{v:x}u" for v in words.ravel())
        lines.append(f"static const uint32_t {name}[] = {{{numbers}}};")
    return "#include <stdint.h>\n" + "\n".join(lines) + "\n"
