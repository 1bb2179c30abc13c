"""The processor cores whose Verilog runs on RTL, and where it is."""

from typing import NamedTuple


class Core(NamedTuple):
    """Where the Verilog of a core is.

    Attributes:
        files: in the PyPI package, in the order in which they are read.
        top: module that the test bench drives.
        ours: further files, of this folder: a function unit, or what connects the core.
        defines: of the test bench.
        package: as it is imported.
        search: folders of the package that hold the modules and headers that `files` and `ours` name.
    """

    files: tuple[str, ...]
    top: str = "VexRiscv"
    ours: tuple[str, ...] = ()
    defines: tuple[str, ...] = ()
    package: str = "pythondata_cpu_vexriscv"
    search: tuple[str, ...] = ()


def _ibex() -> Core:
    home = "system_verilog"
    prim, abstract = f"{home}/vendor/lowrisc_ip/ip/prim/rtl", f"{home}/dv/uvm/core_ibex/common/prim"
    generic, macros = f"{home}/vendor/lowrisc_ip/ip/prim_generic/rtl", f"{home}/vendor/lowrisc_ip/dv/sv/dv_utils"
    shared = ("util", "mubi", "ram_1p", "secded", "cipher", "count")
    packages = (
        f"{abstract}/prim_pkg.sv",
        f"{home}/rtl/ibex_pkg.sv",
        *(f"{prim}/prim_{name}_pkg.sv" for name in shared),
    )
    search = (f"{home}/rtl", prim, generic, abstract, macros)
    return Core(packages, "IbexWishbone", ("ibex/ibex_wishbone.sv",), package="pythondata_cpu_ibex", search=search)


DOT_UNIT = ("dot_unit/mico_dot.v", "dot_unit/mico_dot_lanes.v", "dot_unit/mico_dot_scale.v")
_FULLCFU = ("verilog/VexRiscv_FullCfu.v",)
RTL = {  # `core` of a device -> its Verilog
    "lite": Core(("verilog/VexRiscv_Lite.v",)),
    "full": Core(("verilog/VexRiscv_Full.v",)),
    "fullcfu": Core(_FULLCFU, defines=("CFU",)),
    "fullcfu-dot": Core(_FULLCFU, "VexRiscvDot", ("dot_unit/vexriscv_dot.v", *DOT_UNIT)),
    "ibex": _ibex(),
}
