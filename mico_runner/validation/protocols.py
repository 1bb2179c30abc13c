"""Validation protocols: which rows an estimator is fitted on and which it is tested on.

The headline of a latency predictor is `group_kfold` by shape: no shape is in both halves, as a network that was not profiled has
shapes that were not. `in_sample` is the training error and says nothing about such a network.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mico_runner.errors import UsageError
from mico_runner.kernel_table import SHAPE
from mico_runner.validation import PROTOCOLS, register

FEW = 10  # groups per group to learn from, in `few_shapes`

Splits = list[tuple[np.ndarray, np.ndarray]]


def splits(
    protocol: str, table: pd.DataFrame, *, folds: int = 5, group_by: str | Sequence[str] = "shape", seed: int = 0
) -> Splits:
    """Row positions (train, test) of each fold.

    Args:
        protocol: a name of `PROTOCOLS`.
        table: any table; `group_by` and the leave-one-out protocols read its columns.
        folds: number of folds; at most as many as there are rows or groups are made.
        group_by: "shape" (kind and all shape columns, bits left out), or column name(s).

    Raises:
        UnknownName, or UsageError when a column is missing or there are fewer than two rows or groups to split.
    """
    found: Splits = PROTOCOLS.get(protocol)(table, folds, group_by, np.random.default_rng(seed))
    return found


def group_ids(table: pd.DataFrame, group_by: str | Sequence[str] = "shape") -> np.ndarray:
    """Group number of each row, int64 (rows,), numbered in the order of first appearance."""
    columns = ["kind", *SHAPE] if group_by == "shape" else [group_by] if isinstance(group_by, str) else list(group_by)
    missing = [c for c in columns if c not in table]
    if missing:
        raise UsageError(
            f"validation: no column {missing[0]!r} to group by; columns: {', '.join(map(str, table.columns))}"
        )
    return table.groupby(columns, sort=False).ngroup().to_numpy()


@register("in_sample")
def in_sample(table: pd.DataFrame, folds: int, group_by: str | Sequence[str], rng: np.random.Generator) -> Splits:
    """Fitted and tested on the same rows: the training error, to be printed only next to another one."""
    rows = np.arange(len(table))
    return [(rows, rows)]


@register("kfold")
def kfold(table: pd.DataFrame, folds: int, group_by: str | Sequence[str], rng: np.random.Generator) -> Splits:
    """Rows dealt at random: the shape of a test row was seen with other bits."""
    return _by_group(np.arange(len(table)), folds, rng, "kfold", "rows")


@register("group_kfold")
def group_kfold(table: pd.DataFrame, folds: int, group_by: str | Sequence[str], rng: np.random.Generator) -> Splits:
    """Groups dealt at random: no group (by default: shape) is in both halves."""
    return _by_group(group_ids(table, group_by), folds, rng, "group_kfold", _groups(group_by))


@register("few_shapes")
def few_shapes(table: pd.DataFrame, folds: int, group_by: str | Sequence[str], rng: np.random.Generator) -> Splits:
    """Fitted on a tenth of the groups in turn, tested on all others: what few measurements of a new device are worth."""
    parts = _by_group(group_ids(table, group_by), FEW, rng, "few_shapes", _groups(group_by))
    return [(test, train) for train, test in parts]


@register("leave_one_network_out")
def leave_one_network_out(
    table: pd.DataFrame, folds: int, group_by: str | Sequence[str], rng: np.random.Generator
) -> Splits:
    """Tested on each network in turn (column `network`)."""
    return _leave_one_out(table, "network")


@register("cross_dataset")
def cross_dataset(table: pd.DataFrame, folds: int, group_by: str | Sequence[str], rng: np.random.Generator) -> Splits:
    """Tested on each data set in turn (column `dataset`), fitted on the others."""
    return _leave_one_out(table, "dataset")


@register("cross_hardware")
def cross_hardware(table: pd.DataFrame, folds: int, group_by: str | Sequence[str], rng: np.random.Generator) -> Splits:
    """Tested on each device in turn (column `device`), fitted on the others."""
    return _leave_one_out(table, "device")


def _groups(group_by: str | Sequence[str]) -> str:
    named = group_by if isinstance(group_by, str) else list(group_by)
    return "shapes" if named == "shape" else f"groups by {named}"


def _by_group(groups: np.ndarray, folds: int, rng: np.random.Generator, protocol: str, what: str) -> Splits:
    ids = np.unique(groups)
    if folds < 2:
        raise UsageError(f"validation: found {folds} folds; at least 2 are needed")
    if len(ids) < 2:
        raise UsageError(
            f"validation {protocol!r} leaves some {what} out and learns from the others: at least 2 {what} are needed, "
            f"found {len(ids)}; profile more, or leave {protocol!r} out of proxy.validation.protocols"
        )
    parts = np.array_split(rng.permutation(ids), min(folds, len(ids)))
    tests = [np.isin(groups, part) for part in parts]
    return [(np.flatnonzero(~test), np.flatnonzero(test)) for test in tests]


def _leave_one_out(table: pd.DataFrame, column: str) -> Splits:
    groups = group_ids(table, column)
    if len(np.unique(groups)) < 2:
        raise UsageError(f"validation: column {column!r} has one value only; leaving it out leaves nothing")
    return [(np.flatnonzero(groups != g), np.flatnonzero(groups == g)) for g in np.unique(groups)]
