"""The figures that a simulated accelerator needs in `parameters`, by kind, and what is wrong with those of a profile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mico_runner.errors import did_you_mean
from mico_runner.yaml_schema import Problem, show
from mico_runner.yaml_source import Keys, Source

# What a value may be: its name in messages, and the test. No device is near the limits; they keep a slip of the pen from overflowing.
_ALLOWED: dict[str, Callable[[float], bool]] = {
    "a whole number from 1 to 1000000": lambda v: 1 <= v <= 10**6 and v == int(v),
    "a number above 0, at most 1e+12": lambda v: 0 < v <= 1e12,
    "a number from 1e-06 to 1e+12": lambda v: 1e-6 <= v <= 1e12,
    "a number above 0, at most 1": lambda v: 0 < v <= 1,
    "0 or 1": lambda v: v in (0, 1),
}
_WHOLE, _POSITIVE, _SPEED, _SHARE, _FLAG = _ALLOWED
SRAMS = ("weight_sram", "act_sram", "output_sram")
SIDES = {"bitfusion": ("input_rows", "output_columns"), "systolic": ("rows", "columns")}
_MEMORIES = {
    **{f"{memory}_bytes": _POSITIVE for memory in SRAMS},
    "dram_bits_per_cycle": _SPEED,
    "usable_fraction": _SHARE,
    "output_bits": _WHOLE,
    **dict.fromkeys(("mac_pj", "sram_pj_per_bit", "dram_pj_per_bit"), _POSITIVE),
}
DATAFLOWS = ("weight_stationary", "output_stationary", "input_stationary")
PARAMETERS: dict[str, dict[str, str]] = {
    "bitfusion": {
        **dict.fromkeys((*SIDES["bitfusion"], "unit_bits", "brick_bits"), _WHOLE),
        **_MEMORIES,
    },
    "systolic": {
        **dict.fromkeys((*SIDES["systolic"], "mac_bits", "brick_bits", "serial_bits", "accumulator_bits"), _WHOLE),
        **dict.fromkeys(DATAFLOWS, _FLAG),
        **_MEMORIES,
    },
}
# Figures that a profile may leave out: without all of its parts' the device has no area (`hardware.area_of`).
AREAS = dict.fromkeys(("mac_um2", *(f"{memory}_um2_per_bit" for memory in SRAMS), "rest_um2"), _POSITIVE)
# What a figure's unit must be, by how its name ends; the first that matches counts.
_UNITS: dict[str, tuple[str, ...]] = {
    "_bits_per_cycle": ("bits per cycle",),
    "_um2_per_bit": ("um2 per bit",),
    "_um2": ("um2",),
    "_pj_per_bit": ("pJ per bit",),
    "_pj": ("pJ",),
    "_bytes": ("bytes",),
    "serial_bits": ("bits per cycle",),
    "_bits": ("bits",),
    "_fraction": ("ratio",),
    "_stationary": ("flag",),
    "rows": ("units", "fusion units"),
    "columns": ("units", "fusion units"),
}


def problems(source: Source, kind: str, figures: Mapping[str, Any], path: Keys) -> Iterator[Problem]:
    """What is missing, unknown or impossible; `figures` is name -> {value, unit, source}, at `path` in the document."""
    rules = PARAMETERS.get(kind)
    if rules is None:
        return

    def fail(text: str, *keys: str, of_key: bool = False) -> Problem:
        return Problem(source.place((*path, *keys), of_key=of_key), (*path, *keys), text)

    known = {**rules, **AREAS}
    for name in sorted(figures.keys() - known.keys()):
        near = did_you_mean(name, list(known)).rstrip(";")
        yield fail(f"unknown parameter of kind {kind}; allowed: {', '.join(known)}{near}", name, of_key=True)
    values: dict[str, float] = {}
    for name, allowed in known.items():
        if name not in figures:
            continue
        units = next(units for ending, units in _UNITS.items() if name.endswith(ending))
        if figures[name]["unit"] not in units:
            text = f"found {show(figures[name]['unit'])}; allowed: {' or '.join(units)}"
            yield fail(text, name, "unit")
        if not _ALLOWED[allowed](figures[name]["value"]):
            yield fail(f"found {show(figures[name]['value'])}; allowed: {allowed}", name, "value")
        else:
            values[name] = figures[name]["value"]
    missing = [name for name in rules if name not in figures]
    if missing:
        yield fail(f"missing, needed by kind {kind}: {', '.join(missing)}; allowed: {{value, unit, source}} of each")
    if rules.keys() <= values.keys():
        for name, text in _CROSS_CHECKS[kind](values):
            found = f"found {show(figures[name]['value'])}; " if name else ""
            yield fail(found + text, *((name, "value") if name else ()))


def _bitfusion(v: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    if v["unit_bits"] % v["brick_bits"]:
        yield "brick_bits", f"allowed: a divisor of unit_bits, which is {v['unit_bits']:g}"
        return
    splits = v["unit_bits"] // v["brick_bits"]
    tile = {  # one pass over the rows for one output, at the bits that need most
        "weight": v["input_rows"] * max(splits**2 * v["brick_bits"], v["unit_bits"]),
        "act": v["unit_bits"],
        "output": v["output_columns"] * v["output_bits"],
    }
    yield from _too_small(v, tile)


def _systolic(v: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    if not any(v[name] for name in DATAFLOWS):
        yield "", f"no dataflow; allowed: at least one of {', '.join(DATAFLOWS)} is 1"
    if v["rows"] * v["columns"] < 2:
        yield "rows", "allowed: at least two units in the array"
    for name in ("brick_bits", "serial_bits"):
        if v["mac_bits"] % v[name]:
            yield name, f"allowed: a divisor of mac_bits, which is {v['mac_bits']:g}"
    for name in ("mac_bits", "output_bits"):
        if v["accumulator_bits"] < v[name]:
            yield "accumulator_bits", f"allowed: at least {name}, which is {v[name]:g}"
    if v["brick_bits"] < v["mac_bits"] and v["serial_bits"] < v["mac_bits"]:
        yield (
            "serial_bits",
            "allowed: mac_bits, because brick_bits splits the units: they are bit-serial or fused, not both",
        )
    tile = dict.fromkeys(("weight", "act"), v["rows"] * v["columns"] * v["mac_bits"])
    yield from _too_small(v, tile | {"output": max(v["rows"], v["columns"]) * v["accumulator_bits"]})


def _too_small(v: Mapping[str, float], tile: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    for tensor, bits in tile.items():
        usable = v[f"{tensor}_sram_bytes"] * v["usable_fraction"]
        if bits / 8 > usable:
            text = f"smaller than one tile: {usable:g} bytes are usable; allowed: at least {bits / 8 / v['usable_fraction']:g}"
            yield f"{tensor}_sram_bytes", text


_CROSS_CHECKS = {"bitfusion": _bitfusion, "systolic": _systolic}
