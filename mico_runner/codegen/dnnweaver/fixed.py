"""The form that DNNWeaver2's compiler takes: a chain of groups, each a convolution and what follows it, in fixed point of 16 bits.

A tensor holds q of 16 bits with real = q / 2^frac_bits. A group adds products of 16 x 16 bits and a bias in 64 bits, shifts right to
its output's fraction, and goes on with 16 bits: max(x, slope x), then a maximum over windows. A linear layer is a convolution of the
whole image that it reads. What breaks that compiler's rules is refused here or found by `rules.broken_rules`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import ceil, log2
from pathlib import Path
from typing import Any

import numpy as np

from mico_runner.codegen.dnnweaver.rules import Entry
from mico_runner.errors import StepError
from mico_runner.graph.ir import Graph
from mico_runner.graph.run import run_float
from mico_runner.ops import operator
from mico_runner.ops.capture import Refused
from mico_runner.ops.conv_groups import Pair

FORMAT, VERSION = "mico-runner dnnweaver groups", 1
DESCRIPTION, ARRAYS = "dnnweaver-groups.json", "dnnweaver-groups.bin"
BITS, BIAS_BITS, SUM_BITS = 16, 32, 64  # of data and weights, of biases, of sums
LARGEST = (1 << (BITS - 1)) - 1
HEADROOM = 2.0  # activations may be that much larger than on the calibration images


@dataclass(frozen=True)
class Groups:
    """Attributes: content: what the JSON file says; arrays: what the other one holds."""

    content: Entry
    arrays: bytes

    def write(self, folder: Path) -> int:
        """Both files; their bytes together."""
        text = json.dumps(self.content, indent=1) + "\n"
        (folder / DESCRIPTION).write_text(text, encoding="utf-8")
        (folder / ARRAYS).write_bytes(self.arrays)
        return len(text.encode()) + len(self.arrays)

    @classmethod
    def read(cls, folder: Path) -> Groups:
        return cls(json.loads((folder / DESCRIPTION).read_text(encoding="utf-8")), (folder / ARRAYS).read_bytes())

    def run(self, images: np.ndarray) -> np.ndarray:
        """Real outputs (N, Cout) or (N, H, W, Cout) for real images (N, C, H, W), computed in the integers of the files.

        Raises StepError: a value leaves 16 bits, which the hardware would wrap around.
        """
        start = self.content["operators"][0]["input"]
        x = np.asarray(images, np.float64).reshape(len(images), -1, *start["nhwc"][1:3]).transpose(0, 2, 3, 1)
        x = np.clip(np.rint(x * 2.0 ** start["frac_bits"]), -LARGEST - 1, LARGEST).astype(np.int64)
        for entry in self.content["operators"]:
            x = getattr(self, f"_{entry['type'].lower()}")(entry, x)
            if entry["output"]["bits"] == BITS and (np.abs(x) > LARGEST).any():
                raise StepError(f"{entry['name']}: {np.abs(x).max():,} on the way through {BITS} bits")
        found: np.ndarray = x / 2.0 ** self.content["operators"][-1]["output"]["frac_bits"]
        return found[:, 0, 0] if found.shape[1:3] == (1, 1) else found

    def _array(self, about: Entry) -> np.ndarray:
        raw = self.arrays[about["at"] : about["at"] + about["bytes"]]
        return np.frombuffer(raw, f"<i{about['bits'] // 8}").reshape(about["shape"]).astype(np.int64)

    def _convolution(self, entry: Entry, x: np.ndarray) -> np.ndarray:
        weight, bias = self._array(entry["weights"]), self._array(entry["bias"])
        _, high, wide, _ = weight.shape
        found = _windows(x, (high, wide), entry["stride"][1:3], entry["padding"])  # (N, Ho, Wo, C, kh, kw)
        columns = found.transpose(0, 1, 2, 4, 5, 3).reshape(*found.shape[:3], -1)
        sums: np.ndarray = columns @ weight.reshape(len(weight), -1).T + bias
        return sums

    def _typecast(self, entry: Entry, x: np.ndarray) -> np.ndarray:
        return np.asarray(x >> (entry["input"]["frac_bits"] - entry["output"]["frac_bits"]))

    def _leakyrelu(self, entry: Entry, x: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.maximum(x, x * int(entry["scalar"] * 2**BITS) >> BITS)
        return found

    def _maxpooling(self, entry: Entry, x: np.ndarray) -> np.ndarray:
        kernel = tuple(entry["pooling_kernel"][1:3])
        largest: np.ndarray = _windows(x, kernel, entry["stride"][1:3], entry["padding"]).max((4, 5))
        return largest


def _windows(x: np.ndarray, kernel: tuple[int, ...], stride: list[int], pad: list[list[int]]) -> np.ndarray:
    wide = np.pad(x, [tuple(sides) for sides in pad])
    found: np.ndarray = np.lib.stride_tricks.sliding_window_view(wide, kernel, (1, 2))
    return found[:, :: stride[0], :: stride[1]]


def conv_groups(graph: Graph, images: np.ndarray) -> Groups:
    """The chain of groups of a float network; binary points from the largest values on these images (N, *input shape).

    Raises StepError: an operator that no group can hold, all of them by name, or a network that is no chain.
    """
    largest: dict[str, float] = {}
    run_float(graph, images, lambda name, x: largest.__setitem__(name, float(x.abs().max())))
    chain, at, refused = _Chain(graph, largest), graph.input, []
    for node in graph.nodes:
        if node.inputs != (at,):
            raise StepError(
                f"{graph.name}: {node.name!r} ({node.op}) reads another tensor than the one before it made; "
                "allowed: a chain"
            )
        try:
            operator(node.op).conv_group(chain, node)
        except Refused as error:
            refused.append(f"{node.name} ({node.op}): {error}")
            chain.skip(node.output, graph.shapes[node.output])
        at = node.output
    if refused:
        raise StepError(f"{graph.name}: what no group of DNNWeaver2 holds: {'; '.join(refused)}")
    return Groups(
        {"format": FORMAT, "version": VERSION, "name": graph.name, "operators": chain.entries}, bytes(chain.arrays)
    )


def fraction(largest: float, bits: int = BITS) -> int:
    """Bits behind the binary point, so that values up to `largest` fit; no more than all of them."""
    return min(bits - 1, bits - 1 - ceil(log2(largest * (1 + 2.0 ** (1 - bits))))) if largest > 0 else bits - 1


def _image(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(C, H, W); a vector has a value of each channel."""
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 else (shape[-1], 1, 1)


class _Chain:
    """A `conv_groups.ConvGroups`."""

    def __init__(self, graph: Graph, largest: dict[str, float]) -> None:
        self.entries: list[Entry] = []
        self.arrays = bytearray()
        self._largest = largest
        self.images: dict[str, tuple[int, int, int]] = {}
        self._at = self._tensor(graph.input, _image(graph.shapes[graph.input]), BITS, fraction(largest[graph.input]))

    def image(self, tensor: str) -> tuple[int, int, int]:
        return self.images[tensor]

    def skip(self, output: str, shape: tuple[int, ...]) -> None:
        """Go on behind an operator that has no form here, so that all of them are found."""
        self._at = self._tensor(output, _image(shape), BITS, self._at["frac_bits"])

    def _tensor(self, name: str, image: tuple[int, ...], bits: int, frac_bits: int) -> Entry:
        self.images[name] = (image[0], image[1], image[2])
        kind = {"type": f"FXP{bits}", "bits": bits, "frac_bits": frac_bits}
        return {"name": name, "nhwc": [1, *image[1:], image[0]], **kind}

    def _place(self, values: np.ndarray, frac_bits: int, bits: int) -> Entry:
        raw, at = values.astype(f"<i{bits // 8}").tobytes(), len(self.arrays)
        self.arrays += raw
        place = {"at": at, "bytes": len(raw), "shape": list(values.shape)}
        return {**place, "type": f"FXP{bits}", "bits": bits, "frac_bits": frac_bits}

    def _append(self, kind: str, name: str, output: Entry, **fields: Any) -> None:
        self.entries.append({"type": kind, "name": name, "input": self._at, **fields, "output": output})
        self._at = output

    def convolution(
        self, name: str, output: str, weight: np.ndarray, bias: np.ndarray | None, stride: Pair, padding: Pair
    ) -> None:
        read, (_, height, width) = self._at, self.images[self._at["name"]]
        bias = np.zeros(len(weight)) if bias is None else bias.astype(np.float64)
        room = fraction(float(np.abs(bias).max()), BIAS_BITS)
        point = max(0, min(fraction(float(np.abs(weight).max())), room - read["frac_bits"]))
        made = max(0, min(fraction(HEADROOM * self._largest[output]), read["frac_bits"] + point))
        sizes = [
            (size + 2 * p - k) // s + 1
            for size, p, k, s in zip((height, width), padding, weight.shape[1:3], stride, strict=True)
        ]
        image = (len(weight), *sizes)
        both = read["frac_bits"] + point
        self._append(
            "Convolution",
            name,
            self._tensor(f"{output}.sum", image, SUM_BITS, both),
            weights=self._place(
                np.rint(weight.astype(np.float64) * 2.0**point).clip(-LARGEST - 1, LARGEST), point, BITS
            ),
            bias=self._place(np.rint(bias * 2.0**both), both, BIAS_BITS),
            stride=[1, *stride, 1],
            padding=[[0, 0], [padding[0]] * 2, [padding[1]] * 2, [0, 0]],
            group=1,
        )
        self._append("TypeCast", f"{name}.cast", self._tensor(output, image, BITS, made))

    def relu(self, output: str) -> None:
        self._append("LeakyReLU", f"{output}.relu", self._same(output), scalar=0.0)

    def max_pool(self, output: str, kernel: Pair, stride: Pair) -> None:
        channels, height, width = self.images[self._at["name"]]
        sizes = [(size - k) // s + 1 for size, k, s in zip((height, width), kernel, stride, strict=True)]
        made = self._tensor(output, (channels, *sizes), BITS, self._at["frac_bits"])
        pads = [[0, 0] for _ in range(4)]
        self._append("MaxPooling", output, made, pooling_kernel=[1, *kernel, 1], stride=[1, *stride, 1], padding=pads)

    def view(self, tensor: str, output: str) -> None:
        self.images[output] = self.images[tensor]
        self._at = {**self._at, "name": output}

    def _same(self, output: str) -> Entry:
        return self._tensor(output, self.images[self._at["name"]], BITS, self._at["frac_bits"])
