"""Whole networks predicted, then measured on the machine one sits at: end to end, and operator by operator inside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mico_runner.calibration import networks, timing
from mico_runner.calibration.capture import SILENT, capture
from mico_runner.calibration.estimator import Estimator
from mico_runner.calibration.roofline import Roofline, in_seconds, in_words

Example = tuple[Any, tuple[Any, ...]]  # a torch module and its inputs


@dataclass(frozen=True)
class Judged:
    """What `verify` found.

    Attributes:
        networks: network, operators (how many), predicted_s, `<name>_s` of each roofline, inside_s (the operators' own times, summed),
            measured_s (median, end to end), spread_s (between the quartiles), error (signed fraction of measured_s).
        operators: network, operator (in words), op (class), predicted_s, `<name>_s`, measured_s (inside the network), error,
            off_s (|predicted - measured|: error x time); what is off most comes first.
        traces: by network, the sentences of `trace`.
    """

    networks: pd.DataFrame
    operators: pd.DataFrame
    traces: dict[str, list[str]]


def example(name: str) -> Example:
    """A well-known network by name and an input of it, batch 1."""
    return networks.NETWORKS[name]().eval(), networks.example(name)


def trace(model: Estimator | Roofline, operators: pd.DataFrame) -> list[str]:
    """The prediction explained: a sentence for each operator, and the sum, which is the prediction of the network."""
    seconds, standing = model.predict(operators), model.standing(operators)
    shares = [(word, float(seconds[standing == word].sum() / seconds.sum())) for word in ("EXTRAPOLATED", "ASSUMED")]
    said = [f"{100 * share:.1f} % of it {word}" for word, share in shares if share > 0]
    return [
        *model.explain(operators),
        f"sum: {in_seconds(float(seconds.sum()))}" + "".join(f", {each}" for each in said),
    ]


def verify(
    model: Estimator,
    examples: Mapping[str, Example],
    threads: int,
    rooflines: Mapping[str, Roofline],
    progress: Any = None,
    rounds: int = 9,
) -> Judged:
    """Predict whole networks at fp32, then measure them, in turns, so that a slow minute hits all alike.

    Raises UsageError for an operator that no class describes.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    now = timing.clock(threads)
    operators = {name: capture(*each) for name, each in examples.items()}
    whole: dict[str, list[float]] = {name: [] for name in examples}
    inside: dict[str, list[list[float]]] = {name: [] for name in examples}
    try:
        for turn in progress(range(rounds + 1), desc="networks") if progress else range(rounds + 1):
            for name, (network, inputs) in examples.items():
                with torch.inference_mode():
                    begin = now()
                    network(*inputs)
                    seconds = now() - begin
                times = _operator_times(network, inputs, now)
                if turn:  # the first one allocates and chooses code paths
                    whole[name].append(seconds)
                    inside[name].append(times)
    finally:
        torch.set_num_threads(before)
    records, tables = [], []
    for name, rows in operators.items():
        measured, times = timing.summary(whole[name]), np.median(inside[name], axis=0)
        figures = {"predicted_s": model.predict(rows)}
        figures |= {f"{which}_s": roofline.predict(rows) for which, roofline in rooflines.items()}
        sums = {key: values.sum() for key, values in figures.items()}
        record = {"network": name, "operators": len(rows), **sums, "inside_s": times.sum()}
        records.append(record | {"measured_s": measured.median, "spread_s": measured.spread})
        words = [in_words(row) for _, row in rows.iterrows()]
        tables.append(
            pd.DataFrame({"network": name, "operator": words, "op": rows["op"], **figures, "measured_s": times})
        )
    table, every = pd.DataFrame(records), pd.concat(tables, ignore_index=True)
    every["error"] = every["predicted_s"] / every["measured_s"] - 1
    every["off_s"] = (every["predicted_s"] - every["measured_s"]).abs()
    traces = {name: trace(model, rows) for name, rows in operators.items()}
    table["error"] = table["predicted_s"] / table["measured_s"] - 1
    return Judged(table, every.sort_values("off_s", ascending=False, ignore_index=True), traces)


def by_class(operators: pd.DataFrame) -> pd.DataFrame:
    """Error x time per operator class: op, count, measured_s, share (of the time), off_s and `<estimate>_off_s`; the worst first."""
    estimates = [c for c in operators if c.endswith("_s") and c not in ("measured_s", "off_s")]
    named = {"off_s" if c == "predicted_s" else f"{c.removesuffix('_s')}_off_s": c for c in estimates}
    rows = operators[["op", "measured_s"]].assign(
        **{off: (operators[c] - operators["measured_s"]).abs() for off, c in named.items()}
    )
    table = rows.groupby("op").sum()
    table.insert(0, "count", rows.groupby("op").size())
    table.insert(2, "share", table["measured_s"] / table["measured_s"].sum())
    return table.sort_values("off_s", ascending=False).reset_index()


def _operator_times(network: Any, inputs: tuple[Any, ...], now: Callable[[], float]) -> list[float]:
    """Seconds of each operator of one forward pass, in the order in which `capture` names them."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    times: list[float] = []

    class Stopwatch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
            begin = now()
            result = func(*args, **(kwargs or {}))
            if func._schema.name != SILENT:
                times.append(now() - begin)
            return result

    with torch.no_grad(), Stopwatch():
        network(*inputs)
    return times
