"""The schedule of least memory: a shortest path over the places between operations, whose length is the largest form on it.

An edge is a form of the stage between two places. Without products computed twice the path is Dijkstra's with the maximum for the sum,
every edge weighed by its lower bound first and exactly only when nothing smaller is open: what it ends with is proved least of all ways to
cut the operations, in their order, into stages. With a limit of such products the labels of a place are the pairs (memory, products) that
no other label beats in both, so that the least memory within the limit is proved likewise.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mico_runner.codegen.schedule.forms import PARTS, Costs, Form
from mico_runner.codegen.schedule.network import Network
from mico_runner.codegen.schedule.rows import Rows, stage

KINDS = ("whole", "rows", "strips", "patches")


@dataclass(frozen=True)
class Schedule:
    """How a network runs.

    Attributes:
        ram: bytes of the arena, by the largest form: no buffer can be placed in less, and the planner's placement is compared with it.
        macs: multiply-accumulates, relative to those of the network.
    """

    forms: tuple[Form, ...]
    ram: int
    macs: float


class Planner:
    """Finds schedules of one network; what it has weighed once it keeps for further limits."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.costs = Costs(network)
        self._stages: dict[tuple[int, int], Rows | None] = {}
        self._rows: dict[tuple[int, int], Form | None] = {}
        self._repeating: dict[int, list[Form]] = {}  # by the place where they begin

    def stage(self, start: int, stop: int) -> Rows | None:
        """Operations start .. stop - 1 as a stage; None where they cannot be one."""
        if (start, stop) not in self._stages:
            self._stages[start, stop] = stage(self.network, start, stop, self.costs.last_reads)
        return self._stages[start, stop]

    def in_strips(self, start: int, stop: int) -> Rows | None:
        """The same, built for strips of columns."""
        return stage(self.network, start, stop, self.costs.last_reads, strips=True)

    def whole(self) -> Schedule:
        """Layer by layer."""
        return self._schedule([self.costs.whole(i) for i in range(len(self.network.operations))])

    def least(self, max_macs: float = 1.0, kinds: Sequence[str] = KINDS) -> Schedule:
        """The schedule of least memory whose products are at most `max_macs` times the network's; of those the one that does most as whole.

        Args:
            kinds: of forms that it may use; "whole" is always one.
        """
        least = self._bottleneck("rows" in kinds)
        allowed = int((max_macs - 1) * self.network.macs)
        if allowed > 0 and {"strips", "patches"} & set(kinds):
            if not self._repeating:
                self._weigh_parts(least.ram)
            least = self._within(allowed, least, kinds)
        return self._simplest(least.ram, allowed, kinds)

    def _bottleneck(self, with_rows: bool) -> Schedule:
        """Least memory without products computed twice."""
        count = len(self.network.operations)
        came: dict[int, tuple[int, Form]] = {}
        done: set[int] = set()
        order = 0  # of entries, which decides between equal ones
        # memory, place, order, where the edge begins, where it ends, its form: None while it is only bounded
        entries: list[tuple[int, int, int, int, int, Form | None]] = [(0, 0, order, -1, -1, None)]
        while entries:
            ram, place, _, origin, stop, form = heapq.heappop(entries)
            if stop >= 0 and form is None:  # bounded so far: weigh it
                if stop in done or not (found := self._row_form(origin, stop)):
                    continue
                order += 1
                heapq.heappush(entries, (max(ram, found.ram), stop, order, origin, stop, found))
                continue
            if place in done:
                continue
            done.add(place)
            if form is not None:
                came[place] = (origin, form)
            if place == count:
                break
            for edge in self._edges(place, with_rows):
                order += 1
                if isinstance(edge, Form):
                    heapq.heappush(entries, (max(ram, edge.ram), edge.stop, order, place, edge.stop, edge))
                else:
                    heapq.heappush(entries, (max(ram, self.costs.bound(place, edge)), place, order, place, edge, None))
        forms = []
        place = count
        while place:
            place, form = came[place]
            forms.append(form)
        return self._schedule(forms[::-1])

    def _edges(self, place: int, with_rows: bool) -> Iterator[Form | int]:
        """The whole operation, and one past the last operation of each stage that begins here."""
        yield self.costs.whole(place)
        if with_rows:
            yield from self._stops(place)

    def _stops(self, place: int) -> Iterator[int]:
        for stop in range(place + 1, len(self.network.operations) + 1):
            if self.network.operations[stop - 1].reach is None:
                break
            yield stop

    def _row_form(self, start: int, stop: int) -> Form | None:
        if (start, stop) not in self._rows:
            found = self.stage(start, stop)
            self._rows[start, stop] = self.costs.rows(found) if found else None
        return self._rows[start, stop]

    def _forms(self, place: int, limit: int, kinds: Sequence[str]) -> Iterator[Form]:
        """Forms that begin at a place and take no more memory than the limit."""
        found: list[Form | None] = [self.costs.whole(place)]
        for stop in self._stops(place):
            if self.costs.bound(place, stop) > limit or not self.stage(place, stop):
                continue
            if "rows" in kinds:
                found.append(self._row_form(place, stop))
        found += [form for form in self._repeating.get(place, []) if form.kind in kinds]
        yield from (form for form in found if form and form.ram <= limit)

    def _weigh_parts(self, limit: int) -> None:
        """All stages in strips and patches that take less memory than the limit."""
        for stop in range(1, len(self.network.operations) + 1):
            begins = [place for place in range(stop) if stop in self._stops(place)]
            fitting = [place for place in begins if self.costs.bound(place, stop, in_place=False) < limit]
            found = [rows for place in reversed(fitting) if (rows := self.stage(place, stop))]
            forms = [form for parts in PARTS if found for form in self.costs.patches(found, parts)]
            for rows in found:
                if strips := self.in_strips(rows.start, stop):
                    forms += [form for parts in PARTS if (form := self.costs.strips(strips, parts))]
            for form in forms:
                if form.ram < limit:
                    self._repeating.setdefault(form.start, []).append(form)

    def _within(self, allowed: int, known: Schedule, kinds: Sequence[str]) -> Schedule:
        """Least memory with at most so many products computed twice; `known` is a schedule without any."""
        count = len(self.network.operations)
        labels: list[list[tuple[int, int, tuple[Form, ...]]]] = [[] for _ in range(count + 1)]
        labels[0] = [(0, 0, ())]
        for place in range(count):
            edges = list(self._forms(place, known.ram - 1, kinds)) if labels[place] else []
            for ram, extra, forms in labels[place]:
                for edge in edges:
                    label = (max(ram, edge.ram), extra + edge.extra, (*forms, edge))
                    if label[1] <= allowed:
                        _keep(labels[edge.stop], label)
        best = min(labels[count], default=None, key=lambda label: label[:2])
        return self._schedule(best[2]) if best else known

    def _simplest(self, limit: int, allowed: int, kinds: Sequence[str]) -> Schedule:
        """Within the limits the schedule that does fewest products otherwise than as whole layers, then has fewest stages."""
        count = len(self.network.operations)
        labels: list[list[tuple[int, int, tuple[Form, ...]]]] = [[] for _ in range(count + 1)]
        labels[0] = [(0, 0, ())]
        used = kinds if allowed > 0 else [kind for kind in kinds if kind == "rows"]
        for place in range(count):
            edges = list(self._forms(place, limit, used)) if labels[place] else []
            for cost, extra, forms in labels[place]:
                for edge in edges:
                    operations = self.network.operations[edge.start : edge.stop]
                    own = 0 if edge.kind == "whole" else sum(o.macs for o in operations) + 1
                    label = (cost + own, extra + edge.extra, (*forms, edge))
                    if label[1] <= allowed:
                        _keep(labels[edge.stop], label)
        return self._schedule(min(labels[count], key=lambda label: label[:2])[2])

    def _schedule(self, forms: Sequence[Form]) -> Schedule:
        again = sum(form.extra for form in forms)
        macs = 1 + again / self.network.macs if again else 1.0
        return Schedule(tuple(forms), max((form.ram for form in forms), default=0), macs)


def _keep(labels: list[tuple[int, int, tuple[Form, ...]]], label: tuple[int, int, tuple[Form, ...]]) -> None:
    """Add a label unless another is as good in both; drop those that it beats."""
    if any(known[0] <= label[0] and known[1] <= label[1] for known in labels):
        return
    labels[:] = [known for known in labels if not (label[0] <= known[0] and label[1] <= known[1])]
    labels.append(label)
