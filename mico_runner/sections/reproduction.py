"""A model beside other people's runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reproduce:
    """Attributes: runs: which table; params: of its reproduction."""

    runs: str
    params: Mapping[str, Any]
