"""Which processor cores (`core` of a device) the targets that execute C have. Light: specs are checked with it."""

QEMU = {"lite": "rv32", "full": "rv32", "fullcfu": "rv32", "cortex-m3": "cortex-m3"}  # -> machine of simulate/qemu.py
CORES = {"rtl": ("lite", "full", "fullcfu"), "qemu": tuple(QEMU)}
