"""From a source to a data set: read, checked by the task, and parted into train, validation and test."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mico_runner import tasks
from mico_runner.data import LOADERS
from mico_runner.data.checks import checked, part_checked
from mico_runner.data.dataset import DataSet, Split
from mico_runner.data.source import Parting, Source
from mico_runner.errors import UsageError
from mico_runner.tasks.base import Task

VALIDATION = 5000  # samples held out by default, where that is no more than
QUARTER = 4
TEST_SEED = 0  # the test part is the same whatever the seed of a spec


def load(source: Source, validation: int | None = None, seed: int = 0, scale: float = 1.0) -> DataSet:
    """Read a source and hold `validation` samples (default: 5,000 or a quarter, whichever is less) out of its training part.

    The held-out samples are drawn at random with `seed`, the same number from each of the task's strata (classes) as far as that
    divides, or whole groups of the source's `group_by`.
    Raises UnknownName, or UsageError when the files are missing, damaged, hold what the task does not take, or nothing is left to
    train on.
    """
    name = source.name
    task = tasks.create(source.kind, source.options)
    train, test = LOADERS.get(source.loader)(source.files(), **source.params)
    if task.AMOUNTS and train.named:
        raise UsageError(f"{name}: its targets are names of classes; allowed: numbers, for the kind {source.kind}")
    in_order = source.path is not None or test is None  # by class, by folder: catalogued parts come in no order
    train, test = _parted(name, task, train, test, source.parting)
    train, test = checked(name, task, train, test)
    count = min(VALIDATION, len(train) // QUARTER) if validation is None else validation
    if not 0 < count < len(train):
        raise UsageError(f"datasets.validation: {count} images of {name!r} asked for; allowed: 1 to {len(train) - 1}")
    draw = np.random.default_rng(seed)
    held = _held_out(name, train, task.strata(train.targets), count, source.parting.group_by, draw)
    if scale != 1 and train.inputs.dtype != np.uint8:
        raise UsageError(f"datasets.scale: found {scale:g}; allowed: 1, because {name!r} holds no pixels")
    validation_part, train = train.take(held), train.take(~held & task.learns_from(train.targets))
    if in_order:
        train, test = _mixed(task, train), _mixed(task, test)
    return DataSet(
        name=name,
        task=task,
        train=replace(train, scale=scale),
        validation=replace(validation_part, scale=scale),
        test=replace(test, scale=scale),
    )


def _parted(name: str, task: Task, train: Split, test: Split | None, parting: Parting) -> tuple[Split, Split]:
    """Train and test: what is asked to be held out, else the data's own test part, else samples drawn at random."""
    if parting.hold_out:
        held = np.ones(len(train), bool)
        for fact, values in parting.hold_out.items():
            found = _fact(name, train, fact, "datasets.task.split.hold_out").astype(str)
            for value in values:
                if value not in found:
                    known = ", ".join(sorted(set(found))[:20])
                    raise UsageError(
                        f"datasets.task.split.hold_out.{fact}: no sample has {value!r}; there are: {known}"
                    )
            held &= np.isin(found, values)
        if not held.any() or held.all():
            raise UsageError(
                f"datasets.task.split.hold_out: {held.sum()} of {len(train)} samples of {name!r} are held out; allowed: some, not all"
            )
        return train.take(~held), train.take(held)
    if parting.fold:
        number, folds = parting.fold
        if folds > len(train):
            raise UsageError(
                f"crossvalidate.folds: {folds} of {len(train)} samples of {name!r}; allowed: at most as many"
            )
        place = spread(_strata(name, task, train), np.random.default_rng(TEST_SEED))
        held = place % folds == number
        return train.take(~held), train.take(held)
    if test is not None and parting.draw is None:
        return train, test
    count = max(1, round(parting.test * len(train))) if test is None else len(test)
    train = train if test is None else train.joined(test)
    rng = np.random.default_rng(TEST_SEED if parting.draw is None else (TEST_SEED, parting.draw))
    held = _held_out(name, train, _strata(name, task, train), count, parting.group_by, rng)
    return train.take(~held), train.take(held)


def _mixed(task: Task, split: Split) -> Split:
    """The samples in a random order in which any first ones are of all strata: calibration, and runs of a few samples, take those."""
    return split.take(np.argsort(spread(task.strata(split.targets), np.random.default_rng(TEST_SEED))))


def _fact(name: str, split: Split, fact: str, key: str) -> np.ndarray:
    if fact not in split.about:
        known = ", ".join(split.about) or "none"
        raise UsageError(f"{key}: samples of {name!r} have no {fact!r}; what is known of each: {known}")
    return split.about[fact]


def _strata(name: str, task: Task, split: Split) -> np.ndarray:
    """Of samples that are parted before they are checked as parts. Raises UsageError: they are none of the task."""
    return task.strata(part_checked(name, task, split, training=True).targets)


def _held_out(
    name: str, split: Split, strata: np.ndarray, count: int, group_by: str | None, rng: np.random.Generator
) -> np.ndarray:
    """Boolean mask (N,) of `count` samples, or of whole groups that have so many together, or the fewest more."""
    if group_by is None:
        return stratified(strata, count, rng)
    groups = _fact(name, split, group_by, "datasets.task.split.group_by").astype(str)
    names = np.unique(groups)
    held = np.zeros(len(split), bool)
    for group in names[rng.permutation(len(names))]:
        if held.sum() >= count:
            break
        held |= groups == group
    if held.all():
        raise UsageError(
            f"datasets.task.split.group_by: holding {count} samples out takes all {len(names)} groups of {group_by!r}; "
            "hold out fewer"
        )
    return held


def stratified(labels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Boolean mask (N,) of `count` samples, spread evenly over the classes."""
    return spread(labels, rng) < count


def spread(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """int64 (N,) each sample's place in a random order where the k-th of each class comes before the (k+1)-th of any."""
    order = rng.permutation(len(labels))
    rank = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        rank[members] = np.arange(len(members))
    place = np.empty(len(labels), dtype=np.int64)
    place[order[np.argsort(rank[order], kind="stable")]] = np.arange(len(labels))
    return place


def groups(source: Source, fact: str) -> list[str]:
    """The values of a fact of the samples of a source, sorted. Raises as `load` does."""
    train, _ = LOADERS.get(source.loader)(source.files(), **source.params)
    return sorted(set(_fact(source.name, train, fact, "crossvalidate.group_by").astype(str)))
