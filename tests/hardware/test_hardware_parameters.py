"""Figures of simulated accelerators that cannot be: named with file, line, key, what was found and what is allowed."""

from pathlib import Path

import pytest

from mico_runner import hardware
from mico_runner.errors import UsageError

SHIPPED = Path(__file__).parents[2] / "hardware"


def wrong(tmp_path, device, *swaps) -> str:
    text = (SHIPPED / f"{device}.yaml").read_text(encoding="utf-8")
    for found, said in swaps:
        assert found in text, "the test changes what is there"
        text = text.replace(found, said, 1)
    path = tmp_path / "chip.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as error:
        hardware.load(path)
    return str(error.value)


@pytest.mark.parametrize(
    ("device", "found", "said", "message"),
    [
        ("bitfusion", "dram_bits_per_cycle: {value: 128", "dram_bits_per_cycle: {value: 0", "value: found 0; allowed: a number from 1e-06"),
        ("bitfusion", "input_rows: {value: 16", "input_rows: {value: 2.5", "value: found 2.5; allowed: a whole number from 1"),
        ("bitfusion", "usable_fraction: {value: 0.5", "usable_fraction: {value: 1.5", "found 1.5; allowed: a number above 0, at most 1"),
        ("bitfusion", "brick_bits: {value: 2", "brick_bits: {value: 3", "found 3; allowed: a divisor of unit_bits, which is 8"),
        ("bitfusion", "act_sram_bytes", "act_sram_byte", "act_sram_byte: unknown parameter of kind bitfusion; ... did you mean"),
        ("bitfusion", "{value: 16384", "{value: 255", "output_sram_bytes.value: found 255; smaller than one tile: 127.5 bytes"),
        ("bitfusion", "unit: bits per cycle, ", "", "dram_bits_per_cycle.unit: missing; allowed: text"),
        ("bitfusion", "cycle: {value: 128", "cycle: {value: 1.0e-300", "found 1e-300; allowed: a number from 1e-06"),
        ("bitfusion", "mac_pj: {value: 0.3", "mac_pj: {value: 1.0e+300", "found 1e+300; allowed: a number above 0, at most 1e+12"),
        ("gemmini-16x16", "accumulator_bits: {value: 32", "accumulator_bits: {value: 2", "found 2; allowed: at least mac_bits, which is 8"),
        ("gemmini-16x16", "output_bits: {value: 8", "output_bits: {value: 64", "found 32; allowed: at least output_bits, which is 64"),
        ("bitfusion", "65536, unit: bytes", "65536, unit: KiB", "weight_sram_bytes.unit: found 'KiB'; allowed: bytes"),
        ("gemmini-16x16", "  rows: {value: 16", "  rows: {value: .nan", "rows.value: found nan"),
        ("gemmini-16x16", "weight_stationary: {value: 1", "weight_stationary: {value: 2", "found 2; allowed: 0 or 1"),
        ("gemmini-16x16", "brick_bits: {value: 8", "brick_bits: {value: 3", "found 3; allowed: a divisor of mac_bits, which is 8"),
        ("gemmini-16x16", "{value: 131072", "{value: 300", "weight_sram_bytes.value: found 300; ...150 bytes are usable; ...512"),
    ],
)  # fmt: skip
def test_impossible_figures_are_named_with_their_line(tmp_path, device, found, said, message):
    text = wrong(tmp_path, device, (found, said))
    assert "chip.yaml:" in text and "parameters." in text
    for part in message.split("..."):
        assert part.strip() in text


def test_figures_that_do_not_go_together(tmp_path):
    device = "gemmini-16x16"
    flags = [(f"{name}_stationary: {{value: 1", f"{name}_stationary: {{value: 0") for name in ("weight", "output")]
    assert "no dataflow; allowed: at least one of weight_stationary" in wrong(tmp_path, device, *flags)
    both = [("brick_bits: {value: 8", "brick_bits: {value: 2"), ("serial_bits: {value: 8", "serial_bits: {value: 1")]
    assert "serial_bits.value: found 1; allowed: mac_bits" in wrong(tmp_path, device, *both)
    one = [(f"  {side}: {{value: 16", f"  {side}: {{value: 1") for side in ("rows", "columns")]
    assert "at least two units" in wrong(tmp_path, device, *one)


def test_a_missing_figure_is_named(tmp_path):
    line = next(
        t for t in (SHIPPED / "bitfusion.yaml").read_text(encoding="utf-8").splitlines(True) if "output_sram_bytes" in t
    )
    text = wrong(tmp_path, "bitfusion", (line, ""))
    assert (
        "parameters: missing, needed by kind bitfusion: output_sram_bytes; allowed: {value, unit, source} of each"
        in text
    )
