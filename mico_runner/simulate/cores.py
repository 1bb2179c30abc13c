"""Which processor cores the targets that execute C have. Light: specs are checked with it."""

RTL = {
    "lite": "VexRiscv_Lite",
    "full": "VexRiscv_Full",
    "fullcfu": "VexRiscv_FullCfu",
}  # `core` of a device -> Verilog module
QEMU = {**dict.fromkeys(RTL, "rv32"), "cortex-m3": "cortex-m3"}  # -> machine of simulate/qemu.py
CORES = {"rtl": RTL, "qemu": QEMU}
