"""What bound the choice of a search: how much of each limit it uses, what a layer's fewer bits would save, what more would give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mico_runner.quant.qgraph import LayerBits
from mico_runner.search.problem import Constraint, Problem


@dataclass(frozen=True)
class Change:
    """Other bits of one layer of the choice.

    Attributes:
        share: by which the metric grows, of its value; negative: what is saved.
        points: of quality that it gives under the additive model; negative: what it costs.
    """

    layer: str
    bits: LayerBits
    share: float
    points: float


@dataclass(frozen=True)
class Binding:
    """A limit on a sum over the layers, and the two changes of one layer that say most about it.

    Attributes:
        used: the choice's value as a share of the limit.
        saves: the change that saves most of the metric for a point of quality; None: nothing saves.
        kept_out: of the changes that the limit rules out, the one that would give most quality; None: none would give any.
    """

    metric: str
    used: float
    saves: Change | None
    kept_out: Change | None

    @property
    def changes(self) -> Iterator[tuple[str, Change]]:
        """Those that there are, each with its name."""
        for name, change in (("saves", self.saves), ("kept out", self.kept_out)):
            if change is not None:
                yield name, change

    def text(self, unit: str) -> str:
        """In a sentence; `unit` of differences of quality."""
        said = f"{self.metric}: {100 * self.used:.3g} % of its limit is used"
        if (c := self.saves) is not None:
            what = f"cost {-c.points:.2g}" if c.points < 0 else f"give {c.points:.2g}"
            said += f"; {_named(c)} would save {-100 * c.share:.2g} % and {what} {unit}".rstrip()
        if (c := self.kept_out) is not None:
            said += f"; {_named(c)}, beyond it, would take {100 * c.share:.2g} % more and give {c.points:.2g} {unit}".rstrip()
        return said


def bindings(problem: Problem, chosen: np.ndarray, points: np.ndarray) -> list[Binding]:
    """One for every upper limit on a sum over the layers, the most used first.

    Args:
        chosen: (layers,) the choice.
        points: (layers, choices) quality that each choice of a layer adds, up to a constant per layer; more is better.
    """
    limits = [c for c in problem.additive if np.isfinite(c.max) and c.max > 0]
    return sorted((_binding(problem, c, chosen, points) for c in limits), key=lambda found: -found.used)


def _binding(problem: Problem, limit: Constraint, chosen: np.ndarray, points: np.ndarray) -> Binding:
    space, table, rows = problem.space, problem.costs[limit.metric].table, np.arange(len(chosen))
    value = float(problem.cost(limit.metric, chosen[None])[0])
    more = (table - table[rows, chosen][:, None]) / max(value, 1e-300)
    gain = points - points[rows, chosen][:, None]
    beyond = limit.violation((value * (1 + np.where(space.mask, more, 0.0))).ravel()).reshape(more.shape) > 0
    # A change that saves and costs nothing is worth any that costs: their order is by what they save.
    per_point = np.where(gain < 0, -more / np.where(gain < 0, -gain, 1.0), np.inf)
    saving = space.mask & (more < 0)
    order = np.lexsort((more.ravel(), -per_point.ravel(), ~saving.ravel()))
    ruled_out = np.where(space.mask & beyond & (gain > 0), gain, -np.inf)

    def change(at: int) -> Change:
        layer, choice = divmod(int(at), more.shape[1])
        bits = space.choices[choice]
        return Change(space.layers[layer], bits, float(more[layer, choice]), float(gain[layer, choice]))

    saves = change(order[0]) if saving.any() else None
    kept_out = change(int(ruled_out.argmax())) if np.isfinite(ruled_out).any() else None
    return Binding(limit.metric, value / limit.max, saves, kept_out)


def _named(change: Change) -> str:
    return f"{change.layer} at {change.bits.weight:g}x{change.bits.activation}"
