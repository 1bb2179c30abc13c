"""Devices: one YAML per device in `hardware/`, with the source of each figure.

device = hardware.load("bitfusion")         # or a path to a YAML file, or a mapping
device.batch, device.value("input_rows")
"""

from mico_runner.hardware.architecture import Architecture
from mico_runner.hardware.area import Area, area_of
from mico_runner.hardware.kinds import simulated_kinds
from mico_runner.hardware.profile import (
    Hardware,
    OperatingPoint,
    OperatingPoints,
    Parameter,
    is_path,
    load,
    names,
    problems,
    read,
)
from mico_runner.hardware.schema import rules

__all__ = [
    "Architecture",
    "Area",
    "Hardware",
    "OperatingPoint",
    "OperatingPoints",
    "Parameter",
    "area_of",
    "is_path",
    "load",
    "names",
    "problems",
    "read",
    "rules",
    "simulated_kinds",
]
