"""Tokens of a text, one after another in an .npy file: windows of them, each to be followed by the next token."""

from __future__ import annotations

from pathlib import Path
from tokenize import TokenError  # numpy's, of some damaged headers

import numpy as np

from mico_runner.data import register
from mico_runner.data.dataset import Split
from mico_runner.data.files import opened
from mico_runner.errors import UsageError

MAX_TOKENS = 1 << 28


@register("tokens")
def load(files: list[Path], length: int) -> tuple[Split, None]:
    """int64 windows (N, length) that do not overlap, and the token after each place (N, length); what is left at the end is not used.

    Raises UsageError: no .npy file of one axis of whole numbers from 0, or fewer than two windows.
    """
    (path,) = files
    with opened(path) as handle:
        try:
            version = np.lib.format.read_magic(handle)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, kind = read(handle)
            if len(shape) != 1 or kind.hasobject or not np.issubdtype(kind, np.unsignedinteger):
                raise UsageError(f"{path}: found {kind} {shape}; allowed: unsigned whole numbers, one after another")
            if not 2 * length < shape[0] <= MAX_TOKENS:
                raise UsageError(f"{path}: found {shape[0]:,} tokens; allowed: {2 * length + 1:,} to {MAX_TOKENS:,}")
            raw = handle.read(shape[0] * kind.itemsize)
        except (ValueError, EOFError, KeyError, TypeError, SyntaxError, TokenError) as error:
            raise UsageError(f"{path}: not a whole .npy file ({str(error)[:200]})") from None
    if len(raw) < shape[0] * kind.itemsize:
        raise UsageError(f"{path}: the file is cut short: {len(raw):,} of {shape[0] * kind.itemsize:,} bytes")
    tokens = np.frombuffer(raw, kind)
    if tokens.max() > np.iinfo(np.int32).max:
        raise UsageError(f"{path}: found the token {tokens.max():,}; allowed: up to {np.iinfo(np.int32).max:,}")
    count = (len(tokens) - 1) // length
    whole = tokens[: count * length + 1].astype(np.int64)
    return Split(whole[:-1].reshape(count, length), whole[1:].reshape(count, length)), None
