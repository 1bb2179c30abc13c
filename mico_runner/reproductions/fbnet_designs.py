"""Networks of FBNet's search space on systolic arrays: every pair costed, and how soon a surrogate finds the best one.

The networks are those of HW-NAS-Bench's table (5,000), the arrays those within the area of Gemmini's default; the cost model is this
project's. Accuracies of these networks are not public, so that only those count that do at least as many products as half of them do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mico_runner import accelerators, hardware
from mico_runner.codesign import designs, surrogate
from mico_runner.hardware import Hardware
from mico_runner.kernel_table import kernel_table
from mico_runner.reproductions import register
from mico_runner.reproductions.base import Figure, Outcome

# B. Wu et al., "FBNet", CVPR 2019, tables 1 and 2: channels, blocks and stride of each stage behind a stem of 16 channels at 112 x 112,
# and kernel, expansion and groups of each operation; the last one skips, by a 1 x 1 convolution where the shape changes.
STAGES = ((16, 1, 1), (24, 4, 2), (32, 4, 2), (64, 4, 2), (112, 4, 1), (184, 4, 2), (352, 1, 1))
OPERATIONS = ((3, 1, 1), (3, 1, 2), (3, 3, 1), (3, 6, 1), (5, 1, 1), (5, 1, 2), (5, 3, 1), (5, 6, 1))
BITS = 8
BASE = "gemmini-16x16"
VARY = {
    "parameters.rows": [4, 8, 12, 16, 24, 32, 48, 64],
    "parameters.columns": [4, 8, 12, 16, 24, 32, 48, 64],
    "parameters.weight_sram_bytes": {"scale": [0.25, 0.5, 1, 2]},
    "parameters.act_sram_bytes": {"scale": [0.25, 0.5, 1, 2]},
}
OBJECTIVES = ("cycles", "energy", "edp")
_SHAPE = ["in_channels", "out_channels", "in_h", "kernel_h", "stride", "groups"]


@register(
    "fbnet-designs",
    data="devices/fbnet",
    params={
        "evaluations": {"type": "integer", "min": 20, "max": 1000, "default": 100, "meta": {"help": "of pairs"}},
        "initial": {"type": "integer", "min": 10, "default": 50, "meta": {"help": "evaluations at random"}},
        "seeds": {
            "type": "integer",
            "min": 1,
            "default": 10,
            "meta": {"help": "searches, each with a seed of its own"},
        },
        "checked": {
            "type": "integer",
            "min": 1,
            "default": 4000,
            "meta": {"help": "pairs that intervals are tried on"},
        },
    },
)
def reproduce(files: list[Path], seed: int, evaluations: int, initial: int, seeds: int, checked: int) -> Outcome:
    """Regret of the surrogate, of pairs at random and of a rough form, against the best of all pairs; how often its intervals hold."""
    with np.load(files[0]) as table:
        architecture = table["architecture"].astype(np.int64)
    published, kernels = pd.read_csv(files[2]), blocks()
    macs = by_operation(kernels, kernels["macs"].to_numpy(float))
    equal = bool((macs.ravel() == published.sort_values(["position", "operation"])["macs"]).all())
    positions = np.arange(macs.shape[0])
    products = macs[positions, architecture].sum(axis=1)
    architecture = architecture[products >= np.median(products)]
    networks = features(published, architecture)
    figures = {
        "operations_equal": Figure(float(equal), "ratio", "higher"),
        "networks": Figure(len(architecture), "count"),
    }
    rows: list[dict[str, object]] = []
    for objective in OBJECTIVES:
        kept = arrays(objective)
        parts = [each[..., positions, architecture].sum(axis=-1) for each in costs(kept, kernels)]
        value, guess = (_of(objective, each) for each in parts)
        space = surrogate.Pairs(networks, device_features(kept), np.log(guess))
        rows += [
            {"objective": objective, "seed": n}
            | _run(space, value, evaluations, initial, checked, np.random.default_rng([seed, n]))
            for n in range(seeds)
        ]
        figures["pairs"] = Figure(value.size, "count")
    runs = pd.DataFrame(rows)
    notes = []
    for objective in OBJECTIVES:
        of = runs[runs["objective"] == objective]
        figures |= {
            f"{objective}.regret": Figure(float(of["regret"].max()), "%", "lower", 0.1),
            f"{objective}.within": Figure(int(of["evaluations"].notna().sum()), "searches", "higher"),
            f"{objective}.inside": Figure(float(of["inside"].mean()), "%", "info"),
            f"{objective}.inside_least": Figure(float(of["inside"].min()), "%", "info"),
            f"{objective}.inside_most": Figure(float(of["inside"].max()), "%", "info"),
            f"{objective}.random_regret": Figure(float(of["random_regret"].mean()), "%", "info"),
            f"{objective}.rough_regret": Figure(float(of["rough_regret"].max()), "%", "info"),
        }
        notes.append(
            f"{objective}: {of['evaluations'].notna().sum()} of {seeds} searches within 1 % of the best of all pairs after "
            f"{of['evaluations'].max():.0f} evaluations, at most {of['regret'].max():.2f} % above it after {evaluations}, "
            f"{of['random_regret'].mean():.0f} % at random; intervals hold in {of['inside'].mean():.1f} %"
        )
    return Outcome(figures, {"searches": runs}, tuple(notes))


def blocks() -> pd.DataFrame:
    """The kernels of every operation at every position, a kernel table with `position` and `operation`; stem and head are left out."""
    rows: list[dict[str, object]] = []
    position, channels, side = 0, 16, 112
    for out, count, first in STAGES:
        for number in range(count):
            stride = first if number == 0 else 1
            after = side // stride
            if stride > 1 or channels != out:
                rows.append(_convolution(position, len(OPERATIONS), channels, out, side, 1, stride, 1))
            for operation, (kernel, expansion, groups) in enumerate(OPERATIONS):
                wide = channels * expansion
                rows.append(_convolution(position, operation, channels, wide, side, 1, 1, groups))
                rows.append(_convolution(position, operation, wide, wide, side + kernel - 1, kernel, stride, wide))
                rows.append(_convolution(position, operation, wide, out, after, 1, 1, groups))
            position, channels, side = position + 1, out, after
    return kernel_table(rows)


def by_operation(kernels: pd.DataFrame, values: np.ndarray) -> np.ndarray:
    """Sums of the kernels' values (..., kernels) over each operation at each position, (..., positions, operations)."""
    position, operation = kernels["position"].to_numpy(), kernels["operation"].to_numpy()
    found = np.zeros((*values.shape[:-1], int(position.max()) + 1, len(OPERATIONS) + 1))
    for at, place in enumerate(zip(position, operation, strict=True)):
        found[(..., *place)] += values[..., at]
    return found


def features(published: pd.DataFrame, architecture: np.ndarray) -> np.ndarray:
    """Products, weights, activations, layers of each network, and its first blocks' activations, float64 (networks, 5)."""
    size = (architecture.shape[1], len(OPERATIONS) + 1)
    ordered = published.sort_values(["position", "operation"])
    found = {
        name: ordered[name].to_numpy(float).reshape(size)[np.arange(size[0]), architecture]
        for name in ("macs", "weights", "activations", "layers")
    }
    early = found["activations"][:, : 1 + STAGES[1][1]].sum(
        axis=1
    )  # at 112 and 56 pixels a side, where most of them are
    sums = {name: values.sum(axis=1) for name, values in found.items()}
    logs = [np.log(sums[name]) for name in ("macs", "weights", "activations")]
    return np.column_stack([*logs, sums["layers"], early])


def arrays(objective: str) -> designs.Designs:
    """Designs within the area of the base, whose schedules are those of the least objective."""
    base: dict[str, Any] = hardware.read(BASE)
    if objective != "cycles":
        flag = {"value": 1, "unit": "flag", "source": "schedules of the least objective"}
        base = {**base, "parameters": {**base["parameters"], f"least_{objective}": flag}}
    every = designs.enumerate_designs(base, VARY)
    return every.take(np.flatnonzero(designs.within(every, hardware.load(base), {"area": 1.0})))


def device_features(kept: designs.Designs) -> np.ndarray:
    """Logarithms of what varies, (designs, keys)."""
    return np.column_stack([np.log2(np.array(v, float))[kept.points[:, at]] for at, v in enumerate(kept.values)])


def costs(kept: designs.Designs, kernels: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Cycles and energy of each operation at each position on each design, float64 (2, designs, positions, operations).

    Returns:
        What the simulator says, and a rough form that knows neither folds nor schedules.
    """
    _, first, which = np.unique(kernels[_SHAPE].to_numpy(), axis=0, return_index=True, return_inverse=True)
    different = kernels.iloc[first].reset_index(drop=True)
    exact = np.empty((2, len(kept), len(first)))
    guessed = np.empty_like(exact)
    for number in range(len(kept)):
        device = kept.device(number)
        trace = accelerators.of(device).simulate(different)
        exact[:, number] = trace["cycles"], trace["energy_pj"]
        guessed[:, number] = rough(different, device)
    of = which.reshape(-1)
    return by_operation(kernels, exact[..., of]), by_operation(kernels, guessed[..., of])


def rough(kernels: pd.DataFrame, device: Hardware) -> tuple[np.ndarray, np.ndarray]:
    """Cycles and energy (pJ) of kernels on a systolic array as a roofline has them, float64 (kernels,) each.

    A full row or column of the array works on each product, or as many of its elements as there are taps or filters; every tensor passes
    the outermost memory once, and each operand is read once for the row or column that shares it.
    """
    groups, macs = kernels["groups"], kernels["macs"].to_numpy(float)
    taps = (kernels["in_channels"] // groups * kernels["kernel_h"] * kernels["kernel_w"]).to_numpy()
    down = np.minimum(device.value("rows"), taps)
    across = np.minimum(device.value("columns"), (kernels["out_channels"] // groups).to_numpy())
    inputs = kernels["in_channels"] * kernels["in_h"] * kernels["in_w"]
    outputs = kernels["out_channels"] * kernels["out_h"] * kernels["out_w"]
    moved = BITS * (taps * kernels["out_channels"] + inputs + outputs).to_numpy(float)
    cycles = np.maximum(macs / (down * across), moved / device.value("dram_bits_per_cycle"))
    inner = BITS * macs * (1 / down + 1 / across) * device.value("sram_pj_per_bit")
    return cycles, macs * device.value("mac_pj") + inner + moved * device.value("dram_pj_per_bit")


def _of(objective: str, parts: np.ndarray) -> np.ndarray:
    """Of cycles and energy (2, designs, networks): (networks, designs)."""
    found: np.ndarray = {"cycles": parts[0], "energy": parts[1], "edp": parts[0] * parts[1]}[objective].T
    return found


def _run(
    space: surrogate.Pairs, value: np.ndarray, evaluations: int, initial: int, checked: int, rng: np.random.Generator
) -> dict[str, object]:
    """One search and what it says of pairs that it has not seen, with others beside it at as many evaluations."""
    if space.rough is None:
        raise ValueError("no rough form; allowed: pairs with one")
    least = value.min()
    found = surrogate.search(space, lambda pairs: value[tuple(pairs.T)], evaluations, initial, rng)
    asked = space.drawn(min(checked, value.size), rng)
    low, high = found.interval(space, asked)
    true = value[tuple(asked.T)]
    best = np.minimum.accumulate(found.values)
    soon = np.flatnonzero(best <= least * 1.01)
    guess = np.argsort(space.rough, axis=None, kind="stable")[:evaluations]
    return {
        "regret": 100 * (best[-1] / least - 1),
        "evaluations": soon[0] + 1 if len(soon) else np.nan,  # until the first pair within 1 % of the best
        "inside": 100 * float(((low <= true) & (true <= high)).mean()),
        "interval": float(np.median(high / low)),
        "random_regret": 100 * (value[tuple(space.drawn(evaluations, rng).T)].min() / least - 1),
        "rough_regret": 100 * (value.ravel()[guess].min() / least - 1),
    }


def _convolution(
    position: int, operation: int, channels: int, out: int, side: int, kernel: int, stride: int, groups: int
) -> dict[str, object]:
    """A row of `blocks`; `side` is that of the input with its padding."""
    return {
        "position": position,
        "operation": operation,
        "kind": "conv2d",
        "batch": 1,
        "in_channels": channels,
        "out_channels": out,
        "in_h": side,
        "in_w": side,
        "kernel_h": kernel,
        "kernel_w": kernel,
        "stride": stride,
        "groups": groups,
        "act_bits": BITS,
        "weight_bits": BITS,
    }
