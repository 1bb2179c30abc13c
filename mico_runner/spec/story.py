"""`simulate.story` of a spec: its tokenizer, and what it does not go with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mico_runner.data import catalog

if TYPE_CHECKING:
    from mico_runner.spec.complete import Draft


def check_story(draft: Draft) -> None:
    """Add what is wrong with the section to the draft's problems, and make the tokenizer's path absolute."""
    simulate, at = draft.data["simulate"], ("simulate", "story")
    if simulate is None or simulate["story"] is None:
        return
    if "host" not in (target := simulate["target"]):
        draft.fail(at, f"found with simulate.target {target}; allowed: host, on which the text is made", of_key=True)
    wanted = simulate["story"]["tokenizer"]
    if wanted in catalog.names("tokenizer"):
        return
    if file := draft.existing((*at, "tokenizer"), wanted):
        simulate["story"]["tokenizer"] = str(file.resolve())
