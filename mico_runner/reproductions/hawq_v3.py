"""HAWQ-V3's integer programme for ResNet-18 (Z. Yao et al., "HAWQ-V3: Dyadic Neural Network Quantization", ICML 2021).

Each of 19 layers has 4 or 8 bits for weights and activations alike. What they cost in quality is the Hessian's trace times the squared
error of the weights, a sum; so are size, bit operations and latency. Each limit lies between the values of all layers at 4 and 8 bits.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from mico_runner.errors import UsageError
from mico_runner.reproductions import register
from mico_runner.reproductions.base import Figure, Outcome
from mico_runner.search import milp
from mico_runner.search.space import Space

BITS = (4, 8)
SHARED = ((4, 6), (9, 11), (14, 16))  # layers that read the same tensor (ILP.ipynb)
PUBLISHED = {  # layers at 4 bits with limits half way (bit_config.py, bit_config_resnet18_<limit>_0.5)
    "size": (15, 17, 18),
    "bops": (3, 8, 12, 13, 14, 15, 16, 17, 18),
    "latency": (5, 8, 12, 13, 15, 17, 18),
}
UNITS = {"size": "bytes", "bops": "bit operations", "latency": "ms"}
HALF_WAY = 0.5


@register(
    "hawq-v3",
    data="search/hawq-v3-resnet18",
    params={
        "share": {
            "type": "number",
            "min": 0,
            "max": 1,
            "default": 0.5,
            "meta": {"help": "where each limit lies between all layers at 4 bits (0) and at 8 bits (1)"},
        },
    },
)
def reproduce(files: list[Path], seed: int, share: float) -> Outcome:
    """The best bits within each of three limits, with the proof, beside the published choice."""
    layers = read(files[0])
    sensitivity, costs = tables(layers)
    figures: dict[str, Figure] = {}
    rows, notes = [], []
    for name, cost in costs.items():
        limit = cost[:, 0].sum() + share * (cost[:, 1].sum() - cost[:, 0].sum())
        found = best(sensitivity, cost, limit)
        gap = (found.value - found.bound) / found.value
        choice = expanded(found.config)
        row = {"limit_on": name, "limit": limit, "chosen": _total(cost, choice), "sensitivity": found.value}
        row |= {"bound": found.bound, "at_4_bits": " ".join(map(str, np.flatnonzero(choice == 0)))}
        figures |= {
            f"{name}.sensitivity": Figure(found.value, "loss", "lower", "0.1%"),
            f"{name}.used": Figure(row["chosen"] / limit, "ratio"),
            f"{name}.gap": Figure(gap, "ratio", "lower", 1e-6),
        }
        note = f"{name}: sensitivity {found.value:.4f}, proven to {100 * gap:.4f} %, at {100 * row['chosen'] / limit:.2f} % of the limit"
        if share == HALF_WAY:
            theirs = np.ones(len(layers), dtype=np.int64)
            theirs[list(PUBLISHED[name])] = 0
            row |= {"published": _total(cost, theirs), "published_sensitivity": _total(sensitivity, theirs)}
            row["published_at_4_bits"] = " ".join(map(str, PUBLISHED[name]))
            figures |= {
                f"{name}.published_sensitivity": Figure(row["published_sensitivity"], "loss"),
                f"{name}.published_used": Figure(row["published"] / limit, "ratio"),
            }
            note += f"; published {row['published_sensitivity']:.4f} at {100 * row['published'] / limit:.2f} %"
        rows.append(row)
        notes.append(note)
    return Outcome(figures, {"choices": pd.DataFrame(rows)}, tuple(notes))


def read(path: Path) -> pd.DataFrame:
    """The layers in order. Raises UsageError: a column is missing."""
    layers = pd.read_csv(path)
    needed = ["hessian_trace_per_weight", "weights", "macs"]
    needed += [f"{of}{bits}{unit}" for of, unit in (("squared_error_", "bit"), ("latency_int", "")) for bits in BITS]
    missing = [column for column in needed if column not in layers]
    if missing:
        raise UsageError(f"{path}: no column {', '.join(missing)}; found: {', '.join(map(str, layers.columns))}")
    return layers


def tables(layers: pd.DataFrame) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Sensitivity and costs of each layer at 4 and at 8 bits, (layers, 2) each."""
    bits = np.array(BITS, dtype=float)
    sensitivity = np.stack([layers["hessian_trace_per_weight"] * layers[f"squared_error_{b}bit"] for b in BITS], axis=1)
    costs = {
        "size": layers["weights"].to_numpy(float)[:, None] * bits / 8,
        "bops": layers["macs"].to_numpy(float)[:, None] * bits**2,
        "latency": np.stack([layers[f"latency_int{b}"] for b in BITS], axis=1),
    }
    return sensitivity, costs


def best(sensitivity: np.ndarray, cost: np.ndarray, limit: float) -> milp.Solution:
    """The choice of least sensitivity within the limit, a layer of each shared pair; 0 means 4 bits and 1 means 8."""
    space = Space.of({str(first): [(b, b) for b in BITS] for first in _firsts(len(cost))})
    found = milp.solve(space, _merged(sensitivity), [(_merged(cost), limit)])
    if found is None:  # a share below 0 is no valid option
        raise UsageError(f"no bits keep the limit {limit:g}")
    return found


def expanded(config: np.ndarray) -> np.ndarray:
    """The choice of every layer."""
    count = len(config) + len(SHARED)
    choice = np.zeros(count, dtype=np.int64)
    choice[_firsts(count)] = config
    for first, second in SHARED:
        choice[second] = choice[first]
    return choice


def _firsts(count: int) -> list[int]:
    seconds = {second for _, second in SHARED}
    return [layer for layer in range(count) if layer not in seconds]


def _merged(table: np.ndarray) -> np.ndarray:
    """Both layers of a shared pair in the first one's row."""
    table = table.copy()
    for first, second in SHARED:
        table[first] += table[second]
    return table[_firsts(len(table))]


def _total(table: np.ndarray, choice: np.ndarray) -> float:
    return float(table[np.arange(len(table)), choice].sum())
