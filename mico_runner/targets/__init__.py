"""Where programs run: the host, cores on RTL, boards on QEMU. One file per target, an entry is a `Target`."""

from __future__ import annotations

from mico_runner.registry import Registry

TARGETS = Registry("target", __name__)
register = TARGETS.register


def boards(target: str) -> dict[str, str]:
    """Cores that a target runs -> folder of codegen/boards that the programs are linked for; none on the host, which links for itself.

    It imports nothing, so that specs are checked with it. Raises UnknownName.
    """
    found: dict[str, str] = TARGETS.info(target).meta.get("boards", {})
    return found
