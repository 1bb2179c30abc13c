"""What is wrong with the figures of a simulated accelerator.

The accelerator's own file says which figures its profile has and what they must keep, as `accelerators.base` explains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mico_runner.errors import UnknownName, did_you_mean
from mico_runner.hardware import fpga, kinds
from mico_runner.hardware.formulas import evaluate
from mico_runner.registry import Entry
from mico_runner.yaml_schema import Problem, show
from mico_runner.yaml_source import Keys, Source

# What a figure may be: its name in an accelerator's file, its name in messages, and the test. No device is near the limits; they keep a
# slip of the pen from overflowing.
_RULES: dict[str, tuple[str, Callable[[float], bool]]] = {
    "whole": ("a whole number from 1 to 1000000", lambda v: 1 <= v <= 10**6 and v == int(v)),
    "positive": ("a number above 0, at most 1e+12", lambda v: 0 < v <= 1e12),
    "rate": ("a number from 1e-06 to 1e+12", lambda v: 1e-6 <= v <= 1e12),
    "share": ("a number above 0, at most 1", lambda v: 0 < v <= 1),
    "flag": ("0 or 1", lambda v: v in (0, 1)),
}
SRAMS = ("weight_sram", "act_sram", "output_sram")
# Figures that a profile may leave out: without all of its parts' the device has no area (`hardware.area_of`).
AREAS = dict.fromkeys(("mac_um2", *(f"{memory}_um2_per_bit" for memory in SRAMS), "rest_um2"), "positive")
# What a figure's unit must be, by how its name ends; the first that matches counts. Any unit goes with another ending.
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
    "least_energy": ("flag",),
    "least_edp": ("flag",),
    "rows": ("units", "fusion units"),
    "columns": ("units", "fusion units"),
}


def problems(source: Source, kind: str, figures: Mapping[str, Any], path: Keys) -> Iterator[Problem]:
    """What is missing, unknown or impossible; `figures` is name -> {value, unit, source}, at `path` in the document."""
    entry = kinds.accelerators().get(kind)
    if entry is None and kind != fpga.KIND:
        return
    required: dict[str, str] = entry.meta["parameters"] if entry else fpga.PARAMETERS
    optional: dict[str, str] = entry.meta.get("optional", {}) if entry else {}

    def fail(text: str, *keys: str, of_key: bool = False) -> Problem:
        return Problem(source.place((*path, *keys), of_key=of_key), (*path, *keys), text)

    known = {**required, **optional, **(AREAS if entry else {})}
    for name in sorted(figures.keys() - known.keys()):
        near = did_you_mean(name, list(known)).rstrip(";")
        yield fail(f"unknown parameter of kind {kind}; allowed: {', '.join(known)}{near}", name, of_key=True)
    values = dict.fromkeys(optional, 0.0)
    for name, rule in known.items():
        if name not in figures:
            continue
        units = next((units for ending, units in _UNITS.items() if name.endswith(ending)), ())
        if units and figures[name]["unit"] not in units:
            text = f"found {show(figures[name]['unit'])}; allowed: {' or '.join(units)}"
            yield fail(text, name, "unit")
        if rule not in _RULES:
            raise UnknownName(f"rule of kind {kind!r}", rule, _RULES)
        allowed, keeps = _RULES[rule]
        if not keeps(figures[name]["value"]):
            yield fail(f"found {show(figures[name]['value'])}; allowed: {allowed}", name, "value")
        else:
            values[name] = figures[name]["value"]
    missing = [name for name in required if name not in figures]
    if missing:
        yield fail(f"missing, needed by kind {kind}: {', '.join(missing)}; allowed: {{value, unit, source}} of each")
    if entry and required.keys() <= values.keys():
        for name, text in (*_broken_rules(entry, values), *_too_small(entry, values)):
            found = f"found {show(figures[name]['value'])}; " if name else ""
            yield fail(found + text, *((name, "value") if name else ()))


def _broken_rules(entry: Entry, values: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    """The figures that do not go together, and why."""
    for name, formula, text in entry.meta.get("rules", ()):
        if not evaluate(formula, values):
            yield name, text.format(**values)


def _too_small(entry: Entry, values: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    """The memories that the smallest tile does not fit."""
    for tensor, formula in entry.meta.get("tiles", {}).items():
        bits, usable = evaluate(formula, values), values[f"{tensor}_sram_bytes"] * values["usable_fraction"]
        if bits / 8 > usable:
            least = bits / 8 / values["usable_fraction"]
            text = f"smaller than one tile: {usable:g} bytes are usable; allowed: at least {least:g}"
            yield f"{tensor}_sram_bytes", text
