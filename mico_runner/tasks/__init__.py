"""What a network is for: how it is trained, what its quality is, what its data must be. One file each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mico_runner.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mico_runner.tasks.base import Task

TASKS = Registry("task", __name__)
register = TASKS.register
DEFAULT = "classification"


def create(kind: str = DEFAULT, params: Mapping[str, object] | None = None) -> Task:
    """A task of a registered kind. Raises UnknownName."""
    task: Task = TASKS.get(kind)(**(params or {}))
    return task
