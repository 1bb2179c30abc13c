"""All that is wrong with a spec."""

from __future__ import annotations

from mico_runner.yaml_schema import SchemaErrors


class SpecErrors(SchemaErrors):
    """All problems of a spec at once, a line each: `file:line:column: key.path: found ...; allowed: ...`."""
