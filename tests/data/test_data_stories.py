"""Stories as windows of tokens: the last ones are left to the test part, whose tokens come from a file of their own."""

import numpy as np
import pytest

from mico_runner.data import stories, tokenizer
from mico_runner.errors import UsageError


@pytest.fixture
def files(tmp_path):
    """110 stories, the second not ASCII; a tokenizer of bytes; tokens 0 .. 40."""
    pieces = [b"<unk>", b"\n<s>\n", b"\n</s>\n", *(f"<0x{i:02X}>".encode() for i in range(256)), b" "]
    tokenizer.write(tokenizer.Tokenizer(tuple(pieces), np.zeros(len(pieces), np.float32)), tmp_path / "tok.bin")
    texts = ["ab", "é", *(f"{i}" for i in range(2, 110))]
    (tmp_path / "text.txt").write_text("<|endoftext|>\n".join(texts), encoding="utf-8")
    np.save(tmp_path / "held.npy", np.arange(41, dtype=np.uint16))
    return [tmp_path / name for name in ("text.txt", "tok.bin", "held.npy")]


def test_windows_begin_where_the_last_ended_and_are_followed_by_the_next_token(files):
    train, test = stories.load(files, 4, 3, 2)
    row = [1, 259, 3 + ord("a"), 3 + ord("b"), 1, 259, 3 + ord("2"), 1, 259, 3 + ord("3")]
    np.testing.assert_array_equal(train.inputs, np.reshape(row[:8], (2, 4)))
    np.testing.assert_array_equal(train.targets, np.reshape(row[1:9], (2, 4)))
    np.testing.assert_array_equal(test.inputs, np.arange(8).reshape(2, 4))


@pytest.mark.parametrize(("count", "windows", "message"), [(9, 2, "found 8 stories"), (3, 11, "found 10 windows of 4")])
def test_too_few_stories_or_windows_are_said(files, count, windows, message):
    with pytest.raises(UsageError, match=message):
        stories.load(files, 4, count, windows)
