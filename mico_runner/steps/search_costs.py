"""What a search weighs beside quality: costs that add up over the layers, memory as the program has it, the limits of the spec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mico_runner.sections import SearchConstraints

if TYPE_CHECKING:
    import numpy as np

    from mico_runner.codegen.deployment import Deployment, Needs
    from mico_runner.graph.ir import Graph
    from mico_runner.hardware import Hardware
    from mico_runner.quant import PTQ
    from mico_runner.quant.qgraph import Assignment
    from mico_runner.search import Constraint, Cost, Space
    from mico_runner.steps.base import StepContext
    from mico_runner.steps.network_latency import Latency
    from mico_runner.tasks.base import Measure

AT_RISK = "latency_at_risk"  # the latency that is kept with the probability `risk` of the constraint


def flash_of_all(deployment: Deployment, ptq: PTQ, network: Graph, int8: Assignment) -> int:
    """Bytes in every program, whatever its bits: code, at least so much of it; without a board the tables of nodes without weights."""
    from mico_runner.graph import costs

    deployed = ptq.quantize(int8)
    if deployment.board:
        return deployment.least_code(deployed)
    return deployment.needs(deployed).flash - costs.model_bytes(network, int8)


def costs_of(
    network: Graph,
    device: Hardware,
    space: Space,
    latency: Latency | None,
    at_risk: Latency | None = None,
    code: int = 0,
) -> dict[str, Cost]:
    """Tables over layers and choices of every cost that adds up over the layers; `code`: flash of what is in every program."""
    import numpy as np

    from mico_runner.graph import costs
    from mico_runner.search import Cost
    from mico_runner.steps.network import simulated

    nodes = network.weighted
    flash = np.array([[costs.node_bytes(node, bits.weight) for bits in space.choices] for node in nodes], dtype=float)
    macs = np.array([costs.macs(network, node) for node in nodes], dtype=float)
    bops = macs[:, None] * np.array([bits.weight * bits.activation for bits in space.choices], dtype=float)
    tables = {"flash_bytes": Cost(flash, code, "bytes"), "bops": Cost(bops, unit="bit operations")}
    for name, predictor in (("latency", latency), (AT_RISK, at_risk)):
        if predictor:
            tables[name] = Cost(predictor.table(list(space.choices)), predictor.fixed, predictor.unit)
    if device.simulated:
        tables["energy"] = Cost(simulated(network, device, list(space.choices))["energy_pj"], unit="pJ")
    return tables


def limits_to_keep(
    section: SearchConstraints, reference: dict[str, float], quality: dict[str, float], measure: Measure
) -> list[Constraint]:
    """The spec's limits as absolute ones."""
    from mico_runner.search import Constraint
    from mico_runner.search.problem import QUALITY
    from mico_runner.steps.inputs import limits_of

    constraints = []
    for name, limit in limits_of(section).items():
        metric = AT_RISK if limit is section.latency and section.latency.risk else name
        if limit.relative_to:
            most = limit.max * reference[name]  # of the expected latency, whatever the risk
            constraints.append(Constraint(metric, max=most, reference=reference[name], relative_to=limit.relative_to))
        else:
            constraints.append(Constraint(metric, max=limit.max))
    if rule := section.quality:
        base = measure.goodness(quality[rule.relative_to])
        floors = [] if rule.max_drop is None else [base - rule.max_drop]
        floors += [measure.goodness(bound) for bound in (rule.min, rule.max) if bound is not None]
        constraints.append(Constraint(QUALITY, min=max(floors), reference=base, relative_to=rule.relative_to))
    return constraints


@dataclass(frozen=True)
class _Lowered:
    """What the program of an assignment needs."""

    ptq: PTQ
    deployment: Deployment

    def __call__(self, assignment: Assignment) -> Needs:
        return self.deployment.needs(self.ptq.quantize(assignment))


class MemoryNeeds:
    """Flash and RAM of configurations: each is lowered once, as the program that would be generated."""

    def __init__(self, ctx: StepContext, ptq: PTQ, space: Space, deployment: Deployment) -> None:
        self._ctx, self._space, self._lower = ctx, space, _Lowered(ptq, deployment)
        self._known: dict[bytes, Needs] = {}

    def flash(self, population: np.ndarray) -> np.ndarray:
        """(P,) bytes."""
        return self._each(population, "flash")

    def ram(self, population: np.ndarray) -> np.ndarray:
        """(P,) bytes."""
        return self._each(population, "ram")

    def _each(self, population: np.ndarray, what: str) -> np.ndarray:
        import numpy as np

        new = {config.tobytes(): self._space.decode(config) for config in population}
        new = {key: bits for key, bits in new.items() if key not in self._known}
        self._known.update(zip(new, self._ctx.map(self._lower, new.values()), strict=True))
        return np.array([getattr(self._known[config.tobytes()], what) for config in population], dtype=float)
