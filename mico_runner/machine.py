"""The machine one sits at, as far as measured times depend on it: an input of what is measured here, and of nothing else.

Light: neither torch nor numpy is imported. The host's name is no part of it: a renamed machine is the same, and two with one name are not.
"""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from mico_runner import processes

CPUINFO = Path("/proc/cpuinfo")
GOVERNORS = Path("/sys/devices/system/cpu")
# What chooses among the kernels of a library that has several per operation (PyTorch, OpenBLAS, oneDNN, BLIS, MKL).
CHOOSES_KERNELS = (
    "ATEN_CPU_CAPABILITY",
    "BLIS_ARCH_TYPE",
    "DNNL_MAX_CPU_ISA",
    "MKL_CBWR",
    "MKL_DEBUG_CPU_TYPE",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
)
SIMD = ("amx", "asimd", "avx", "fma", "neon", "sse", "ssse", "sve", "vsx")  # beginnings of names of instruction sets


def describe() -> dict[str, object]:
    """Processor, its vector instructions (a virtual machine may hide some), cores, governor, C compiler, chosen kernels."""
    return {
        "cpu": cpu(),
        "instructions": instructions(),
        "cores": os.cpu_count(),
        "governor": governor(),
        "compiler": compiler(),
        "environment": {name: os.environ[name] for name in CHOOSES_KERNELS if name in os.environ},
    }


def cpu() -> str:
    """The processor's name as Linux gives it, or its numbers (Arm); elsewhere as Python does."""
    named = entries("model name")
    if named:
        return named[0]
    numbers = [f"{key} {values[0]}" for key in ("CPU implementer", "CPU part") if (values := entries(key))]
    return ", ".join(numbers) or platform.processor() or platform.machine()


def instructions() -> list[str]:
    """Vector instruction sets that the system says the processor has (Linux), sorted."""
    flags = {flag for key in ("flags", "Features") for line in entries(key)[:1] for flag in line.split()}
    return sorted(flag for flag in flags if flag.startswith(SIMD))


def governor() -> list[str] | None:
    """How Linux chooses the cores' clock ("performance", "powersave", ...), each once; None where it does not tell."""
    found = set()
    for file in GOVERNORS.glob("cpu[0-9]*/cpufreq/scaling_governor"):
        try:
            found.add(file.read_text(encoding="utf-8").strip())
        except OSError:
            continue
    return sorted(found) or None


def compiler() -> str | None:
    """First line of `gcc --version`; None where there is none."""
    if shutil.which("gcc") is None:
        return None
    said = processes.run(["gcc", "--version"]).stdout
    return said.splitlines()[0] if said else None


def entries(key: str) -> list[str]:
    """Values of a key of /proc/cpuinfo, one per core; none elsewhere than on Linux."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    pairs = [line.split(":", 1) for line in lines if ":" in line]
    return [value.strip() for name, value in pairs if name.strip() == key]
