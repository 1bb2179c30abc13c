"""The search space: for each weighted layer, the pairs of weight and activation bits that it may take."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mico_runner.errors import StepError, UnknownName
from mico_runner.quant.qgraph import Assignment, LayerBits
from mico_runner.sections import Pin

ENUMERABLE = 200_000  # configurations that are kept in memory at once without thought


@dataclass(frozen=True)
class Space:
    """A product of choices per layer.

    A configuration is an integer array (layers,) of indices into `choices`; a population is (P, layers), int64.

    Attributes:
        layers: names in network order.
        choices: every pair of bits that occurs, ascending by weight bits, then activation bits.
        allowed: for each layer the ascending indices into `choices` that it may take; one index pins it.
    """

    layers: tuple[str, ...]
    choices: tuple[LayerBits, ...]
    allowed: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, bits: Mapping[str, Iterable[tuple[float, int]]]) -> Space:
        """From the list of (weight bits, activation bits) of each layer. Raises StepError for an empty list."""
        lists = {layer: {LayerBits(*pair) for pair in pairs} for layer, pairs in bits.items()}
        if not lists or not all(lists.values()):
            empty = [layer for layer, pairs in lists.items() if not pairs]
            raise StepError(f"search space: no bit-widths to choose from for {', '.join(empty) or 'any layer'}")
        choices = tuple(sorted(set().union(*lists.values())))
        at = {pair: i for i, pair in enumerate(choices)}
        return cls(tuple(lists), choices, tuple(tuple(sorted(at[p] for p in pairs)) for pairs in lists.values()))

    @classmethod
    def grid(
        cls,
        layers: Sequence[str],
        weight_bits: Sequence[float],
        activation_bits: Sequence[int],
        pinned: Mapping[str, Pin] | None = None,
    ) -> Space:
        """All pairs for every layer, but for those whose weight bits, activation bits or both are `pinned`.

        Raises UnknownName for a pinned layer that the network does not have.
        """
        pinned = pinned or {}
        for layer in pinned:
            if layer not in layers:
                raise UnknownName("layer in search.space.pinned", layer, layers)
        bits = {}
        for layer in layers:
            pin = pinned.get(layer, Pin())
            weights = weight_bits if pin.weight_bits is None else [pin.weight_bits]
            activations = activation_bits if pin.activation_bits is None else [pin.activation_bits]
            bits[layer] = [(w, a) for w in weights for a in activations]
        return cls.of(bits)

    @property
    def size(self) -> int:
        """Number of configurations, exact."""
        return math.prod(self.counts)

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of allowed choices of each layer."""
        return tuple(len(a) for a in self.allowed)

    @cached_property
    def mask(self) -> np.ndarray:
        """(layers, choices) bool: what is allowed."""
        mask = np.zeros((len(self.layers), len(self.choices)), dtype=bool)
        for layer, indices in enumerate(self.allowed):
            mask[layer, list(indices)] = True
        return mask

    @cached_property
    def base(self) -> np.ndarray:
        """(layers,) the configuration with the most bits in every layer."""
        bits = [w + a for w, a in self.choices]
        return np.array([max(indices, key=lambda i: (bits[i], i)) for indices in self.allowed])

    def contains(self, configs: np.ndarray) -> np.ndarray:
        """(P,) bool: whether every layer takes an allowed choice."""
        inside = (configs >= 0) & (configs < len(self.choices))
        allowed = inside & self.mask[np.arange(len(self.layers)), np.where(inside, configs, 0)]
        whole: np.ndarray = allowed.all(axis=1)
        return whole

    def at(self, ranks: np.ndarray) -> np.ndarray:
        """(P, layers) the configurations numbered `ranks`, each in 0 .. size - 1."""
        return self.pick(np.stack(np.unravel_index(ranks, self.counts), axis=1))

    def enumerate(self, limit: int = ENUMERABLE) -> np.ndarray:
        """(size, layers) every configuration once. Raises StepError above `limit`."""
        if self.size > limit:
            raise StepError(
                f"the search space has {self.size:,} configurations: too many to enumerate (at most {limit:,})"
            )
        return self.at(np.arange(self.size))

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """(count, layers) uniform draws, with replacement."""
        return self.pick(rng.integers(0, self.counts, size=(count, len(self.layers))))

    def pick(self, positions: np.ndarray) -> np.ndarray:
        """Configurations from positions in each layer's own list; both (P, layers)."""
        table = np.zeros((len(self.layers), max(self.counts)), dtype=np.int64)
        for layer, indices in enumerate(self.allowed):
            table[layer, : len(indices)] = indices
        configs: np.ndarray = table[np.arange(len(self.layers)), positions]
        return configs

    def encode(self, assignment: Assignment) -> np.ndarray:
        """(layers,) indices. Raises StepError for a layer that is missing or bits that the space does not have."""
        if set(assignment) != set(self.layers):
            raise StepError(f"assignment of {', '.join(assignment)} to a space of {', '.join(self.layers)}")
        at = {pair: i for i, pair in enumerate(self.choices)}
        config = np.array([at.get(LayerBits(*assignment[layer]), -1) for layer in self.layers])
        if not self.contains(config[None])[0]:
            raise StepError(f"not in the search space: {describe(assignment)}")
        return config

    def decode(self, config: np.ndarray) -> Assignment:
        """{layer: LayerBits} of one configuration."""
        return {layer: self.choices[int(i)] for layer, i in zip(self.layers, config, strict=True)}


def describe(assignment: Assignment) -> str:
    """`conv1 W2A8, fc1 W4A8`, or `W2A8 in all 5 layers`."""
    if len(assignment) > 1 and len(set(assignment.values())) == 1:
        return f"{_bits(next(iter(assignment.values())))} in all {len(assignment)} layers"
    return ", ".join(f"{layer} {_bits(bits)}" for layer, bits in assignment.items())


def _bits(bits: LayerBits) -> str:
    return f"W{bits[0]:g}A{bits[1]:g}"
