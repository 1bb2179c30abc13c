"""The Verilog of one systolic array and its test bench, for the sizes and the dataflow of a device.

Two designs cover the three dataflows of `accelerators.systolic`: weight and input stationary differ in which operand is held.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jinja2

from mico_runner.errors import UsageError
from mico_runner.hardware import Hardware

SOURCES = Path(__file__).parent / "sources"
DESIGN, BENCH, MAIN = "systolic.v", "bench.v", "main.cpp"
INDEX_BITS = 16  # of counters: sizes of a layer up to 65,535
ADDRESS_BITS = 22  # of banks of operands and sums
WORDS = 1 << ADDRESS_BITS  # of each of the test bench's memories


@dataclass(frozen=True)
class VerilogArray:
    """An array of bit-parallel elements.

    Attributes:
        dataflow: weight_stationary, output_stationary or input_stationary.
        act_bits, weight_bits: of the signed operands of an element.
        sum_bits: of a sum.
    """

    rows: int
    columns: int
    dataflow: str
    act_bits: int
    weight_bits: int
    sum_bits: int

    @property
    def left_bits(self) -> int:
        """Of the operands that enter from the left."""
        return self.weight_bits if self.dataflow == "input_stationary" else self.act_bits

    @property
    def top_bits(self) -> int:
        """Of the operands that enter from the top."""
        return self.act_bits if self.dataflow == "input_stationary" else self.weight_bits

    def text(self, name: str) -> str:
        """The source of `DESIGN`, `BENCH` or `MAIN`."""
        kind = "output_stationary" if self.dataflow == "output_stationary" else "operand_stationary"
        file = {DESIGN: f"{kind}.v", BENCH: f"{kind}_bench.v", MAIN: MAIN}[name]
        template = jinja2.Template((SOURCES / file).read_text(encoding="utf-8"), undefined=jinja2.StrictUndefined)
        text: str = template.render(
            rows=self.rows,
            columns=self.columns,
            left_bits=self.left_bits,
            top_bits=self.top_bits,
            sum_bits=self.sum_bits,
            index_bits=INDEX_BITS,
            address_bits=ADDRESS_BITS,
            words=WORDS,
        )
        return text

    def write(self, folder: Path) -> None:
        """The design, its test bench and what drives the clock."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in (DESIGN, BENCH, MAIN):
            (folder / name).write_text(self.text(name) + "\n", encoding="utf-8")


def array_of(device: Hardware, dataflow: str) -> VerilogArray:
    """The array of a device of kind `systolic`.

    Raises:
        UsageError: another kind of device, or units that are not bit-parallel.
    """
    if device.kind != "systolic":
        raise UsageError(f"verilog: {device.name} is of kind {device.kind}; allowed: systolic")
    bits = {name: int(device.value(name)) for name in ("mac_bits", "brick_bits", "serial_bits")}
    for name in ("brick_bits", "serial_bits"):
        if bits[name] != bits["mac_bits"]:
            text = f"{device.name}: {name} is {bits[name]}; allowed: mac_bits, which is {bits['mac_bits']}, as only"
            raise UsageError(f"verilog: {text} bit-parallel units are written")
    rows, columns = (int(device.value(name)) for name in ("rows", "columns"))
    return VerilogArray(
        rows, columns, dataflow, bits["mac_bits"], bits["mac_bits"], int(device.value("accumulator_bits"))
    )
