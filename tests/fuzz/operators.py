"""Operators of the registry on random instances: whatever is registered is tried, by its own `samples` and the conformance suite."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from mico_runner.ops import OPERATORS
from mico_runner.testing.operators import check_operator
from tests.fuzz.cases import WEIGHTS

PAIRS = 4  # of bits, each round


def fuzz_operators(
    rounds: int, seed: int, folder: Path, boards: tuple[str, ...] = (), only: str = ""
) -> tuple[Counter, list[str]]:
    """Rounds by operator, each with instances and bits of its own, and a line for each that fails."""
    done: Counter = Counter()
    failures: list[str] = []
    for name in OPERATORS.names():
        for number in range(rounds if only in name else 0):
            rng = np.random.default_rng([seed, number, sum(name.encode())])
            bits = [(float(rng.choice(WEIGHTS)), int(rng.integers(1, 9))) for _ in range(PAIRS)]
            try:
                check_operator(name, folder / f"{name}{number}", int(rng.integers(1 << 31)), boards, bits)
            except AssertionError as error:
                failures.append(f"{error}, seed {seed}, round {number}")
            done[name] += 1
    return done, failures
