"""log_mel: sound as the logarithms of its energy in bands of the mel scale, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import pairwise
from math import log
from typing import Any

import numpy as np
import torch

from mico_runner.errors import StepError
from mico_runner.ops import c, register
from mico_runner.ops.arithmetic import multiplier_and_shift, requantise, shifted
from mico_runner.ops.bands import Bands
from mico_runner.ops.base import Operator, Quantiser, Shapes, sample
from mico_runner.ops.capture import Call, Refused
from mico_runner.ops.node import Node, QNode, QType
from mico_runner.ops.onnx import OnnxGraph, whole

SAMPLE = QType(16, True, 2.0**-15)  # of sound as converters give it: -1 .. 1
TRIG_BITS = 30  # behind the point of a sine, and of the window
POWER_BITS = 14  # that a power loses, so that a sum of powers with weights fits 63 bits
WEIGHT_BITS = 16  # behind the point of a weight
LOG_BITS = 24  # behind the point of a logarithm to base 2
STEP_BITS = 6  # of a mantissa, between which its logarithm is linear: 4.4e-5 too small at most
FRACTION_BITS = 16  # of a mantissa between two steps
TOP = 62  # the highest bit that is set in a mantissa
LEAST_FLOOR = 1 << 22  # in integers: the rounding of a power, 2^15 at most, is under 1 % of it
MOST_FLOOR = (
    1 << 60
)  # so that it fits 63 bits with an energy, which stays below 0.375 * 2^64 as the window's mean square is 0.375
FRAMES = 1 << 9  # computed at once: what they need fits a cache


@torch.library.custom_op("mico::log_mel", mutates_args=())
def log_mel(
    x: torch.Tensor, rate: int, frame: int, hop: int, bands: int, low: float, high: float, floor: float
) -> torch.Tensor:
    """`Bands` of sounds (..., samples) of -1 .. 1: (..., frames, bands). Has no gradient."""
    of = Bands(rate, frame, hop, bands, low, high, floor)
    filters = torch.from_numpy(of.filters).to(x)
    window = torch.hann_window(frame, dtype=x.dtype, device=x.device)
    spectrum = torch.fft.rfft(x.unfold(-1, frame, hop) * window, of.size)
    return torch.log1p((spectrum.real**2 + spectrum.imag**2) @ filters.T / floor)


@log_mel.register_fake
def _shape(
    x: torch.Tensor, rate: int, frame: int, hop: int, bands: int, low: float, high: float, floor: float
) -> torch.Tensor:
    return x.new_empty((*x.shape[:-1], 1 + (x.shape[-1] - frame) // hop, bands))


@register("log_mel")
class LogMel(Operator):
    """y = ln(1 + E / `floor`), E the energy of a frame in a band of the mel scale: (1, samples) -> (1, frames, `bands`), as `Bands` says.

    In integers, each rounded half up: v = q * window to 31 bits; its transform as one of half as many complex numbers, by steps of
    radix 2 that each halve (int32, products of 64 bits), Re and Im 2^31 / size times the real ones if q has 15 bits behind the point;
    P = (Re^2 + Im^2) / 2^14; E = sum of w * P, 16 bits behind the point of w; L = log2(E + floor), 24 bits behind the point, from the
    place of the highest bit and a table of 64 steps, linear between them; r = (L - L of the floor) * multiplier / 2^shift, clamped.
    Constants: `window` int32 (frame / 2 + 1,) and `cosine` int32 (size / 4 + 1,), both 30 bits behind the point; `edge` uint16
    (bands + 2,), where each half of a triangle begins; `rise` uint16, the weights of the frequencies in the halves that rise, and 1 less
    it in those that fall; `logarithm` int32 (65,); `floor` int64 (1,); `multiplier`, `shift`.
    """

    ATEN = ("mico.log_mel.default",)
    ATTRS = ("rate", "frame", "hop", "bands", "low", "high", "floor")
    NO_KERNEL = "its kernel is not profiled"
    BOUND = 1.6  # half a step, and what roundings of the transform leave near the floor where the output has 16 bits; 0.52 of 8

    def capture(self, call: Call) -> str:
        tensor = call.input("x")
        shape = call.builder.shapes[tensor]
        if len(shape) != 2 or shape[0] != 1:
            raise Refused(f"log-mel of shape {shape} is not supported; allowed: (1, samples), one channel of sound")
        of = Bands(**{key: call[key] for key in self.ATTRS})
        if not of.frames(shape[1]):
            raise Refused(f"{shape[1]} samples are less than a frame, {of.frame}")
        return call.emit(self.name, [tensor], (1, of.frames(shape[1]), of.bands), attrs=asdict(of))

    def real(self, node: Node, x: list[torch.Tensor]) -> torch.Tensor:
        found: torch.Tensor = log_mel(x[0], **node.attrs)
        return found

    def requested_bits(self, node: Node, wanted: int, at: int = 0) -> int:
        return SAMPLE.bits

    def input_type(self, node: Node) -> QType:
        return SAMPLE

    def quantise(self, q: Quantiser, step: Any) -> None:
        tensor = q.read(step.node.inputs[0], SAMPLE.bits)
        of, made, read = Bands(**step.node.attrs), q.made(step), q.type_of(tensor)
        where = f"node {step.node.name!r}"
        if read.qmax > SAMPLE.qmax:
            raise StepError(f"{where} reads {read.bits} bits without a sign; allowed: sound, which has one")
        unit = _unit(of.size, read)
        floor = round(of.floor * unit)
        if not LEAST_FLOOR <= floor <= MOST_FLOOR:
            allowed = f"{LEAST_FLOOR / unit:.2g} .. {MOST_FLOOR / unit:.2g}"
            raise StepError(f"{where}: floor is {of.floor:g}; allowed for its input's scale, {read.scale:g}: {allowed}")
        constants = tables(of) | {"floor": np.array([floor], np.int64)}
        constants |= multiplier_and_shift(np.array([log(2) * 2.0**-LOG_BITS / made.scale]))
        q.add(step, (tensor,), attrs={"hop": of.hop, "frame": of.frame}, constants=constants)

    def integer(self, node: QNode, x: list[np.ndarray], read: list[QType], made: QType) -> np.ndarray:
        frame = node.attrs["frame"]
        places = np.minimum(np.arange(frame), frame - np.arange(frame))
        window = node.constants["window"].astype(np.int64)[places][:, None]
        framed = np.lib.stride_tricks.sliding_window_view(x[0], frame, axis=-1)[..., :: node.attrs["hop"], :]
        rows = framed.reshape(-1, frame)
        weights, floor = _weights(node), node.constants["floor"]
        found = [
            log2(weights @ _power(node, rows[first : first + FRAMES].T * window) + floor, node)
            for first in range(0, len(rows), FRAMES)
        ]
        acc = np.concatenate(found, axis=1).T - log2(floor, node)
        return requantise(acc.reshape(*framed.shape[:-1], len(weights)), node, made)

    def lower(self, to: c.Lowerer, node: QNode) -> None:
        source, output = to.buffer_of(node.inputs[0]), to.target(node)
        size = 4 * (len(node.constants["cosine"]) - 1)
        fields = {
            **{"frames": output.shape[1], "frame": node.attrs["frame"], "hop": node.attrs["hop"], "size": size},
            **{"bands": output.shape[2], "input": source.tag, "silence": int(log2(node.constants["floor"], node)[0])},
            **{"scale": c.scale(node), "output": c.output_range(node, output)},
        }
        tables = {key: table for key, table in node.constants.items() if key not in ("multiplier", "shift")}
        to.emit(node, "log_mel", [source], output, fields, tables=tables, scratch_words=size)

    def onnx(self, to: OnnxGraph, node: QNode, x: list[str], read: list[QType], made: QType) -> str:
        frame, size = node.attrs["frame"], 4 * (len(node.constants["cosine"]) - 1)
        first, weights = int(node.constants["edge"][0]), _weights(node)
        frequencies = np.arange(first, first + weights.shape[1])[:, None]
        turned = np.hanning(frame + 1)[:-1] * np.exp(-2j * np.pi * frequencies * np.arange(frame) / size)
        waves = to.constant(np.stack([turned.real, turned.imag])[:, :, None].reshape(-1, 1, frame))
        found = to.add("Conv", [x[0], waves], strides=[node.attrs["hop"]])
        parts = to.add("Reshape", [found, to.constant(whole(0, 2, weights.shape[1], -1))])
        power = to.add("ReduceSum", [to.add("Mul", [parts, parts]), to.constant(whole(1))], keepdims=1)
        each = _unit(size, read[0]) / node.constants["floor"] * 2.0**-WEIGHT_BITS
        energies = to.add("MatMul", [to.constant(weights * each), power])
        found = to.add("Log", [to.add("Add", [energies, to.constant(1.0)])])
        return to.add("Transpose", [found], perm=[0, 1, 3, 2])

    def samples(self, rng: np.random.Generator) -> Iterator[tuple[Node, Shapes]]:
        for frame, hop, bands, low in ((16, 8, 3, 0.0), (32, 40, 6, 100.0), (49, 20, 8, 20.0), (256, 128, 40, 20.0)):
            of = Bands(8000, frame, hop, bands, low, 4000.0 if frame > 16 else 3000.0, (frame / 4) ** 2 * 2.0**-32)
            shape = (1, frame + 3 * hop + 1)
            yield sample(self.name, [shape], (1, of.frames(shape[1]), bands), asdict(of))


def tables(of: Bands) -> dict[str, np.ndarray]:
    """The constants that do not depend on the types."""
    one, half = 1 << TRIG_BITS, np.arange(of.frame // 2 + 1) / of.frame
    edge = np.array([np.searchsorted(of.places, i, "right" if i == 0 else "left") for i in range(of.bands + 2)])
    rising = of.places[edge[0] : edge[-1]] % 1
    steps = np.arange((1 << STEP_BITS) + 1) / (1 << STEP_BITS)
    return {
        "window": np.rint((0.5 - 0.5 * np.cos(2 * np.pi * half)) * one).astype(np.int32),
        "cosine": np.rint(np.cos(2 * np.pi * np.arange(of.size // 4 + 1) / of.size) * one).astype(np.int32),
        "edge": edge.astype(np.uint16),
        "rise": np.minimum(np.rint(rising * (1 << WEIGHT_BITS)), (1 << WEIGHT_BITS) - 1).astype(np.uint16),
        "logarithm": np.rint(np.log2(1 + steps) * (1 << LOG_BITS)).astype(np.int32),
    }


def log2(values: np.ndarray, node: QNode) -> np.ndarray:
    """The logarithm to base 2 of 1 .. 2^63 - 1, 24 bits behind the point."""
    table, place = node.constants["logarithm"].astype(np.int64), np.full_like(values, TOP)
    for by in (32, 16, 8, 4, 2, 1):
        low = values < np.int64(1) << (TOP + 1 - by)
        values, place = np.where(low, values << by, values), place - by * low
    step = (values >> (TOP - STEP_BITS)) - (1 << STEP_BITS)
    fraction = (values >> (TOP - STEP_BITS - FRACTION_BITS)) & ((1 << FRACTION_BITS) - 1)
    found: np.ndarray = (place << LOG_BITS) + table[step]
    found += shifted((table[step + 1] - table[step]) * fraction, np.array(FRACTION_BITS))
    return found


def _unit(size: int, read: QType) -> float:
    """What an energy of 1 is in integers."""
    return (2.0**31 / size * SAMPLE.scale / read.scale) ** 2 * 2.0 ** (WEIGHT_BITS - POWER_BITS)


def _weights(node: QNode) -> np.ndarray:
    """int64 (bands, frequencies with a weight)."""
    edge, rising = (node.constants[key].astype(np.int64) for key in ("edge", "rise"))
    found = np.zeros((len(edge) - 1, len(rising)), np.int64)
    for band, (first, last) in enumerate(pairwise(edge - edge[0])):
        found[band, first:last] = rising[first:last]
        found[band - 1, first:last] = (1 << WEIGHT_BITS) - rising[first:last]  # of band -1: in the row that is cut off
    return found[:-1]


def _power(node: QNode, products: np.ndarray) -> np.ndarray:
    """(frequencies with a weight, frames) of samples times the window (frame, frames)."""
    quarter, edge = node.constants["cosine"].astype(np.int64), node.constants["edge"].astype(np.int64)
    cosine = np.concatenate([quarter, -quarter[-2::-1]])
    sine = cosine[np.abs(np.arange(len(cosine)) - len(quarter) + 1)]
    half = len(cosine) - 1  # complex numbers
    v = np.zeros((2 * half, products.shape[1]), np.int64)
    v[: len(products)] = shifted(products, np.array(15))
    order = np.array([int(f"{i:0{half.bit_length() - 1}b}"[::-1], 2) for i in range(half)])
    re, im = v[::2][order], v[1::2][order]
    width = 1
    while width < half:
        angle = np.arange(width) * (half // width)
        cos, sin = cosine[angle][:, None], sine[angle][:, None]
        (ar, br), (ai, bi) = (part.reshape(-1, 2, width, part.shape[1]).swapaxes(0, 1) for part in (re, im))
        re, im = (
            _halved(np.stack([(a << TRIG_BITS) + b, (a << TRIG_BITS) - b], 1)).reshape(half, -1)
            for a, b in ((ar, br * cos + bi * sin), (ai, bi * cos - br * sin))
        )
        width *= 2
    k = np.arange(edge[0], edge[-1])
    cos, sin = cosine[k][:, None], sine[k][:, None]
    (real_sum, real_diff), (imag_sum, imag_diff) = ((p[k] + p[half - k], p[k] - p[half - k]) for p in (re, im))
    real = _halved((real_sum << TRIG_BITS) + cos * imag_sum - sin * real_diff)
    imag = _halved((imag_diff << TRIG_BITS) - cos * real_diff - sin * imag_sum)
    return shifted(real * real + imag * imag, np.array(POWER_BITS))


def _halved(values: np.ndarray) -> np.ndarray:
    """Half of what has 30 bits behind the point."""
    return shifted(values, np.array(TRIG_BITS + 1))
