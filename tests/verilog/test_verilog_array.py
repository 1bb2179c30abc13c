"""An array as Verilog: its sums are the reference's and its cycles the cost model's, in all dataflows; its area grows with it."""

import shutil

import numpy as np
import pytest
import yaml

from mico_runner import cli, hardware
from mico_runner.errors import StepError, UsageError
from mico_runner.kernel_table import kernel_table
from mico_runner.verilog import layer, simulation, synthesis
from mico_runner.verilog.array import DESIGN, VerilogArray, array_of

DATAFLOWS = ("weight_stationary", "output_stationary", "input_stationary")
CONV = {"kind": "conv2d", "in_channels": 3, "out_channels": 7, "in_h": 6, "in_w": 5, "kernel_h": 3, "kernel_w": 2}
LAYERS = [
    CONV | {"layer": "strided", "stride": 2, "act_bits": 8, "weight_bits": 4},
    CONV | {"layer": "grouped", "in_channels": 6, "out_channels": 4, "groups": 2, "act_bits": 2, "weight_bits": 8},
    {"layer": "linear", "kind": "linear", "in_channels": 10, "out_channels": 9, "act_bits": 4, "weight_bits": 2},
]
needs_verilator = pytest.mark.skipif(
    not all(map(shutil.which, simulation.TOOLS)), reason="needs verilator and g++ (make setup-rtl)"
)
needs_yosys = pytest.mark.skipif(shutil.which("yosys") is None, reason="needs yosys (make setup-checks)")


def device(dataflow="output_stationary", **figures):
    """A small array; figures of its profile that differ."""
    profile = hardware.read("gemmini-16x16")
    flows = {name: int(name == dataflow) for name in DATAFLOWS}
    for name, value in ({"rows": 3, "columns": 4} | flows | figures).items():
        profile["parameters"][name]["value"] = value
    return hardware.load(profile)


def row(about):
    return kernel_table([about])


@needs_verilator
@pytest.mark.parametrize(
    "dataflow", [DATAFLOWS[1], *(pytest.param(d, marks=pytest.mark.nightly) for d in DATAFLOWS[::2])]
)
def test_sums_are_the_references_and_cycles_the_models(dataflow):
    for about in LAYERS:
        found = layer.simulate(device(dataflow), row(about), seed=3)
        assert found.wrong == 0 and found.cycles == found.model, about["layer"]
        assert found.sums == row(about).eval("out_channels * out_h * out_w").item()


@needs_verilator
@pytest.mark.nightly
@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize(("rows", "columns", "bits"), [(1, 2, 8), (5, 2, 4), (2, 7, 2), (8, 8, 8)])
def test_any_size_and_width(dataflow, rows, columns, bits):
    rng, sides = np.random.default_rng(rows), {"rows": rows, "columns": columns}
    figures = sides | dict.fromkeys(("mac_bits", "brick_bits", "serial_bits"), bits)
    for number in range(4):
        sizes = {name: int(rng.integers(1, 9)) for name in ("in_channels", "out_channels")}
        sides = {name: int(rng.integers(3, 8)) for name in ("in_h", "in_w")}
        about = (
            CONV | sizes | sides | {"layer": "drawn", "act_bits": bits, "weight_bits": int(rng.integers(1, bits + 1))}
        )
        found = layer.simulate(device(dataflow, **figures), row(about), seed=number)
        assert found.wrong == 0 and found.cycles == found.model


@needs_verilator
@pytest.mark.nightly
@pytest.mark.parametrize("dataflow", DATAFLOWS[::2])
def test_a_stream_that_is_cut_into_passes(dataflow):
    about = CONV | {"layer": "long", "in_h": 20, "in_w": 20, "out_channels": 60, "act_bits": 8, "weight_bits": 8}
    small = device(dataflow, output_sram_bytes=256, dram_bits_per_cycle=4)
    found = layer.simulate(small, row(about), seed=0)
    whole = layer.simulate(device(dataflow), row(about), seed=0)
    assert found.wrong == 0 and found.cycles == found.model > whole.model


def test_a_wrong_sum_and_a_missing_one_are_found(monkeypatch):
    array = VerilogArray(2, 2, "output_stationary", 8, 8, 32)
    monkeypatch.setattr(simulation, "build", lambda _: "bench")
    text = {"whole": "0 5\n0 1\n1 7\n1 1\ncycles 9\n", "short": "0 5\n1 7\n1 1\ncycles 9\n", "broken": "0 5\n"}

    def gives(name):
        def checked(command, what, timeout, cwd):
            (cwd / "results.txt").write_text(text[name])

        monkeypatch.setattr(simulation.program, "checked", checked)
        return simulation.run(array, np.ones((2, 3), dtype=int), np.ones((3, 2), dtype=int))

    found = gives("whole")
    assert found.sums.tolist() == [[5, 1], [7, 1]] and found.busy == 9
    for name, message in {"short": "bank 0 of the array gave 1 sums; 2 were to come", "broken": "ended early"}.items():
        with pytest.raises(StepError, match=message):
            gives(name)


def test_what_is_not_written_is_refused():
    with pytest.raises(UsageError, match="brick_bits is 2; allowed: mac_bits, which is 8"):
        array_of(device(brick_bits=2), "output_stationary")
    with pytest.raises(UsageError, match="is of kind spatial; allowed: systolic"):
        array_of(hardware.load("eyeriss"), "output_stationary")
    with pytest.raises(UsageError, match="a batch of 2; allowed: 1"):
        layer.simulate(device(), row(LAYERS[0] | {"batch": 2}), seed=0)


def test_input_stationary_exchanges_the_operands():
    array = VerilogArray(2, 3, "input_stationary", 8, 4, 32)
    assert (array.left_bits, array.top_bits) == (4, 8)
    assert "parameter STREAM_BITS = 4" in array.text(DESIGN) and "parameter HELD_BITS = 8" in array.text(DESIGN)


@needs_yosys
@pytest.mark.nightly
def test_area_follows_the_elements():
    small, large = (synthesis.area(VerilogArray(*size, "output_stationary", 8, 8, 32)) for size in ((2, 2), (4, 4)))
    assert (small["dsp"], large["dsp"]) == (4, 16)
    assert small["lut"] < large["lut"] and small["ff"] < large["ff"]


@needs_verilator
@needs_yosys
@pytest.mark.nightly
def test_the_shipped_spec_keeps_its_gates(tmp_path, run_shipped=None):
    assert cli.main(["run", "specs/codesign-rtl.yaml", "--outputs", str(tmp_path), "--quiet"]) == 0
    design = next(tmp_path.glob("*/latest/verilog/*/systolic.v"))
    codesign = yaml.safe_load(next(tmp_path.glob("*/latest/codesign/lenet-edp.yaml")).read_text())
    assert f"parameter ROWS = {codesign['parameters']['rows']['value']}" in design.read_text()
