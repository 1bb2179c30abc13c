"""How well the designs of a kernel are predicted that was left out, from a few labels of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mico_runner.data.hls_designs import Designs
from mico_runner.dse import choosing, features, predictor
from mico_runner.dse.predictor import Kernel, Pooled

TRIED = 10  # designs that are synthesised after the labels, those that are predicted best


@dataclass(frozen=True)
class Prepared:
    """A kernel with its features: `own`, `shared` of its valid designs with `cycles` (log2); `all_own`, `valid` of all designs."""

    name: str
    own: np.ndarray
    shared: np.ndarray
    cycles: np.ndarray
    iterations: float
    all_own: np.ndarray
    valid: np.ndarray


def prepare(designs: Designs) -> Prepared:
    """Features of a kernel's designs."""
    table, valid = features.of_designs(designs), designs.valid
    cycles = np.log2(designs.cycles[valid])
    shared, at = table.shared[valid], features.iterations(designs)
    return Prepared(designs.kernel, table.own[valid], shared, cycles, at, table.own, valid)


@dataclass(frozen=True)
class LeaveOut:
    """One kernel left out, for a seed: what other processes compute. Called with its name, gives a row for each budget and predictor."""

    kernels: Mapping[str, Prepared]
    budgets: tuple[int, ...]
    predictors: tuple[str, ...]

    def __call__(self, task: tuple[str, int]) -> list[dict[str, float | str]]:
        name, seed = task
        kernel = self.kernels[name]
        order = np.random.default_rng(seed).permutation(len(kernel.cycles))
        prior = None
        if "pooled" in self.predictors:
            others = [Kernel(k.shared, k.cycles, k.iterations) for k in self.kernels.values() if k.name != name]
            prior = Pooled().fit(others, seed).predict(kernel.shared, kernel.iterations)
        rows: list[dict[str, float | str]] = []
        for which in self.predictors:
            for budget in self.budgets:
                if budget == 0 and which != "pooled":
                    continue
                labelled = order[:budget]
                if which == "chosen":
                    labelled = choosing.choose(kernel.own, budget, kernel.cycles.__getitem__, seed)
                known = kernel.cycles[labelled]
                found = predictor.few(kernel.own, prior if which == "pooled" else None, labelled, known, seed)
                rows.append(
                    {
                        "kernel": name,
                        "seed": seed,
                        "labels": budget,
                        "predictor": which,
                        **judge(kernel.cycles, labelled, found),
                    }
                )
        return rows


def judge(cycles: np.ndarray, labelled: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """Errors on the designs without label, and the best of the labels and of those that are tried then.

    `rmse` of log2 of cycles, `spearman`, `best` (its cycles beside the best of all), `exact` (1: it is the best).
    """
    from scipy.stats import spearmanr

    rest = np.setdiff1d(np.arange(len(cycles)), labelled)
    tried = np.concatenate([labelled, rest[np.argsort(found[rest], kind="stable")[:TRIED]]])
    best = cycles[tried].min() - cycles.min()
    constant = np.ptp(found[rest]) == 0 or np.ptp(cycles[rest]) == 0
    return {
        "rmse": float(np.sqrt(np.mean((found[rest] - cycles[rest]) ** 2))),
        "spearman": 0.0 if constant else float(spearmanr(found[rest], cycles[rest])[0]),
        "best": float(2.0**best),
        "exact": float(best == 0),
    }


@dataclass(frozen=True)
class Validity:
    """how well it is known which designs of a kernel are valid, from labels of any design: the area under the curve (AUC)."""

    kernels: Mapping[str, Prepared]
    budget: int

    def __call__(self, task: tuple[str, int]) -> float | None:
        """None where the rest is all valid, or not at all."""
        from sklearn.metrics import roc_auc_score

        name, seed = task
        kernel = self.kernels[name]
        order = np.random.default_rng(seed).permutation(len(kernel.valid))
        labelled, rest = order[: self.budget], order[self.budget :]
        if kernel.valid[rest].all() or not kernel.valid[rest].any():
            return None
        found = predictor.validity(kernel.all_own, labelled, kernel.valid[labelled], seed)
        return float(roc_auc_score(kernel.valid[rest], found[rest]))
