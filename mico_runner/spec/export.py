"""The spec's way out: resolved data as YAML, the schema as JSON Schema."""

from __future__ import annotations

from typing import Any

from mico_runner import yaml_text
from mico_runner.spec.schema import sections

_TYPES = {"dict": "object", "list": "array", "float": "number"}
_SAME = {
    "min": "minimum",
    "max": "maximum",
    "above": "exclusiveMinimum",
    "allowed": "enum",
    "distinct": "uniqueItems",
    "default": "default",
}
_LENGTHS = {
    "string": ("minLength", "maxLength"),
    "list": ("minItems", "maxItems"),
    "dict": ("minProperties", "maxProperties"),
}


def dump(data: dict[str, Any]) -> str:
    """Resolved data as YAML that `load` reads back to the same data."""
    return yaml_text.dump(data)


def schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the spec, for editors; what depends on several keys only `load` checks."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "mico-runner spec"}
    body = _convert({"type": "dict", "schema": sections()})
    # `spec_version` and `name` may come from the spec that is extended
    return {**head, **{k: v for k, v in body.items() if k != "required"}}


def _convert(rules: dict[str, Any]) -> dict[str, Any]:
    """One value's Cerberus rules as JSON Schema."""
    out: dict[str, Any] = {}
    meta = rules.get("meta", {})

    def entry(inner: dict[str, Any]) -> dict[str, Any]:
        return _nullable(_convert(inner)) if meta.get("removable") else _convert(inner)

    if meta.get("help"):
        out["description"] = meta["help"]
    out |= {_SAME[rule]: value for rule, value in rules.items() if rule in _SAME}
    if "anyof" in rules:
        out["anyOf"] = [_convert(option) for option in rules["anyof"]]
    else:
        out["type"] = _TYPES.get(rules["type"], rules["type"])
        for rule, name in zip(("minlength", "maxlength"), _LENGTHS.get(rules["type"], ()), strict=False):
            if rule in rules:
                out[name] = rules[rule]
    if "regex" in rules:
        out["pattern"] = f"^(?:{rules['regex']})$"
    if rules.get("type") == "list" and "schema" in rules:
        out["items"] = _convert(rules["schema"])
    elif schema := rules.get("schema") or meta.get("schema"):
        out["properties"] = {key: entry(value) for key, value in schema.items()}
        out["additionalProperties"] = False
        required = [key for key, value in schema.items() if value.get("required")]
        out |= {"required": required} if required else {}
    elif "valuesrules" in rules:
        out["additionalProperties"] = entry(rules["valuesrules"])
        names = {k: v for k, v in _convert(rules["keysrules"]).items() if k != "type"}
        out["propertyNames"] = names
    return _nullable(out) if rules.get("nullable") or meta.get("removable") else out


def _nullable(out: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {k: out.pop(k) for k in ("description", "default") if k in out}
    return {**kept, "anyOf": [*out.get("anyOf", [out]), {"type": "null"}]}
