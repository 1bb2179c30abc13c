"""Packing and the arena planner: contracts over random inputs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mico_runner.codegen.packing import pack_rows, row_words, unpack_rows
from mico_runner.codegen.planner import ALIGNMENT, Request, arena_bytes, lower_bound, plan


@st.composite
def weight_rows(draw):
    bits, rows, taps = draw(st.integers(1, 8)), draw(st.integers(1, 4)), draw(st.integers(1, 70))
    low, high = (0, 1) if bits == 1 else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    values = draw(st.lists(st.integers(low, high), min_size=rows * taps, max_size=rows * taps))
    weights = np.array(values, np.int8).reshape(rows, taps)
    return (2 * weights - 1 if bits == 1 else weights), bits


@given(weight_rows())
def test_unpacking_inverts_packing(case):
    weights, bits = case
    words = pack_rows(weights, bits)
    assert words.dtype == np.uint32 and words.shape == (len(weights), row_words(weights.shape[1], bits))
    np.testing.assert_array_equal(unpack_rows(words, weights.shape[1], bits), weights)


@given(weight_rows())
def test_packing_is_little_endian_and_padding_is_zero(case):
    """Read independently: one big integer per row, least significant code first."""
    weights, bits = case
    for row, words in zip(weights, pack_rows(weights, bits), strict=True):
        number = sum(int(word) << (32 * i) for i, word in enumerate(words))
        for value in row:
            assert number & ((1 << bits) - 1) == (int(value > 0) if bits == 1 else int(value) % (1 << bits))
            number >>= bits
        assert number == 0


requests = st.lists(st.tuples(st.integers(1, 300), st.integers(0, 12), st.integers(0, 6)), max_size=25).map(
    lambda rows: [Request(f"b{i}", size, first, first + length) for i, (size, first, length) in enumerate(rows)]
)


@given(requests)
def test_buffers_that_live_together_do_not_overlap(rows):
    memory = plan(rows)
    assert [(p.tensor, p.bytes, p.first_node, p.last_node) for p in memory] == [tuple(r) for r in rows]
    for i, a in enumerate(memory):
        assert a.offset % ALIGNMENT == 0 and 0 <= a.offset <= arena_bytes(memory) - a.bytes
        for b in memory[:i]:
            together = a.first_node <= b.last_node and b.first_node <= a.last_node
            assert not together or a.offset + a.bytes <= b.offset or b.offset + b.bytes <= a.offset
    assert lower_bound(rows) <= arena_bytes(memory) <= sum(r.bytes + ALIGNMENT for r in rows)


@given(st.lists(st.integers(1, 500), min_size=1, max_size=12))
def test_a_chain_of_layers_reaches_the_lower_bound(sizes):
    """Each tensor lives from the call that makes it to the next one."""
    rows = [Request(f"t{i}", size, i, i + 1) for i, size in enumerate(sizes)]
    assert arena_bytes(plan(rows)) == lower_bound(rows)


@pytest.mark.parametrize("size", [1, 5])
def test_reuse_of_a_dead_buffer(size):
    rows = [Request("a", 8, 0, 1), Request("b", 4, 1, 2), Request("c", size, 2, 3)]
    assert arena_bytes(plan(rows)) == 12
