"""Which steps a spec runs, in which order, and whether each has what it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mico_runner.steps import STEPS

if TYPE_CHECKING:
    from mico_runner.spec.complete import Draft
    from mico_runner.yaml_source import Keys


def order_steps(draft: Draft) -> None:
    """Fill in or sort `steps`; a step without its section, or without a step that it reads from, is a problem."""
    data = draft.data
    listed = data["steps"]
    implied = [name for name, entry in STEPS.entries.items() if _has_section(draft, entry.meta.get("section"))]
    steps = implied if listed is None else listed
    if not steps:
        known = ", ".join(sorted({e.meta["section"] for e in STEPS.entries.values() if e.meta.get("section")}))
        draft.fail(("steps",), f"no section that implies a step; allowed: at least one of {known}")
    for i, name in enumerate(steps):
        meta = STEPS.info(name).meta
        section: str | None = meta.get("section")
        path: Keys = ("steps", i) if listed is not None or section is None else tuple(section.split("."))
        if not _has_section(draft, section):
            draft.fail(path, f"step {name!r} needs the section {section!r}, which is absent")
        for needed in meta.get("needs", []):
            if needed in steps:
                continue
            wanted = STEPS.info(needed).meta.get("section") if needed in STEPS.entries else needed
            how = "add it to steps" if _has_section(draft, wanted) else f"add the section {wanted!r}"
            draft.fail(path, f"step {name!r} needs step {needed!r}, which does not take part; {how}", of_key=True)
    data["steps"] = sorted(steps, key=lambda name: STEPS.info(name).meta["order"])


def _has_section(draft: Draft, section: str | None) -> bool:
    """Whether the spec has a section, or a part of one ("model.exits")."""
    found: Any = draft.data
    for key in section.split(".") if section is not None else ():
        found = (found or {}).get(key)
    return section is not None and found is not None
