"""The predicted latency of a network under any bits, and which of its program's calls that is the latency of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mico_runner import graph, proxy
from mico_runner.errors import StepError
from mico_runner.graph.ir import Graph
from mico_runner.kernel_table import STORED_BITS, kernel_table
from mico_runner.ops.families import COPY
from mico_runner.quant.assembly import reads_8_bits
from mico_runner.quant.qgraph import Assignment, LayerBits, storage_bits
from mico_runner.steps.base import StepContext
from mico_runner.steps.inputs import device_of

if TYPE_CHECKING:
    from mico_runner.codegen.program import Program

TRANSPOSE = "transpose"  # kernel that only moves elements: beside a node's own, or to the network's output


class Latency:
    """Predicted latency of the network: a sum over its kernels, looked up per layer and pair of bits.

    Kernels without weights (pooling, add, a ReLU that stands alone) count where the profile has their kind; a weighted layer that it
    lacks is an error. A layer with few activation bits whose input is stored at 8 has the `requant` of that input counted with it, if
    the profile has any. `coverage` says what the program calls besides.

    Args:
        risk: predict the latency that each kernel stays below with this probability, instead of the expected one. The sum of such
            bounds is on the safe side: kernels do not all come out slow together.

    Attributes:
        layers: names of the weighted layers.
        fixed: latency of the kernels without weights, which no choice of bits changes.
        unit: "cycles", "instructions" or "ns", per `batch` samples.
    """

    def __init__(self, ctx: StepContext, network: Graph, risk: float | None = None) -> None:
        self._model = proxy.load(ctx.upstream("fit") / "model")
        self._risk = risk
        self.unit = json.loads((ctx.upstream("fit") / "fit.json").read_text(encoding="utf-8"))["unit"]
        self.batch = device_of(ctx.spec).batch
        self.layers = [node.name for node in network.weighted]
        self._rows = {row["layer"]: row for row in graph.kernel_rows(network, self.batch)}
        others = [name for name in self._rows if name not in self.layers]
        self._counted = [name for name in others if self._rows[name]["kind"] in self._model.kinds]
        self._copied = reads_8_bits(network)  # {layer: tensor}
        for tensor in self._copied.values():
            self._rows[_copy(tensor)] = graph.elementwise_row(network, tensor, COPY, self.batch)
        self._requantised = COPY in self._model.kinds
        self._known: dict[tuple[str, float, int], float] = {}
        self._predict([(name, 0, STORED_BITS) for name in self._counted])
        self.fixed = sum(self._known.values())

    def table(self, choices: list[LayerBits]) -> np.ndarray:
        """(layers, choices) latencies, predicted in one call. Layers that read the same copy of an input each count it."""
        keys = [self._calls(layer, bits) for layer in self.layers for bits in choices]
        self._predict([call for calls in keys for call in calls])
        totals = [sum(self._known[call] for call in calls) for calls in keys]
        return np.array(totals).reshape(len(self.layers), len(choices))

    def by_layer(self, assignment: Assignment) -> pd.DataFrame:
        """Columns layer, latency: the weighted layers, the copies of their inputs, the rest, called as in the integer graph."""
        calls = {layer: (layer, *assignment[layer]) for layer in self.layers}
        for layer in self.layers:
            for copy in self._calls(layer, assignment[layer])[1:]:
                calls[f"{self._copied[layer]}.to{assignment[layer].activation}"] = copy
        calls |= {name: (name, 0, STORED_BITS) for name in self._counted}
        self._predict(list(calls.values()))
        return pd.DataFrame({"layer": list(calls), "latency": [self._known[call] for call in calls.values()]})

    def __call__(self, assignment: Assignment) -> float:
        """Latency of the network, in `unit`."""
        return float(self.by_layer(assignment)["latency"].sum())

    def coverage(self, program: Program, assignment: Assignment) -> pd.DataFrame:
        """Columns call, node, kernel, latency, reason: every call that the program makes under the assignment, in order.

        `latency` is NaN where the sum has no row for the call; `reason` then says why. The latencies add up to that of the network.

        Raises:
            StepError: the sum counts a kernel that the program does not call.
        """
        known = self.by_layer(assignment).set_index("layer")["latency"].to_dict()
        rows = []
        for call in program.calls:
            moves = call.kernel == TRANSPOSE
            latency = float("nan") if moves else known.pop(call.node, float("nan"))
            reason = f"the profile has no {call.kernel}" if latency != latency else ""
            rows.append(
                {"call": call.name, "node": call.node, "kernel": call.kernel, "latency": latency, "reason": reason}
            )
        if known:
            raise StepError(f"latencies of kernels that the program does not call: {', '.join(map(str, known))}")
        return pd.DataFrame(rows)

    def report_coverage(self, ctx: StepContext, program: Program, assignment: Assignment) -> None:
        """Metrics, calls.csv and log lines: which calls the sum contains, and which layers lie outside the range of the profile."""
        calls = self.coverage(program, assignment)
        calls.to_csv(ctx.dir / "calls.csv", index=False)
        left_out = calls[calls["latency"].isna()]
        predicted = len(calls) - len(left_out)
        ctx.metric("evaluate.latency_coverage", 100 * predicted / len(calls), "%", "higher")
        text = f"{predicted}/{len(calls)} kernel calls predicted, batch {self.batch}"
        for kernel, some in left_out.groupby("kernel", sort=False):
            text += f"; not counted, the profile has no {kernel}: {', '.join(some['call'])}"
        if self._copied and not self._requantised:
            text += "; nor is bringing the input to fewer bits, the profile has no requant"
        ctx.log(text)
        outside = self._model.extrapolates(self._kernel_table([(layer, *assignment[layer]) for layer in self.layers]))
        ctx.metric("evaluate.extrapolating_layers", 100 * float(outside.mean()), "%", "lower")
        if outside.any():
            names = ", ".join(name for name, out in zip(self.layers, outside, strict=True) if out)
            ctx.log(
                f"warning: {100 * outside.mean():.0f} % of the layers extrapolate, outside the profile's sizes: {names}"
            )

    def _calls(self, layer: str, bits: LayerBits) -> list[tuple[str, float, int]]:
        """The kernels of a weighted layer: its own, and that which brings its input to fewer bits."""
        calls = [(layer, *bits)]
        if self._requantised and layer in self._copied and bits.activation < STORED_BITS:
            calls.append((_copy(self._copied[layer]), 0, STORED_BITS))
        return calls

    def _predict(self, keys: list[tuple[str, float, int]]) -> None:
        missing = [key for key in dict.fromkeys(keys) if key not in self._known]
        if missing:
            table = self._kernel_table(missing)
            values = self._model.predict(table) if self._risk is None else self._model.quantile(table, self._risk)
            self._known.update(zip(missing, values.tolist(), strict=True))

    def _kernel_table(self, keys: list[tuple[str, float, int]]) -> pd.DataFrame:
        rows = [
            {**self._rows[layer], "weight_bits": storage_bits(weight), "act_bits": activation}
            for layer, weight, activation in keys
        ]
        return kernel_table(rows)


def _copy(tensor: str) -> str:
    """Key of the kernel that copies a tensor at fewer bits: no node is called so."""
    return f"{tensor} copied"
