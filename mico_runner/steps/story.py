"""A story that the C program of a decoder tells, one token at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mico_runner.sections import Sections, Story
from mico_runner.steps.base import Inputs, StepContext

if TYPE_CHECKING:
    from pathlib import Path

    from mico_runner.quant.qgraph import QGraph


def story_inputs(spec: Sections) -> Inputs:
    """The tokenizer by its content; nothing where no story is told."""
    from mico_runner.data import catalog

    if spec.simulate is None or spec.simulate.story is None:
        return {}
    name = spec.simulate.story.tokenizer
    known = name in catalog.names("tokenizer")
    return {"tokenizer": catalog.fingerprint(name) if known else catalog.sha256(_file(name))}


def _file(name: str) -> Path:
    from pathlib import Path

    from mico_runner.data import catalog

    return catalog.fetch(name)[0] if name in catalog.names("tokenizer") else Path(name)


def tell_story(ctx: StepContext, deployed: QGraph, section: Story) -> None:
    """Write story.txt; metrics `simulate.story_*`: tokens, those that the executor does not find likeliest, tokens per second.

    Raises UsageError: the network is no decoder, the tokenizer another one's, or the text too long.
    """
    import numpy as np

    from mico_runner import durable
    from mico_runner.data import tokenizer
    from mico_runner.errors import UsageError
    from mico_runner.quant.executor import Executor
    from mico_runner.targets import story

    (places,) = deployed.tensors[deployed.input].shape
    words = tokenizer.read(_file(section.tokenizer), deployed.tensors[deployed.output].shape[-1])
    given = words.encode(section.prompt) if section.prompt else [tokenizer.BOS]
    if not len(given) < section.tokens <= places:
        raise UsageError(
            f"simulate.story.tokens: found {section.tokens}; allowed: {len(given) + 1}, as the prompt has {len(given)}"
            f" tokens, to {places}, the network's"
        )
    durable.remove(ctx.work / "story")  # of an interrupted run
    told = story.tell(story.build(deployed, ctx.work / "story"), given, section.tokens)
    whole = np.zeros((1, places), np.int64)
    whole[0, : len(told.tokens)] = told.tokens
    likeliest = Executor(deployed).run(whole)[0].argmax(-1)[len(given) - 1 : len(told.tokens) - 1]
    wrong = int((likeliest != told.tokens[len(given) :]).sum())
    text = words.decode(told.tokens).decode("utf-8", "replace")
    (ctx.dir / "story.txt").write_text(text, encoding="utf-8")
    steps = max(len(told.tokens) - 1, 1)
    ctx.metric("simulate.story_tokens", len(told.tokens), "count")
    ctx.metric("simulate.story_mismatches", wrong, "count", "lower")
    ctx.metric("simulate.tokens_per_second", steps / told.seconds, "1/s", "higher", tolerance="10%", volatile=True)
    ctx.log(f"story of {len(told.tokens)} tokens, {steps / told.seconds:,.0f} a second: {text}")
