"""The array's area on an FPGA, by yosys: LUTs, flip-flops and DSP blocks of 7-series parts (synth_xilinx)."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from mico_runner.errors import StepError, StepSkipped
from mico_runner.targets import program
from mico_runner.verilog.array import DESIGN, VerilogArray

_TIMEOUT_S = 3600.0
# Cells of the library and what they take. A LUT as shift register is a LUT.
_KINDS = {"lut": ("LUT", "SRL"), "ff": ("FD",), "dsp": ("DSP48",), "carry": ("CARRY4",), "mux": ("MUXF",)}


def version() -> str:
    """Raises StepSkipped: yosys is missing."""
    if shutil.which("yosys") is None:
        raise StepSkipped("verilog: yosys is missing; make setup-rtl installs what is needed")
    return program.first_line(["yosys", "-V"])


def area(array: VerilogArray) -> dict[str, int]:
    """Cells of the array, memories left out: lut, ff, dsp, carry, mux.

    Every module is synthesised once, without flattening, so that time does not grow with the array.

    Raises:
        StepSkipped: yosys is missing.
        StepError: it ended with an error.
    """
    version()
    with tempfile.TemporaryDirectory(prefix="mico-yosys-") as scratch:
        folder = Path(scratch)
        (folder / DESIGN).write_text(array.text(DESIGN), encoding="utf-8")
        script = f"read_verilog {DESIGN}; synth_xilinx -family xc7 -top systolic -noiopad; tee -q -o area.json stat -json -top systolic"
        program.checked(["yosys", "-q", "-p", script], "yosys", _TIMEOUT_S, cwd=folder)
        found = json.loads((folder / "area.json").read_text(encoding="utf-8"))
    cells = found.get("design", {}).get("num_cells_by_type")
    if not cells:
        raise StepError("yosys counted no cells of the array")
    return {
        name: sum(count for cell, count in cells.items() if cell.startswith(starts)) for name, starts in _KINDS.items()
    }
