"""Stories in a text file as windows of tokens, each to be followed by the next token."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mico_runner.data import register, tokenizer, tokens
from mico_runner.data.dataset import Split
from mico_runner.data.files import read_text
from mico_runner.errors import UsageError

END = "<|endoftext|>"
APART = 101  # last stories of ASCII: the test part's, and one that the end of the file cuts


@register("stories")
def load(files: list[Path], length: int, stories: int, windows: int) -> tuple[Split, Split]:
    """int64 windows (N, length) of the first stories of ASCII, token 1 before each; the test part are the first windows of the last file.

    Args:
        files: text with <|endoftext|> between stories, a tokenizer of llama2.c, tokens (.npy) of stories that are not trained on.
        stories, windows: how many are used.

    Raises UsageError: one of the files is none of these, or has fewer.
    """
    text, vocabulary, held_out = files
    words = tokenizer.read(vocabulary)
    found = [story.strip() for story in read_text(text).split(END)]
    found = [story for story in found if story and story.isascii()][:-APART]
    if len(found) < stories:
        raise UsageError(
            f"{text}: found {len(found)} stories of ASCII beside the last {APART}; allowed: {stories} or more"
        )
    row = np.array([token for story in found[:stories] for token in words.encode(story)], np.int64)
    count = (len(row) - 1) // length
    whole = row[: count * length + 1]
    test, _ = tokens.load([held_out], length)
    if len(test) < windows:
        raise UsageError(f"{held_out}: found {len(test)} windows of {length} tokens; allowed: {windows} or more")
    return Split(whole[:-1].reshape(count, length), whole[1:].reshape(count, length)), test.first(windows)
