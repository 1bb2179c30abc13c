"""The processor one sits at: what it is called, and which precisions it has instructions for."""

from __future__ import annotations

import os
import platform
from typing import TypedDict

from mico_runner import machine
from mico_runner.version import VERSION

# Flags of /proc/cpuinfo any of which means instructions of that precision, x86 and Arm; without one torch emulates it.
FLAGS = {
    "bf16": ("avx512_bf16", "amx_bf16", "bf16"),
    "fp16": ("avx512_fp16", "amx_fp16", "asimdhp"),
    "int8": ("avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "avx2"),
}


def has(precision: str) -> bool:
    """Whether the processor has instructions for it; fp32 always, the others when the system says so (Linux)."""
    return precision not in FLAGS or not set(FLAGS[precision]).isdisjoint(_flags())


class Environment(TypedDict):
    """What a profile belongs to; `capability`: the instructions that torch's kernels use."""

    mico_runner: str
    torch: str
    python: str
    platform: str
    processor: str
    cores: int | None
    threads: int
    gpu: str | None
    capability: str


def environment(threads: int) -> Environment:
    """Processor, cores, threads used, versions: what a profile belongs to."""
    import torch

    return {
        "mico_runner": VERSION,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": machine.cpu(),
        "cores": os.cpu_count(),
        "threads": threads,
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        "capability": torch.backends.cpu.get_cpu_capability(),
    }


def _flags() -> set[str]:
    return {flag for key in ("flags", "Features") for line in machine.entries(key) for flag in line.split()}
