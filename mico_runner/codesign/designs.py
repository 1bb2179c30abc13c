"""Designs of an accelerator: every combination of some values of its profile, within shares of what the profile has."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from mico_runner import hardware
from mico_runner.errors import UsageError
from mico_runner.hardware import Architecture, Hardware
from mico_runner.hardware.architecture_schema import SIZES
from mico_runner.hardware.sram import relative_energy

ROWS, COLUMNS = "architecture.rows", "architecture.columns"
RESOURCES = ("area", "elements", "memory")


@dataclass(frozen=True)
class Designs:
    """Devices by the values that vary.

    Attributes:
        keys: what varies, in the order of the spec.
        points: index of the value of each key, int64 (designs, keys).
        values: of each key.
        devices: those that differ in more than what an array's `scaled` takes, by their part of the point.
        shared: number of the device in `devices` that each design is made of, int64 (designs,).
        energy_by_size: whether a memory's energies follow its size (`hardware.sram`).
    """

    keys: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]
    points: np.ndarray
    devices: tuple[Hardware, ...]
    shared: np.ndarray
    energy_by_size: bool = False

    def __len__(self) -> int:
        return len(self.points)

    def described(self, number: int) -> dict[str, object]:
        """A design's values by key."""
        return {key: of[i] for key, of, i in zip(self.keys, self.values, self.points[number], strict=True)}

    def device(self, number: int) -> Hardware:
        """A design's device."""
        base: Hardware = self.devices[int(self.shared[number])]
        if base.architecture is None:
            return base
        quick = {key: value for key, value in self.described(number).items() if _is_quick(key)}
        return replace(base, architecture=scaled(base.architecture, quick, self.energy_by_size))

    def take(self, kept: np.ndarray) -> Designs:
        """Some of the designs."""
        return replace(self, points=self.points[kept], shared=self.shared[kept])


def scaled(array: Architecture, values: Mapping[str, Any], energy_by_size: bool = False) -> Architecture:
    """An array with other rows, columns or sizes of memories (`architecture.memories.NAME.size`, as a share of its own)."""
    stores = []
    for store in array.stores:
        share = values.get(f"architecture.memories.{store.name}.size", 1.0)
        area = None if store.area_um2 is None else store.area_um2 * share
        times = relative_energy(store.size * share, store.size) if energy_by_size and share != 1.0 else 1.0
        read, write = store.read_pj * times, store.write_pj * times
        other = replace(store, size=store.size * share, area_um2=area, read_pj=read, write_pj=write)
        stores.append(store if share == 1.0 else other)
    rows, columns = values.get(ROWS, array.rows), values.get(COLUMNS, array.columns)
    return replace(array, rows=rows, columns=columns, stores=tuple(stores))


def enumerate_designs(base: Mapping[str, object], vary: Mapping[str, object], energy_by_size: bool = False) -> Designs:
    """All combinations.

    Args:
        base: the device as its profile says it.
        vary: dotted key -> values, or {scale: shares of the profile's own value}. A key leads to a figure (its `value` varies), to a
            name or to a mapping, whose keys the values replace; memories are named.

    Raises:
        UsageError: a key leads nowhere, or a value makes no device.
    """
    keys, values = tuple(vary), []
    named: Mapping[str, Any] = vary
    for key, wanted in named.items():
        own = _get(base, key)
        if isinstance(wanted, Mapping):
            figure = own["value"] if isinstance(own, Mapping) else own
            if not isinstance(figure, int | float):
                raise UsageError(f"codesign.vary.{key}: found scale, but {key} is no number; allowed: a list of values")
            shares = tuple(wanted["scale"])
            values.append(shares if _is_quick(key) else tuple(figure * share for share in shares))
        elif key.endswith(".size") and _is_quick(key):
            values.append(tuple(value / own["value"] for value in wanted))
        else:
            values.append(tuple(wanted))
    sizes = [range(len(each)) for each in values]
    points = np.array(list(product(*sizes)), dtype=np.int64)
    slow = [at for at, key in enumerate(keys) if not _is_quick(key)]
    parts, shared = np.unique(points[:, slow], axis=0, return_inverse=True)
    devices = []
    for part in parts:
        changed = copy.deepcopy(dict(base))
        for at, index in zip(slow, part, strict=True):
            _set(changed, keys[at], values[at][index])
        devices.append(hardware.load(changed))
    for at, key in enumerate(keys):  # what is not loaded with every design is loaded once, so that it is checked
        for value in values[at] if _is_quick(key) else ():
            hardware.load(profile(base, {key: value}))
    return Designs(keys, tuple(values), points, tuple(devices), np.asarray(shared).reshape(-1), energy_by_size)


def profile(
    base: Mapping[str, object], values: Mapping[str, object], energy_by_size: bool = False
) -> dict[str, object]:
    """The content of a design's device file.

    Args:
        base: the device as its profile says it.
        values: as `Designs.described` gives them.
    """
    changed: dict[str, object] = copy.deepcopy(dict(base))
    value: Any
    for key, value in values.items():
        if not (_is_quick(key) and key.endswith(".size")):
            _set(changed, key, value)
            continue
        _set(changed, key, value * _get(base, key)["value"])
        if energy_by_size and value != 1.0:
            memory = key.removesuffix(".size")
            own = _usable(_get(base, memory))
            for name in {"energy", "write_energy"} & set(_get(base, memory)):
                figure = _get(base, f"{memory}.{name}")["value"]
                _set(changed, f"{memory}.{name}", figure * relative_energy(own * value, own))
    return changed


def _usable(memory: Mapping[str, Any]) -> float:
    """Bits of a memory that are not being filled."""
    bits: float = memory["size"]["value"] * SIZES[memory["size"]["unit"]]
    return bits / 2 if memory.get("double_buffered") else bits


def resources(designs: Designs) -> dict[str, np.ndarray]:
    """What each design takes: area in square micrometres (NaN: not known), elements or units, bits of memory on the chip."""
    rows = [_taken(designs.device(number)) for number in range(len(designs))]
    return {name: np.array([row[name] for row in rows]) for name in RESOURCES}


def taken(device: Hardware) -> dict[str, float]:
    """What one device takes; see `resources`."""
    return _taken(device)


def _taken(device: Hardware) -> dict[str, float]:
    area = hardware.area_of(device)
    array = device.architecture
    if array is not None:
        elements = array.rows * array.columns
        memory = sum(store.size * (elements if store.per_element else 1) for store in array.stores[1:])
    else:
        elements = area.parts[0].count
        memory = sum(8 * figure.value for name, figure in device.parameters.items() if name.endswith("_sram_bytes"))
    return {"area": float("nan") if area.um2 is None else area.um2, "elements": float(elements), "memory": memory}


def within(designs: Designs, base: Hardware, shares: Mapping[str, float]) -> np.ndarray:
    """Which designs take at most these shares of what the base takes, bool (designs,).

    Raises:
        UsageError: a share of the area, where the profile has no figure for some part.
    """
    if "area" in shares and (missing := hardware.area_of(base).missing):
        text = f"{base.name} states no area of {', '.join(missing)}; allowed: a share of elements or memory, or figures of the area"
        raise UsageError(f"codesign.limits.area: {text}")
    own, of = taken(base), resources(designs) if shares else {}
    kept = np.ones(len(designs), dtype=bool)
    for name, share in shares.items():
        kept &= of[name] <= own[name] * share * (1 + 1e-9)
    return kept


def _is_quick(key: str) -> bool:
    return key in (ROWS, COLUMNS) or (key.startswith("architecture.memories.") and key.endswith(".size"))


def _get(data: Any, key: str) -> Any:
    at = data
    for step in key.split("."):
        if isinstance(at, Sequence) and not isinstance(at, str):
            at = {item["name"]: item for item in at}
        if not isinstance(at, Mapping) or step not in at:
            allowed = ", ".join(map(str, at)) if isinstance(at, Mapping) else "nothing below it"
            raise UsageError(f"codesign.vary.{key}: {step!r} is not in the device; allowed: {allowed}")
        at = at[step]
    return at


def _set(data: Any, key: str, value: Any) -> None:
    *above, last = key.split(".")
    at = _get(data, ".".join(above)) if above else data
    if isinstance(at, list):
        at = {item["name"]: item for item in at}
    if isinstance(at[last], Mapping):
        at[last].update(value if isinstance(value, Mapping) else {"value": value})
    else:
        at[last] = value
