"""One device: what it computes with, how its latencies are counted, and where each figure comes from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mico_runner import paths, yaml_schema, yaml_source
from mico_runner.errors import UnknownName
from mico_runner.hardware import architecture, kinds, parameters
from mico_runner.hardware.architecture import Architecture
from mico_runner.hardware.architecture_schema import SCHEMA as ARCHITECTURE
from mico_runner.hardware.schema import rules
from mico_runner.yaml_schema import Problem, SchemaErrors
from mico_runner.yaml_source import Keys, Place, Source


@dataclass(frozen=True)
class Parameter:
    """One figure of the device."""

    value: float
    unit: str
    source: str


@dataclass(frozen=True)
class OperatingPoint:
    """A voltage and a clock at which the device runs, and the power that it then takes while it computes."""

    volts: float
    hertz: float
    watts: float


@dataclass(frozen=True)
class OperatingPoints:
    """The points that a program may choose from.

    Attributes:
        assumed: they are another device's, or made up: what they say is to be compared with nothing but itself.
    """

    points: tuple[OperatingPoint, ...]
    source: str
    assumed: bool

    @property
    def fastest(self) -> OperatingPoint:
        """That of the highest clock; of several, the one of the least power."""
        return max(self.points, key=lambda point: (point.hertz, -point.watts))


@dataclass(frozen=True)
class Hardware:
    """A device profile.

    Attributes:
        kind: of accelerator, the name of its entry in `mico_runner.accelerators`; "cpu" and "fpga" for what no cost model simulates.
        core: processor that the targets `rtl` and `qemu` run; None for devices without.
        clock_hz: None where the device has no single or no published clock.
        batch: samples per kernel call, which latencies are counted for.
        flash_bytes, ram_bytes: memory for weights and code, and for activations; None where there is no such limit.
        latency_unit: "cycles", "ns", or "instructions" for devices known by an emulator alone.
        weight_bits, activation_bits: what the device computes with; 1.5 is ternary.
        parameters: the figures that its simulator reads, by name.
        architecture: array and memories of a device whose kind is described so; None for others.
        operating_points: voltages and clocks to choose from; None for devices without, and where they are not known.
        sources: where the figures outside `parameters` and `architecture` come from, by field.
        sha256: of all that latencies depend on; operating points are none of that.
    """

    name: str
    description: str
    kind: str
    core: str | None
    clock_hz: float | None
    batch: int
    flash_bytes: int | None
    ram_bytes: int | None
    latency_unit: str
    weight_bits: tuple[float, ...]
    activation_bits: tuple[int, ...]
    parameters: Mapping[str, Parameter]
    architecture: Architecture | None
    operating_points: OperatingPoints | None
    sources: Mapping[str, str]
    sha256: str

    @property
    def simulated(self) -> bool:
        """Whether a cost model simulates the device."""
        return self.kind in kinds.accelerators()

    def value(self, parameter: str) -> float:
        """Value of a parameter. Raises UnknownName."""
        if parameter not in self.parameters:
            raise UnknownName(f"parameter of hardware {self.name!r},", parameter, self.parameters)
        return self.parameters[parameter].value


def load(device: str | Path | Mapping[str, object]) -> Hardware:
    """A device profile by name, from a YAML file, or from a mapping of the same form.

    Text that ends in .yaml or .yml is a path, other text a name.

    Raises:
        UnknownName: with the nearest names.
        UsageError: the file cannot be read or is no device profile; all problems at once, each with its line.
    """
    if isinstance(device, Mapping):
        return _of(_source(device))
    path, label = _file(device)
    return _of_text(yaml_source.read_text(path, label), label)


@lru_cache(maxsize=64)  # every step of a plan asks for its device
def _of_text(text: str, label: str) -> Hardware:
    return _of(yaml_source.parse(text, label))


def _of(source: Source) -> Hardware:
    data = _checked(source)
    clocks = data.pop("operating_points")
    said = {key: value for key, value in data.items() if key != "architecture" or value is not None}
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    figures = {name: Parameter(**figure) for name, figure in data.pop("parameters").items()}
    weight_bits, activation_bits = (tuple(data.pop(key)) for key in ("weight_bits", "activation_bits"))
    described = data.pop("architecture")
    array = None if described is None else architecture.parse(described)
    return Hardware(
        **data,
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        parameters=figures,
        architecture=array,
        operating_points=None if clocks is None else _operating_points(clocks),
        sha256=digest,
    )


def _operating_points(said: dict[str, Any]) -> OperatingPoints:
    points = tuple(OperatingPoint(each["volt"], each["hertz"], each["watt"]) for each in said["points"])
    return OperatingPoints(points, said["source"], said["assumed"])


def read(device: str | Path | Mapping[str, object]) -> dict[str, object]:
    """What a device's profile says, checked, defaults filled in. Takes and raises what `load` does."""
    return _checked(_source(device))


def problems(source: Source, data: Mapping[str, object], path: Keys = ()) -> list[Problem]:
    """What is wrong with a profile whose form is right; `path` leads to it in its document."""
    said: Mapping[str, Any] = data
    if not kinds.has_architecture(said["kind"]):
        found = list(parameters.problems(source, said["kind"], said["parameters"], (*path, "parameters")))
        if said["architecture"] is None:
            return found
        text = f"found one; allowed: null, as {said['name']} is of kind {said['kind']}"
        return [*found, Problem(source.place((*path, "architecture"), of_key=True), (*path, "architecture"), text)]
    if said["architecture"] is None:
        where = (*path, "architecture")
        text = f"missing, needed by kind {said['kind']}; allowed: a mapping of {', '.join(ARCHITECTURE)}"
        return [Problem(source.place(where), where, text)]
    found = list(architecture.problems(source, said["architecture"], (*path, "architecture")))
    widest = said["architecture"]["mac"]["bits"]["value"]
    for key in ("weight_bits", "activation_bits"):
        for i, bits in enumerate(said[key]):
            if bits > widest or bits % 1:
                text = f"found {bits:g}; allowed: whole numbers up to architecture.mac.bits, which is {widest}"
                found.append(Problem(source.place((*path, key, i)), (*path, key, i), text))
    return found


def _checked(source: Source) -> dict[str, Any]:
    data = yaml_schema.check(source, rules())
    if found := problems(source, data):
        raise SchemaErrors(found)
    return data


def names() -> list[str]:
    """Names of the shipped devices, sorted."""
    return sorted(path.stem for path in paths.shipped("hardware").glob("*.yaml"))


def is_path(device: str) -> bool:
    """Whether `load` takes this text for a path."""
    return device.endswith((".yaml", ".yml"))


def _source(device: str | Path | Mapping[str, Any]) -> Source:
    if isinstance(device, Mapping):
        return Source(dict(device), {(): Place("hardware")})
    return yaml_source.read(*_file(device))


def _file(device: str | Path) -> tuple[Path, str]:
    """Where a device is described, and what messages call that file. Raises UnknownName."""
    if isinstance(device, Path) or is_path(device):
        return Path(device), str(device)
    if device not in names():
        raise UnknownName("hardware", device, names())
    return paths.shipped("hardware") / f"{device}.yaml", f"hardware/{device}.yaml"
