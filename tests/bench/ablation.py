"""What each part of the latency predictors buys, on all public profiles: `python -m tests.bench.ablation [--seeds 3]`.

Prints the tables of docs/results/predictors.md. Needs the data mirror and some minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from mico_runner import proxy
from mico_runner.data import load_profile
from mico_runner.validation.metrics import error_metrics

UNSEEN = {
    "mico_small conv2d": ["mico-small/conv2d-zoo"],
    "mico_high conv2d": ["mico-high/conv2d-zoo"],
    "mico_small matmul": ["mico-small/matmul-zoo", "mico-small/bitlinear-test"],
    "mico_high matmul": ["mico-high/matmul-zoo", "mico-high/bitlinear-test"],
    "bitfusion matmul": ["bitfusion/matmul-zoo", "bitfusion/matmul-samples"],
    "bitfusion conv2d": ["bitfusion/conv2d-zoo", "bitfusion/conv2d-samples"],
}
ZOO = {name: profiles[:1] for name, profiles in UNSEEN.items()}
FAMILIES = {
    **{name: profiles for name, profiles in UNSEEN.items() if len(profiles) > 1},
    "mico_small conv2d": ["mico-small/conv2d-zoo", "mico-small/bitconv2d-test"],
    "mico_high conv2d": ["mico-high/conv2d-zoo", "mico-high/bitconv2d-test"],
}
STRATEGIES: dict[str, dict[str, Any]] = {
    "lut": {"strategy": "lut"},
    "single": {"strategy": "single"},
    "two_stage": {"strategy": "two_stage"},
    "multi_stage": {"strategy": "multi_stage"},
    "structural, bits alike": {"strategy": "structural", "params": {"bit_penalty": 1e-1}},
    "structural, bits free": {"strategy": "structural", "params": {"bit_penalty": 1e-4}},
    "hybrid, bits alike": {"strategy": "hybrid", "params": {"bit_penalty": 1e-1}},
    "hybrid, bits free": {"strategy": "hybrid", "params": {"bit_penalty": 1e-4}},
    "hybrid, runs": {"strategy": "hybrid", "params": {"bit_penalty": 1e-4, "runs": True}},
    "hybrid, power 2": {"strategy": "hybrid", "params": {"bit_penalty": 1e-1, "power": 2}},
    "ensemble": {"strategy": "ensemble"},
    "auto": {"strategy": "auto"},
    "analytical": {"strategy": "analytical"},
}


def unseen_shapes(seeds: int) -> Iterator[dict[str, Any]]:
    """Error on unseen shapes of every strategy, in %, mean over seeds of the folds."""
    for data, profiles in UNSEEN.items():
        table = load_profile(profiles)
        for label, candidate in STRATEGIES.items():
            runs = [proxy.validate(table, **candidate, protocols=["group_kfold"], seed=seed) for seed in range(seeds)]
            rows = pd.concat([run.protocols for run in runs])
            points = pd.concat([run.predictions for run in runs])
            int8 = points[(points["act_bits"] == 8) & (points["weight_bits"] == 8)]
            yield {
                "data": data,
                "strategy": label,
                "mape": 100 * rows["mape"].mean(),
                "INT8 rows": 100 * error_metrics(int8["measured"], int8["predicted"])["mape"],
                "p90": 100 * rows["p90_ape"].mean(),
                "spearman": rows["spearman"].mean(),
                "kendall": rows["kendall"].mean(),
                "90 % interval holds": 100 * rows["coverage"].mean(),
            }


def known_shapes(seeds: int) -> Iterator[dict[str, Any]]:
    """Error of `auto` on the six zoo profiles, in %: in-sample and row-wise, where other bits of the same shape were seen."""
    for data, profiles in ZOO.items():
        table = load_profile(profiles)
        runs = [proxy.validate(table, protocols=["in_sample", "kfold"], seed=seed).protocols for seed in range(seeds)]
        mean = pd.concat(runs).groupby("protocol")["mape"].mean()
        yield {"data": data, "in-sample": 100 * mean["in_sample"], "row-wise": 100 * mean["kfold"]}


def families() -> Iterator[dict[str, Any]]:
    """Error of `auto` fitted on one family of profiles and tested on the other, in %."""
    for data, profiles in FAMILIES.items():
        table = load_profile(profiles)
        predictions = proxy.validate(table, protocols=["cross_dataset"]).predictions
        for name in profiles:
            part = predictions[(table["dataset"] == name).to_numpy()[predictions["row"]]]
            yield {
                "data": data,
                "tested on": name,
                "fitted on": next(other for other in profiles if other != name),
                "mape": 100 * float(np.mean(np.abs(part["predicted"] / part["measured"] - 1))),
                "spearman": error_metrics(part["measured"], part["predicted"])["spearman"],
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    for title, rows in (
        ("Unseen shapes", unseen_shapes(seeds)),
        ("Known shapes", known_shapes(seeds)),
        ("Across families", families()),
    ):
        print(f"\n{title}\n", flush=True)
        for number, row in enumerate(rows):
            cells = [
                value if isinstance(value, str) else f"{value:.{3 if value <= 1 else 2}f}" for value in row.values()
            ]
            if number == 0:
                print("| " + " | ".join(row) + " |\n|" + "---|" * len(row))
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
