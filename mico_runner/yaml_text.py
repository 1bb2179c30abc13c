"""Data as YAML that `yaml_source` reads back unchanged, and so does a reader of YAML 1.1."""

from __future__ import annotations

import re
from typing import Any

import yaml

from mico_runner.yaml_source import TAG, Resolver


def dump(data: Any) -> str:
    """Data as YAML that `yaml_source.parse` reads back unchanged: keys in their order, short lists on one line."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=None, allow_unicode=True, width=120)


class _Dumper(yaml.SafeDumper):
    """Writes what both our reader and those of YAML 1.1 read back: text that either takes for something else is quoted."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_ESCAPED = re.compile("[\\t\\n\\r\\x85\u2028\u2029\ufeff]")  # only double quotes keep these as they are


def _represent_text(dumper: _Dumper, text: str) -> yaml.Node:
    ours = Resolver().resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]  # so in the stubs
    style = '"' if _ESCAPED.search(text) else None if ours == TAG + "str" else "'"
    return dumper.represent_scalar(TAG + "str", text, style=style)


_Dumper.add_representer(str, _represent_text)
