"""Where programs run: the host, cores on RTL, boards on QEMU. One file per target, an entry is a `Target`."""

from __future__ import annotations

from collections.abc import Iterable

from mico_runner.registry import Registry

TARGETS = Registry("target", __name__)
register = TARGETS.register


def boards(target: str) -> dict[str, str]:
    """Cores that a target runs -> folder of codegen/boards that the programs are linked for; none on the host, which links for itself.

    It imports nothing, so that specs are checked with it. Raises UnknownName.
    """
    found: dict[str, str] = TARGETS.info(target).meta.get("boards", {})
    return found


def unit(target: str) -> str | None:
    """Of the latencies of a target with boards, which stands for devices of this unit; as light as `boards`. Raises UnknownName."""
    found: str | None = TARGETS.info(target).meta.get("unit")
    return found


def linked(names: Iterable[str]) -> list[str]:
    """Those of the names that are targets with boards, whose programs are linked for these; what counts cycles comes first."""
    found = [name for name in names if name in TARGETS and boards(name)]
    return sorted(found, key=lambda name: unit(name) != "cycles")
