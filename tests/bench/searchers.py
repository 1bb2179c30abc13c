"""Every search algorithm on networks of which every answer is known: `make search-bench`.

    python tests/bench/searchers.py --budgets 8 32 128 --seeds 10

The tables in `datasets/search` hold the quality of all networks of a space, so that an evaluation is a look-up and regret is exact: by
how many points the choice is worse than the best within the limit. Printed: mean regret with its 90 % interval (bootstrap over seeds and
limits), evaluations until the search first has what random draws have at the end, CPU time; then whether `auto` is worse than any other
one (Wilcoxon signed rank over seeds, one-sided, Holm at 10 % over all rows and opponents).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from mico_runner.search import ALGORITHMS, enumerate_all, run
from mico_runner.search.problem import QUALITY
from mico_runner.testing.recorded import SUMS, recorded

OPPONENTS = ("mico", "haq", "bayes", "nlp", "regression")
NETWORKS = ("lenet", "resnet8")
SHARE = 0.3  # of the way from the least cost to that of the most bits
LEVEL = 0.1


def runs(networks: list[str], algorithms: list[str], budgets: list[int], seeds: int) -> Iterator[dict[str, object]]:
    for network in networks:
        for metric in SUMS:
            truth = enumerate_all(recorded(network, metric, SHARE, 1))
            best = truth.metrics[QUALITY][truth.chosen]
            for budget in budgets:
                problem = recorded(network, metric, SHARE, budget)
                for algorithm in algorithms:
                    for seed in range(seeds):
                        start = time.process_time()
                        found = run(problem, algorithm, seed=seed)
                        spent = time.process_time() - start
                        reached = np.maximum.accumulate(np.where(found.feasible, found.metrics[QUALITY], -np.inf))
                        yield {
                            "network": network,
                            "limit": metric,
                            "budget": budget,
                            "algorithm": algorithm,
                            "seed": seed,
                            "regret": best - reached[-1],
                            "reached": reached,
                            "seconds": spent,
                        }


def interval(values: np.ndarray) -> tuple[float, float]:
    """90 % of the mean, by bootstrap."""
    rng = np.random.default_rng(0)
    means = values[rng.integers(len(values), size=(2000, len(values)))].mean(axis=1)
    return float(np.quantile(means, 0.05)), float(np.quantile(means, 0.95))


def summary(table: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for (network, budget), part in table.groupby(["network", "budget"], sort=False):
        random = part[part["algorithm"] == "random"].set_index(["limit", "seed"])["reached"]
        for algorithm, mine in part.groupby("algorithm", sort=False):
            regret = mine["regret"].to_numpy(float)
            low, high = interval(regret)
            needed = [
                int(np.argmax(reached >= random[limit, seed][-1])) + 1
                for limit, seed, reached in zip(mine["limit"], mine["seed"], mine["reached"], strict=True)
                if reached[-1] >= random[limit, seed][-1]
            ]
            rows.append(
                {
                    "network": network,
                    "budget": budget,
                    "algorithm": algorithm,
                    "regret": regret.mean(),
                    "from": low,
                    "to": high,
                    "worst": regret.max(),
                    "evaluations to random's": np.median(needed) if needed else np.nan,
                    "CPU s": mine["seconds"].mean(),
                }
            )
    return pd.DataFrame(rows)


def worse(table: pd.DataFrame) -> list[str]:
    """Rows on which `auto` is significantly worse than another one."""
    tests = []
    for (network, limit, budget), part in table.groupby(["network", "limit", "budget"], sort=False):
        by = part.pivot(index="seed", columns="algorithm", values="regret")
        for other in (name for name in OPPONENTS if name in by):
            gap = (by["auto"] - by[other]).to_numpy(float)
            p = stats.wilcoxon(gap, alternative="greater").pvalue if np.any(gap != 0) else 1.0
            tests.append((float(p), f"{network}, {limit}, {budget} evaluations, {other}: {gap.mean():.2f} points"))
    tests.sort()
    lost = []
    for i, (p, text) in enumerate(tests):
        if p > LEVEL / (len(tests) - i):
            break
        lost.append(f"{text}, p = {p:.2g}")
    return lost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--algorithms", nargs="+", default=ALGORITHMS.names(), choices=ALGORITHMS.names())
    parser.add_argument("--budgets", nargs="+", type=int, default=[8, 32, 128])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--csv", type=Path, help="a row per search")
    args = parser.parse_args()
    algorithms = list(dict.fromkeys(["auto", "random", *args.algorithms]))
    table = pd.DataFrame(runs(args.networks, algorithms, args.budgets, args.seeds))
    if args.csv:
        table.drop(columns="reached").to_csv(args.csv, index=False)
    print(summary(table).to_markdown(index=False, floatfmt=".2f"))
    lost = worse(table)
    print(f"\nauto is worse (Holm, {LEVEL:.0%}): {'; '.join(lost) or 'nowhere'}")


if __name__ == "__main__":
    main()
