"""The part of a device profile that describes an array of elements and its memories; docs/reference/array.md explains the keys.

Every figure is {value, unit, source}. Inside, sizes are bits, bandwidths bits per cycle, energies pJ, areas square micrometres.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from mico_runner.hardware import zeros
from mico_runner.hardware.architecture_schema import OPERANDS, SCHEMA, SIZES, SPEEDS, WAYS
from mico_runner.hardware.zeros import Fail, Zeros
from mico_runner.yaml_schema import Problem
from mico_runner.yaml_source import Keys, Source


@dataclass(frozen=True)
class Feed:
    """How one operand reaches a memory; energy is per bit and instance. See `accelerators.machine.Network`."""

    bandwidth: float = inf
    overlapped: bool = True
    shared: bool = False
    pj_per_bit: float = 0.0


@dataclass(frozen=True)
class Store:
    """A memory; see `architecture_schema` for the keys.

    Attributes:
        size: usable bits of one instance.
        width: bits of one access, None: any number.
        read, write, shared: bits per cycle of one instance.
        read_pj, write_pj: of an access where there is a width and the profile says so, else of a bit (`per_bit`).
        area_um2: of one instance, None where it is not known.
    """

    name: str
    per_element: bool
    beside: bool
    keeps: tuple[str, ...]
    size: float
    width: int | None
    read: float
    write: float
    shared: float
    read_pj: float
    write_pj: float
    area_um2: float | None
    feeds: tuple[tuple[str, Feed], ...] = ()

    def element_bits(self, bits: int) -> float:
        """Bits that an element of `bits` takes: accesses are whole, and hold as many elements as fit."""
        if self.width is None:
            return bits
        return self.width / (self.width // bits) if bits <= self.width else -(-bits // self.width) * self.width


@dataclass(frozen=True)
class Architecture:
    """An array of `rows` x `columns` elements, one multiplier each, and its memories, outermost first.

    Attributes:
        mac_granularity: bits of the narrowest operand that splits a fused multiplier; `mac_bits`: it does not split.
    """

    rows: int
    columns: int
    dataflow: str
    objective: str
    mappings: int
    mac_kind: str
    mac_bits: int
    mac_granularity: int
    mac_pj: float
    mac_area_um2: float | None
    accumulator_bits: int
    output_bits: int
    stores: tuple[Store, ...]
    zeros: Zeros | None = None


def problems(source: Source, data: Mapping[str, Any], path: Keys) -> Iterator[Problem]:
    """What is wrong with a description whose form is right: no home, no room, no order."""

    def fail(keys: Keys, text: str, of_key: bool = False) -> Problem:
        where = (*path, *keys)
        return Problem(source.place(where, of_key), where, text)

    memories = data["memories"]
    mac_bits = data["mac"]["bits"]["value"]
    yield from _granularity(data["mac"], fail)
    homeless = [name for name in OPERANDS if name not in memories[0]["keeps"]]
    if homeless:
        text = f"operand {homeless[0]} has no home: the outermost memory is where every layer's data lies; allowed: {', '.join(OPERANDS)}"
        yield fail(("memories", 0, "keeps"), text)
    if "size" in memories[0]:
        yield fail(("memories", 0, "size"), "the outermost memory holds whole layers; allowed: no size", of_key=True)
    if "area" in memories[0]:
        yield fail(("memories", 0, "area"), "the outermost memory lies outside the chip; allowed: no area", of_key=True)
    sums = data["accumulator_bits"]["value"]
    for name, bits in {"mac.bits": mac_bits, "output_bits": data["output_bits"]["value"]}.items():
        if sums < bits:
            yield fail(("accumulator_bits", "value"), f"found {sums}; allowed: at least {name}, which is {bits}")
    if "sparsity" in data:
        yield from zeros.problems(data["sparsity"], memories, fail)
    names: set[str] = set()
    for i, memory in enumerate(memories):
        at: Keys = ("memories", i)
        if memory["name"] in names:
            yield fail((*at, "name"), f"found {memory['name']!r} twice; allowed: a name of its own for each memory")
        names.add(memory["name"])
        if i and "size" not in memory:
            yield fail(
                (*at, "size"),
                "missing; allowed: a mapping of value, unit, source; only the outermost memory needs none",
            )
        if i and memories[i - 1]["per"] == "element" and memory["per"] == "chip":
            yield fail((*at, "per"), "found 'chip' inside 'element'; allowed: element; memories stand outermost first")
        if memory.get("beside") and (i == 0 or memories[i - 1]["per"] != memory["per"]):
            yield fail(
                (*at, "beside"), "found true; allowed: false, as no memory per " + memory["per"] + " comes before it"
            )
        if "width" not in memory:
            for key in ("energy", "write_energy"):
                if key in memory and memory[key]["unit"] == "pJ per access":
                    yield fail(
                        (*at, key, "unit"), "found 'pJ per access' without a width; allowed: pJ per bit, or add width"
                    )
        for name in memory.get("network", {}):
            if name not in memory["keeps"] or i == 0:
                kept = ", ".join(memory["keeps"]) if i else "none: nothing feeds the outermost memory"
                yield fail(
                    (*at, "network", name),
                    f"found {name}, which {memory['name']} does not keep; allowed: {kept}",
                    of_key=True,
                )
        yield from _room(data, memory, at, fail)
    if memories[-1]["per"] != "element":
        yield fail(
            ("memories", len(memories) - 1, "per"),
            "found 'chip'; allowed: element: the innermost memory lies in the elements",
        )
    if memories[0]["per"] != "chip":
        yield fail(
            ("memories", 0, "per"), "found 'element'; allowed: chip: the outermost memory lies outside the array"
        )


def _granularity(mac: Mapping[str, Any], fail: Fail) -> Iterator[Problem]:
    """Fused multipliers, and no others, say what they split into."""
    stated, bits = mac.get("granularity"), mac["bits"]["value"]
    if mac["kind"] != "fused":
        if stated:
            text = f"found with kind {mac['kind']}; allowed: with kind fused"
            yield fail(("mac", "granularity"), text, of_key=True)
    elif not stated:
        text = "missing, needed by kind fused; allowed: the bits of the narrowest operand that splits a multiplier"
        yield fail(("mac",), f"granularity: {text}", of_key=True)
    elif bits % stated["value"]:
        text = f"found {stated['value']}; allowed: a divisor of mac.bits, which is {bits}"
        yield fail(("mac", "granularity", "value"), text)


def _room(data: Mapping[str, Any], memory: Mapping[str, Any], at: Keys, fail: Fail) -> Iterator[Problem]:
    """Whether one element of everything that a memory keeps fits: no tile is smaller."""
    if "size" not in memory:
        return
    bits = {"weights": data["mac"]["bits"]["value"], "inputs": data["mac"]["bits"]["value"]}
    bits["outputs"] = data["accumulator_bits"]["value"]
    store = _store(memory)
    least = sum(store.element_bits(bits[name]) for name in memory["keeps"])
    if store.size < least:
        buffered = ", of which half is being filled" if memory.get("double_buffered") else ""
        size = f"{memory['size']['value']:g} {memory['size']['unit']}{buffered}"
        kept = " and ".join(memory["keeps"])
        need = least * (2 if memory.get("double_buffered") else 1) / SIZES[memory["size"]["unit"]]
        yield fail(
            (*at, "size", "value"),
            f"found {size}, smaller than one tile; allowed: at least {need:g} {memory['size']['unit']}, one element of {kept}",
        )


def parse(data: Mapping[str, Any]) -> Architecture:
    """The description as numbers; `data` has passed the schema and has no `problems`."""
    mac = data["mac"]
    return Architecture(
        rows=data["rows"]["value"],
        columns=data["columns"]["value"],
        dataflow=data["dataflow"],
        objective=data["objective"],
        mappings=data.get("mappings", SCHEMA["mappings"]["default"]),
        mac_kind=mac["kind"],
        mac_bits=mac["bits"]["value"],
        mac_granularity=mac.get("granularity", mac["bits"])["value"],
        mac_pj=float(mac["energy"]["value"]),
        mac_area_um2=mac["area"]["value"] if "area" in mac else None,
        accumulator_bits=data["accumulator_bits"]["value"],
        output_bits=data["output_bits"]["value"],
        stores=tuple(map(_store, data["memories"])),
        zeros=zeros.parse(data["sparsity"]) if "sparsity" in data else None,
    )


def _store(memory: Mapping[str, Any]) -> Store:
    def scaled(figure: Mapping[str, Any] | None, units: Mapping[str, int]) -> float:
        return inf if figure is None else float(figure["value"] * units[figure["unit"]])

    width = memory["width"]["value"] if "width" in memory else None

    def per_bit(figure: Mapping[str, Any]) -> float:
        return figure["value"] / width if figure["unit"] == "pJ per access" and width else float(figure["value"])

    ways = {way: scaled(memory.get("bandwidth", {}).get(way), SPEEDS) for way in WAYS}
    feeds = tuple(
        (
            name,
            Feed(
                scaled(feed.get("bandwidth"), SPEEDS),
                feed.get("overlapped", True),
                feed.get("shared", False),
                float(feed["energy"]["value"]) if "energy" in feed else 0.0,
            ),
        )
        for name, feed in memory.get("network", {}).items()
    )
    size, area = scaled(memory.get("size"), SIZES), memory.get("area")
    return Store(
        name=memory["name"],
        per_element=memory["per"] == "element",
        beside=memory.get("beside", False),
        keeps=tuple(memory["keeps"]),
        size=size / (2 if memory.get("double_buffered") else 1),
        width=width,
        **ways,
        read_pj=per_bit(memory["energy"]),
        write_pj=per_bit(memory.get("write_energy", memory["energy"])),
        area_um2=area and area["value"] * (size if area["unit"] == "um2 per bit" else 1),
        feeds=feeds,
    )
