"""From measured subgraphs to the operators they consist of, with the counts that their latency depends on.

An operator row: `row` (position of its subgraph), `op` (class), `launches` (1, or 0 for a part of a fused operator), `macs`, `weights`,
`elements` (read plus written), `reduction` (products per output), `in_channels`, `out_channels`. Counts are those of the whole batch.
"""

from __future__ import annotations

import re
from math import sqrt
from typing import Any

import pandas as pd

from mico_runner.calibration import convolution
from mico_runner.calibration.convolution import Convolution

ACTIVATIONS = ("ReLU", "ReLU6", "SiLU", "Hardswish", "GELU")
# Functions that move no data: their names are the graph's own operator names.
VIEWS = {
    "getitem",
    "getattr",
    "flatten",
    "chunk",
    "swapaxes",
    "permute",
    "reshape",
    "view",
    "transpose",
    "unsqueeze",
    "expand",
    "size",
    "eq",
    "_assert",
    "floordiv",
    "dropout",
    "stochastic_depth",
}
WIDE_POOL = 8  # inputs per output from which a pool averages whole maps instead of small windows


def operator_table(subgraphs: pd.DataFrame) -> pd.DataFrame:
    """Operators of all subgraphs (rows as `data.subgraphs.load_subgraphs` gives them), in order."""
    pools = _pools(subgraphs)
    rows = []
    for position, subgraph in enumerate(subgraphs.itertuples()):
        parts = _Parts(subgraph)
        ratio = pools.get((subgraph.model, subgraph.subgraph_id))
        if ratio is not None:
            parts.add("pool" if ratio >= WIDE_POOL else "maxpool", elements=parts.elements)
        else:
            parts.split()
        rows += [{"row": position, **part} for part in parts.rows]
    return pd.DataFrame(rows)


def regimes(operators: pd.DataFrame, rows: int) -> pd.Series:
    """The operator classes of each subgraph, joined by "+": what curves are fitted per. Index 0..rows-1."""
    return operators.groupby("row")["op"].agg("+".join).reindex(range(rows))


class _Parts:
    """The operators of one subgraph."""

    def __init__(self, subgraph: Any) -> None:
        self.subgraph = subgraph
        self.batch = subgraph.batch
        self.macs = subgraph.flops / 2
        self.weights = subgraph.weights
        self.elements = subgraph.activations * subgraph.batch
        self.pattern: str = subgraph.fusion_pattern
        self.tokens = self.pattern.split("_")
        self.rows: list[dict[str, object]] = []

    def add(self, op: str, macs=0.0, weights=0.0, elements=0.0, reduction=0.0, channels=(0, 0), launches=1) -> None:
        self.rows.append(
            {
                "op": op,
                "launches": launches,
                "macs": float(macs),
                "weights": float(weights),
                "elements": float(elements),
                "reduction": float(reduction),
                "in_channels": float(channels[0]),
                "out_channels": float(channels[1]),
            }
        )

    def split(self) -> None:
        """Fill `rows` by the subgraph's fusion pattern and counts."""
        convolutions = _convolutions(self.subgraph)
        if convolutions:
            for each in convolutions:
                self._convolution(each)
        elif self.pattern.startswith("AdaptiveAvgPool2d_Conv2d"):
            self._squeeze_excite()
        elif self.pattern == "LayerNorm_MultiheadAttention":
            self._attention()
        elif self.pattern.startswith("LayerNorm_Linear_GELU_+2"):
            tokens = self.macs / self.weights
            inner = self.elements / 2 / tokens
            hidden = self.weights / 2 / inner
            self.add("norm", elements=self.elements)
            self._linear(inner, hidden, tokens)
            self.add("act_GELU", elements=2 * hidden * tokens)
            self._linear(hidden, inner, tokens)
            self.add("dropout")
        elif self.tokens[0] in ("LayerNorm", "Linear"):
            self._fused_linear()
        elif self.pattern == "add_ReLU":
            self.add("add", elements=self.elements)
            self.add("act_ReLU", elements=self.elements * 2 / 3)
        else:
            self._alone()

    def _convolution(self, c: Convolution) -> None:
        n = self.batch
        kind = "conv_dw" if c.groups > 1 else "conv_pw" if c.kernel == 1 else "conv_std"
        if kind == "conv_std" and c.kernel == 3 and c.stride == 1:
            kind = "conv_k3"  # where libraries have a faster algorithm (Winograd)
        dense = c.groups == 1
        self.add(
            kind,
            c.macs * n,
            c.weights,
            (c.inputs + c.outputs) * n,
            c.reduction if dense else 0,
            (c.in_channels, c.out_channels) if dense else (0, 0),
        )
        if "BatchNorm2d" in self.tokens:
            self.add("bn", elements=2 * c.outputs * n)
        for name in self.tokens:
            if name in ACTIVATIONS:
                self.add(f"act_{name}", elements=2 * c.outputs * n)

    def _squeeze_excite(self) -> None:
        both = "more" in self.pattern  # both convolutions and the product, or the first one only
        self.add("pool", elements=self.elements / (2 if both else 1))
        for _ in range(2 if both else 1):
            share = self.weights / (2 if both else 1)
            self.add("conv_pw", share * self.batch, share)
            self.add("act_SiLU" if both else "act_ReLU")
        if both:
            self.add("mul", elements=self.elements)

    def _attention(self) -> None:
        """4 d² + 6 d weights: query, key, value and output projections with biases, and the layer norm."""
        inner = (sqrt(36 + 16 * self.weights) - 6) / 8
        tokens = self.elements / 2 / inner
        self.add("norm", elements=self.elements)
        self.add("mha")
        self._linear(inner, 3 * inner, tokens, launches=0)
        self._linear(inner, inner, tokens, launches=0)
        products = max(self.macs - 4 * inner**2 * tokens, 0)
        self.add("attention", products, elements=4 * inner * tokens, launches=0)

    def _linear(self, inputs: float, outputs: float, tokens: float, launches: int = 1) -> None:
        weights = inputs * outputs
        elements = (inputs + outputs) * tokens
        self.add("linear", weights * tokens, weights, elements, inputs, (inputs, outputs), launches)

    def _widths(self) -> tuple[float, float, float]:
        """Narrow side, wide side and tokens of one linear layer: their product is the MACs, their sum the elements per token."""
        tokens = max(1, round(self.macs / self.weights))
        product, both = self.macs / tokens, self.elements / tokens
        wide = (both + sqrt(max(both**2 - 4 * product, 0))) / 2
        return product / wide, wide, tokens

    def _fused_linear(self) -> None:
        narrow, wide, tokens = self._widths()
        contracts = self.tokens[0] == "Linear"  # the second layer of a feed-forward block, or a classifier's
        inputs, outputs = (wide, narrow) if contracts else (narrow, wide)
        if self.tokens[0] == "LayerNorm":
            self.add("norm", elements=2 * inputs * tokens)
        self._linear(inputs, outputs, tokens)
        for name in self.tokens:
            if name in ACTIVATIONS:
                self.add(f"act_{name}", elements=2 * outputs * tokens)
        if "Dropout" in self.tokens or "more" in self.pattern:
            self.add("dropout")

    def _alone(self) -> None:
        name = _function(self.subgraph.node_names)
        if self.macs > 0 and self.weights > 0:
            self._linear(*self._widths())
        elif self.weights > 0 or name == "softmax":
            self.add("norm", elements=self.elements)
        elif name in ("add", "mul", "einsum"):
            self.add(name, elements=self.elements)
        elif self.elements == 0:
            self.add(f"scalar_{name}")
        elif name in VIEWS:
            self.add(f"view_{name}")
        elif "dropout" in name:
            self.add("dropout")
        elif "pool" in name:
            self.add("pool" if "avg" in name else "maxpool", elements=self.elements)
        else:
            self.add("module", elements=self.elements)


def _function(node_name: str) -> str:
    """Name of a graph node without its number."""
    return re.sub(r"_\d+$", "", node_name)


def _convolutions(subgraph: Any) -> tuple[Convolution, ...]:
    """The spatial convolutions of a subgraph, from its counts; () when it has none."""
    pattern, macs = subgraph.fusion_pattern, subgraph.flops // 2
    counts = (macs, subgraph.weights, subgraph.activations)
    # flops count the whole batch
    counts = (macs // subgraph.batch, *counts[1:])
    if pattern.startswith("Conv2d_BatchNorm2d"):
        found = convolution.pair(*counts) if "more" in pattern else convolution.single(*counts, per_channel=2)
    elif pattern == "Conv2d_ReLU" or (pattern == "Unfused" and macs and subgraph.weights):
        found = convolution.single(*counts, per_channel=1)
        if found is not None and found.out_size == 1:
            found = None  # a linear layer
    else:
        return ()
    if found is None and pattern.startswith("Conv2d"):
        raise ValueError(f"{subgraph.model}, subgraph {subgraph.subgraph_id}: no convolution has the counts {counts}")
    return found if isinstance(found, tuple) else () if found is None else (found,)


def _pools(subgraphs: pd.DataFrame) -> dict[tuple[str, int], float]:
    """Inputs per output of the nameless modules that shrink what the subgraph before them wrote, by (model, subgraph)."""
    ratios = {}
    distinct = subgraphs.drop_duplicates(["model", "subgraph_id"]).sort_values(["model", "subgraph_id"])
    for _, network in distinct.groupby("model"):
        before = None
        for subgraph in network.itertuples():
            found = _convolutions(subgraph)
            if found:
                before = found[-1].outputs
                continue
            plain = subgraph.fusion_pattern == "Unfused" and subgraph.weights == 0 and subgraph.flops == 0
            plain = plain and _function(subgraph.node_names) not in VIEWS
            if not plain:
                before = None
            elif before:
                after = subgraph.activations - before
                if 0 < after <= before / 2:
                    ratios[subgraph.model, subgraph.subgraph_id] = before / after
                    before = after
    return ratios
