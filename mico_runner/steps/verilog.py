"""verilog: a systolic array as Verilog, its cycles and sums beside the cost model's, its area on an FPGA beside the area model's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mico_runner.sections import Sections
from mico_runner.steps import register
from mico_runner.steps.base import Inputs, Step, StepContext

if TYPE_CHECKING:
    import pandas as pd

    from mico_runner.hardware import Hardware
    from mico_runner.sections import Verilog as Section
    from mico_runner.verilog.array import VerilogArray


@register("verilog", section="verilog", optional_needs=["codesign"], order=47)
class Verilog(Step):
    """The array's RTL: written, simulated on layers, synthesised."""

    VERSION = 1

    def inputs(self, spec: Sections) -> Inputs:
        from mico_runner.steps.inputs import device_of, present

        section = present(spec.verilog)
        return {
            "verilog": section,
            "seed": spec.seed,
            "hardware": device_of(spec).sha256,
            "objectives": spec.codesign and spec.codesign.objectives,
        }

    def run(self, ctx: StepContext) -> None:
        import pandas as pd

        from mico_runner.steps.inputs import present
        from mico_runner.verilog import layer

        section = present(ctx.spec.verilog)
        device, table = _chosen(ctx, section)
        rows, arrays = [], {}
        for name in ctx.progress(section.layers, desc="layers"):
            found = layer.simulate(device, _layer(table, name, section), ctx.seed)
            arrays[found.array.dataflow] = found.array
            about = {"layer": name, "dataflow": found.array.dataflow, "rows": found.array.rows}
            about |= {"columns": found.array.columns, "cycles": found.cycles, "model_cycles": found.model}
            rows.append({**about, "sums": found.sums, "mismatches": found.wrong})
            ctx.metric(f"verilog.{name}.cycles", found.cycles, "cycles", "lower")
            ctx.log(
                f"{name}: {found.cycles:,} cycles, the model {found.model:,}; {found.wrong} of {found.sums:,} sums differ"
            )
        layers = pd.DataFrame(rows)
        layers.to_csv(ctx.dir / "layers.csv", index=False)
        for dataflow, array in arrays.items():
            array.write(ctx.dir / dataflow)
        error = (layers["cycles"] - layers["model_cycles"]).abs().max()
        ctx.metric("verilog.cycles_off", int(error), "cycles", "lower")
        ctx.metric("verilog.mismatches", int(layers["mismatches"].sum()), "count", "lower")
        if section.sizes:
            _area(ctx, device, section, next(iter(arrays.values())))


def _chosen(ctx: StepContext, section: Section) -> tuple[Hardware, pd.DataFrame]:
    """The device, and the kernel table of the network: the best design and its bits for the first objective, where there is one."""
    import pandas as pd

    from mico_runner import hardware
    from mico_runner.kernel_table import kernel_table
    from mico_runner.sections import ShapedNetwork
    from mico_runner.steps.codesign_arrays import device_file
    from mico_runner.steps.codesign_engines import captured
    from mico_runner.steps.inputs import device_of, present
    from mico_runner.steps.network import kernels, uniform

    if ctx.has("codesign"):
        objective = present(ctx.spec.codesign).objectives[0]
        design = ctx.upstream("codesign") / device_file(section.network, objective)
        if design.is_file():
            layers = pd.read_csv(ctx.upstream("codesign") / "layers.csv")
            mine = layers[(layers["network"] == section.network) & (layers["objective"] == objective)]
            return hardware.load(str(design)), kernel_table(mine[["layer", *_COLUMNS]])
    device = device_of(ctx.spec)
    network = captured(section.network, ShapedNetwork(section.input, section.classes, section.params))
    return device, kernels(network, uniform(network, *section.bits), device.batch)


_COLUMNS = (
    *("kind", "batch", "in_channels", "out_channels", "in_h", "in_w", "kernel_h", "kernel_w", "stride", "groups"),
    *("act_bits", "weight_bits"),
)


def _layer(table: pd.DataFrame, name: str, section: Section) -> pd.DataFrame:
    from mico_runner.errors import StepError

    found = table[table["layer"] == name]
    if not len(found):
        known = ", ".join(table["layer"])
        raise StepError(f"verilog.layers: {section.network} has no layer {name!r}; allowed: {known}")
    return found.reset_index(drop=True)


def _area(ctx: StepContext, device: Hardware, section: Section, array: VerilogArray) -> None:
    """area.csv and metrics: cells of the array, and of arrays of other sizes, beside the model's area of the units."""
    from dataclasses import replace

    import pandas as pd

    from mico_runner import hardware
    from mico_runner.verilog import synthesis

    unit = hardware.area_of(device).parts[0].um2_each
    sizes = [(array.rows, array.columns), *(each for each in section.sizes if each != (array.rows, array.columns))]
    rows = []
    for height, width in ctx.progress(sizes, desc="synthesis"):
        cells = synthesis.area(replace(array, rows=height, columns=width))
        about = {"rows": height, "columns": width, "units": height * width}
        rows.append(about | {"model_um2": None if unit is None else unit * height * width, **cells})
    table = pd.DataFrame(rows)
    table.to_csv(ctx.dir / "area.csv", index=False)
    for name in ("lut", "ff", "dsp"):
        ctx.metric(f"verilog.{name}", int(table[name].iloc[0]), "count", "lower", tolerance="1%")
        rank = table["units"].corr(table[name], method="spearman") if len(table) > 2 else float("nan")
        if rank == rank:  # equal numbers have no order
            ctx.metric(f"verilog.{name}_spearman", float(rank), "ratio", "higher", tolerance=0.01)
    lut, ff, dsp = (int(table[name].iloc[0]) for name in ("lut", "ff", "dsp"))
    ctx.log(
        f"{array.rows} x {array.columns} elements of {array.act_bits} bits: {lut} LUTs, {ff} flip-flops, {dsp} DSP blocks"
    )
