"""Synthetic search problems that behave like quantised networks."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from mico_runner.search.problem import Budget, Constraint, Cost, Metrics, Objective, Problem
from mico_runner.search.space import Space

IMAGES = 5000  # of the imitated validation split: what accuracy is discrete in


@dataclass(frozen=True)
class Made:
    """How `network` makes its problem.

    Attributes:
        limit: of the latency, relative to the base's.
        interaction: how strongly the noises of two layers interact.
        noise: whether accuracy has the share of IMAGES that a configuration's own luck decides.
    """

    layers: int = 5
    weight_bits: tuple[float, ...] = (2, 4, 8)
    activation_bits: tuple[int, ...] = (8,)
    seed: int = 0
    limit: float = 0.5
    budget: int = 40
    interaction: float = 0.3
    with_loss: bool = True
    noise: bool = True
    objectives: tuple[str, ...] = ("quality", "latency")
    accuracy_drop: float | None = None


def network(**options: Any) -> Problem:
    """A network whose quantisation noise has a power per layer that falls by roughly 4^-bits, for weights and activations.

    Noises of two layers interact; loss saturates as a network's does; accuracy falls with loss, and is discrete. Latency is near
    macs * bits with an overhead.

    Args:
        options: fields of `Made`; the others are the problem's.
    """
    made = Made(**{field.name: options.pop(field.name) for field in fields(Made) if field.name in options})
    rng = np.random.default_rng(made.seed)
    space = Space.grid([f"layer{i}" for i in range(made.layers)], made.weight_bits, made.activation_bits)
    bits = np.array(space.choices, dtype=float)
    power = np.zeros(space.mask.shape)
    for axis, share in ((0, 1.0), (1, 0.5)):
        sensitivity = share * rng.lognormal(0.0, 1.2, (made.layers, 1)) * 5 / made.layers
        law = 4.0 ** -bits[:, axis] - 4.0 ** -bits[:, axis].max()
        power += sensitivity * law**0.8 * rng.lognormal(0.0, 0.4, power.shape)
    couple = np.triu(
        rng.normal(0.0, made.interaction / made.layers**0.5, (made.layers, made.layers)), 1
    )  # too weak to cancel the noise
    macs = rng.lognormal(10.0, 1.0, (made.layers, 1))
    latency = macs * (bits.prod(axis=1) / 64 + 0.02 * bits.max(axis=1) + 0.05)
    flash = rng.lognormal(8.0, 1.0, (made.layers, 1)) * bits[:, 0] / 8
    rows = np.arange(made.layers)

    def evaluate(configs: np.ndarray) -> Metrics:
        amplitude = np.sqrt(power[rows, configs])
        total = (amplitude**2).sum(axis=1) + 2 * np.einsum("pi,ij,pj->p", amplitude, couple, amplitude)
        excess = 2.2 * (1 - np.exp(-np.maximum(total, 0.0) / 2.2))
        share = 0.99 - 0.89 * (1 - np.exp(-excess)) / (1 - np.exp(-2.2))
        if made.noise:
            luck = np.array([np.random.default_rng([made.seed, *c]).normal() for c in configs.tolist()])
            share = share + luck * 0.3 * np.sqrt(share * (1 - share) / IMAGES)
        measured = {"quality": 100 * np.round(share * IMAGES) / IMAGES if made.noise else 100 * share}
        return measured | ({"loss": 0.04 + excess} if made.with_loss else {})

    whole = latency[rows, space.base].sum()
    constraints = [Constraint("latency", max=made.limit * whole, reference=whole, relative_to="int8")]
    if made.accuracy_drop is not None:
        top = float(evaluate(space.base[None])["quality"][0])
        constraints.append(Constraint("quality", min=top - made.accuracy_drop, reference=top, relative_to="float"))
    return Problem(
        space,
        evaluate,
        [Objective(name) for name in made.objectives],
        {"latency": Cost(latency, unit="cycles"), "flash_bytes": Cost(flash, 100.0, "bytes")},
        constraints=constraints,
        budget=Budget(made.budget),
        curvature=lambda: guessed(power, couple, made.seed),
        **options,
    )


def guessed(power: np.ndarray, couple: np.ndarray, seed: int) -> np.ndarray:
    """`Problem.curvature` as calibration data would give it: each layer's amplitude of noise is off by a factor of its own.

    Args:
        power: (layers, choices) of the noise.
        couple: (layers, layers) correlations of the layers' noises, upper triangle.
    """
    layers, choices = power.shape
    amplitude = np.sqrt(power) * np.random.default_rng([seed, 1]).lognormal(0.0, 0.3, (layers, 1))
    related = np.eye(layers) + couple + couple.T
    flat = amplitude.ravel()
    product: np.ndarray = np.outer(flat, flat) * np.kron(related, np.ones((choices, choices)))
    return product


def additive(
    space: Space,
    rng: np.random.Generator,
    budget: int,
    constraints: int = 1,
    objectives: tuple[str, ...] = ("quality", "latency"),
) -> Problem:
    """Whole-number losses and costs that are exactly additive, random in every choice: no law to be guessed, no near ties."""
    rows = np.arange(len(space.layers))
    loss = rng.integers(0, 1000, space.mask.shape).astype(float)
    tables = {name: rng.integers(1, 100, space.mask.shape).astype(float) for name in ("latency", "flash_bytes")}
    inside = space.sample(1, rng)[0]
    limits = [Constraint(n, max=float(t[rows, inside].sum())) for n, t in list(tables.items())[:constraints]]
    return Problem(
        space,
        lambda configs: {
            "quality": 100 - loss[rows, configs].sum(axis=1) / 100,
            "loss": loss[rows, configs].sum(axis=1),
        },
        [Objective(name) for name in objectives],
        {name: Cost(table) for name, table in tables.items()},
        constraints=limits,
        budget=Budget(budget),
        curvature=lambda: np.diag(loss.ravel()),
    )
