"""What the latency of a kernel can be a latency of: rules of one row of a profile, and what looks wrong in all rows together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mico_runner.kernel_table import BITS, DERIVED, SHAPE, STORED_BITS, WEIGHTED, WIDEST_BITS
from mico_runner.ops.families import FAMILIES
from mico_runner.yaml_schema import Problem
from mico_runner.yaml_source import Place

if TYPE_CHECKING:
    from mico_runner.hardware import Hardware

LATENCY_RANGE = (1e-6, 1e15)  # in any unit of a profile: below a clock cycle in ms, and eleven days in ns
MOST_WORK = 2**53  # MACs or elements of one kernel, which a float64 still counts
FLOAT_BITS = 32  # kernels without weights may be timed on floating-point numbers
NOISE = 0.1  # relative; repeated measurements of one kernel differ by less on a quiet machine
SPREAD = 1e6  # of the latency per unit of work, within one kind; call overheads and all bit-widths together make 1e4

# Columns of a kind that are 1: it has no window.
_ONE = {
    kind: [column for column in SHAPE[3:] if column not in family.columns]
    for kind, family in FAMILIES.items()
    if "kernel_h" not in family.columns
}


def row_problem(row: Mapping[str, Any], device: Hardware | None = None) -> tuple[str, str] | None:
    """Column and text of the first thing that is wrong with a row; None when it may be.

    Args:
        row: kind and whole numbers by column, each positive (bits: not negative); absent ones as the kernel table fills them in.
        device: whose bit-widths they must be.
    """
    kind = row["kind"]
    shape = {name: row.get(name, 1) for name in SHAPE}
    for name in _ONE.get(kind, ()):
        if shape[name] != 1:
            return name, f"found {shape[name]}; allowed: 1, as {kind} has no window"
    for size, kernel in (("in_h", "kernel_h"), ("in_w", "kernel_w")):
        if shape[kernel] > shape[size]:
            return kernel, f"found {shape[kernel]}; allowed: at most {size}, the padded input, which is {shape[size]}"
    return _channels(kind, shape) or _bits(kind, row, device) or _work(row, shape)


def _channels(kind: str, shape: Mapping[str, int]) -> tuple[str, str] | None:
    ins, outs, groups = shape["in_channels"], shape["out_channels"], shape["groups"]
    if kind not in WEIGHTED:
        if outs != ins:
            return "out_channels", f"found {outs}; allowed: in_channels, which is {ins}, as {kind} has no weights"
        return None if groups == 1 else ("groups", f"found {groups}; allowed: 1, as {kind} has no weights")
    if kind == "depthwise" and not ins == outs == groups:
        name = "out_channels" if outs != ins else "groups"
        return name, f"found {shape[name]}; allowed: in_channels, which is {ins}: depthwise has a channel per group"
    if ins % groups or outs % groups:
        return "groups", f"found {groups}; allowed: a divisor of in_channels and out_channels, {ins} and {outs}"
    return None


def _bits(kind: str, row: Mapping[str, Any], device: Hardware | None) -> tuple[str, str] | None:
    for name in BITS:
        whose = "" if device is None else f", the {name.removesuffix('_bits')} bits of {device.name}"
        if device is None:
            allowed = set(range(1, WIDEST_BITS + 1))
        else:  # ternary weights, 1.5, are stored and timed as 2 bits
            allowed = {math.ceil(b) for b in (device.weight_bits if name == "weight_bits" else device.activation_bits)}
        if kind not in WEIGHTED:
            whose = f", as {kind} has no weights"
            allowed = {0} if name == "weight_bits" else allowed | {STORED_BITS, 2 * STORED_BITS, FLOAT_BITS}
        if row.get(name, 0) not in allowed:
            return name, f"found {row.get(name, 0)}; allowed: {', '.join(map(str, sorted(allowed)))}{whose}"
    return None


def _work(row: Mapping[str, Any], shape: Mapping[str, int]) -> tuple[str, str] | None:
    out_h, out_w = ((shape[f"in_{a}"] - shape[f"kernel_{a}"]) // shape["stride"] + 1 for a in "hw")
    outputs = shape["batch"] * out_h * out_w * shape["out_channels"]
    macs = outputs * (shape["in_channels"] // shape["groups"]) * shape["kernel_h"] * shape["kernel_w"]
    inputs = shape["batch"] * shape["in_channels"] * shape["in_h"] * shape["in_w"]
    if max(macs, inputs) > MOST_WORK:
        return (
            "in_channels",
            f"found a kernel of {max(macs, inputs):.0e} MACs or inputs; allowed: at most {MOST_WORK:.0e}",
        )
    derived = {"out_h": out_h, "out_w": out_w, "macs": macs if row["kind"] in WEIGHTED else 0}
    for name in DERIVED:
        if row.get(name, derived[name]) != derived[name]:
            return (
                name,
                f"found {row[name]}; allowed: {derived[name]}, as the other columns say (in_h and in_w are padded)",
            )
    return None


def warnings(path: Path, columns: Mapping[str, Sequence[Any]], lines: Sequence[int]) -> list[Problem]:
    """What is strange in a profile whose rows may be: one kernel with two latencies, latencies that work cannot explain."""
    return [*_contradictions(path, columns, lines), *_spread(path, columns, lines)]


def _contradictions(path: Path, columns: Mapping[str, Sequence[Any]], lines: Sequence[int]) -> list[Problem]:
    names = [name for name in columns if name != "latency"]
    found: dict[tuple, list[int]] = {}
    for i, kernel in enumerate(zip(*(columns[name] for name in names), strict=True)):
        found.setdefault(kernel, []).append(i)
    latency = columns["latency"]
    apart = []
    for rows in found.values():
        low, high = min(rows, key=latency.__getitem__), max(rows, key=latency.__getitem__)
        if latency[high] > (1 + NOISE) * latency[low]:
            apart.append((latency[high] / latency[low], low, high))
    if not apart:
        return []
    ratio, low, high = max(apart)
    text = (
        f"{len(apart)} {'kernels are' if len(apart) > 1 else 'kernel is'} listed repeatedly with latencies more than {NOISE:.0%} apart;"
        f" the worst by a factor of {ratio:.3g}, lines {lines[low]} and {lines[high]}"
    )
    return [Problem(Place(str(path), lines[high], 1), ("latency",), text)]


def _spread(path: Path, columns: Mapping[str, Sequence[Any]], lines: Sequence[int]) -> list[Problem]:
    """One row in another unit, or with digits too many, shows in the latency per MAC (per element for kernels without weights)."""
    ones = [1] * len(lines)
    shape = [
        columns.get(name, ones)
        for name in ("batch", "in_channels", "in_h", "in_w", "out_channels", "kernel_h", "kernel_w")
    ]
    per_work: dict[str, list[tuple[float, int]]] = {}
    for i, (kind, latency, *sizes) in enumerate(zip(columns["kind"], columns["latency"], *shape, strict=True)):
        batch, ins, in_h, in_w, outs, kernel_h, kernel_w = sizes
        work = batch * ins * in_h * in_w * (outs * kernel_h * kernel_w if kind in WEIGHTED else 1)
        per_work.setdefault(kind, []).append((latency / work, i))
    problems = []
    for kind, found in per_work.items():
        (least, low), (most, high) = min(found), max(found)
        if most > SPREAD * least:
            text = f"{kind}: latency per unit of work differs by a factor of {most / least:.0e}, lines {lines[low]} and {lines[high]}"
            problems.append(Problem(Place(str(path), lines[high], 1), ("latency",), text))
    return problems
