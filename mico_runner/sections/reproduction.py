"""A model beside other people's runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mico_runner.records import dataclass


@dataclass(frozen=True)
class Reproduce:
    """Attributes: runs: which table; params: of its reproduction."""

    runs: str
    params: Mapping[str, Any]
