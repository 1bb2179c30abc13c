"""Which processor cores the targets that execute C have. Light: specs are checked with it."""

from typing import NamedTuple


class Core(NamedTuple):
    """Where the Verilog of a core is.

    Attributes:
        file: in the PyPI package, without suffix.
        top: module that the test bench drives.
        ours: further files, of this folder: a function unit and what connects it.
        defines: of the test bench.
    """

    file: str
    top: str = "VexRiscv"
    ours: tuple[str, ...] = ()
    defines: tuple[str, ...] = ()


DOT_UNIT = ("dot_unit/mico_dot.v", "dot_unit/mico_dot_lanes.v", "dot_unit/mico_dot_scale.v")
RTL = {  # `core` of a device -> its Verilog
    "lite": Core("VexRiscv_Lite"),
    "full": Core("VexRiscv_Full"),
    "fullcfu": Core("VexRiscv_FullCfu", defines=("CFU",)),
    "fullcfu-dot": Core("VexRiscv_FullCfu", "VexRiscvDot", ("dot_unit/vexriscv_dot.v", *DOT_UNIT)),
}
QEMU = {**dict.fromkeys(RTL, "rv32"), "cortex-m3": "cortex-m3"}  # -> machine of simulate/qemu.py
CORES = {"rtl": RTL, "qemu": QEMU}
