"""Windows that overlap: what a memory loads is what a walk over the tiles loads, turn by turn."""

from itertools import product
from math import prod

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mico_runner.accelerators.machine import Loop, Operand
from mico_runner.accelerators.traffic import _elements, _extents

STRIDES = st.integers(1, 3)
BOUNDS = st.lists(st.integers(1, 2), min_size=12, max_size=12)
ORDER = st.permutations(["K", "C", "P", "Q", "R", "S"])


def operand(p, q):
    return Operand("I", ({"C": 1}, {"P": p, "R": 1}, {"Q": q, "S": 1}))


def walked(loops, at, inputs):
    """Words loaded: a tile that moves as it did before brings what is new, another one comes whole."""
    extents = [int(np.max(e)) for e in _extents(loops[at:], inputs)]
    shifts = [
        [
            axis.get(x.dimension, 0) * prod(int(y.bound[0]) for y in loops[i + 1 :] if y.dimension == x.dimension)
            for axis in inputs.axes
        ]
        for i, x in enumerate(loops[:at])
    ]
    words, place, last = 0, None, None
    for turn in product(*(range(int(x.bound[0])) for x in loops[:at])):
        here = np.array([sum(n * shift[a] for n, shift in zip(turn, shifts, strict=True)) for a in range(len(extents))])
        move = None if place is None else tuple(here - place)
        if move is None or (last is not None and move != last):
            words, last = words + prod(extents), None
        else:
            kept = prod(max(0, e - abs(m)) for e, m in zip(extents, move, strict=True))
            words, last = words + prod(extents) - kept, move
        place = here
    return words


@settings(max_examples=60, deadline=None)
@given(BOUNDS, ORDER, ORDER, STRIDES, STRIDES)
def test_loads_are_those_of_a_walk(bounds, outer, inner, p, q):
    loops = [Loop(d, np.array([n])) for d, n in zip([*outer, *inner], bounds, strict=True)]
    assert _elements(loops, 6, operand(p, q), np.ones(1, int))[0] == walked(loops, 6, operand(p, q))


def test_a_row_that_slides_over_a_second_pass_is_loaded_again():
    """Q, then filters, then S over a tile of two rows: after the filters the window is back, and comes whole."""
    loops = [Loop("Q", np.array([2])), Loop("K", np.array([2])), Loop("S", np.array([2])), Loop("Q", np.array([2]))]
    # 2 rows and 1 new for S; the same again for the second filter; Q moves on by two rows, of which S has done one: 1 new, as S moved
    # it, and 1 for S; the second filter comes back and takes 2 and 1.
    assert _elements(loops, 3, operand(1, 1), np.ones(1, int))[0] == walked(loops, 3, operand(1, 1)) == 3 + 3 + 2 + 3


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=12, max_size=12), ORDER, ORDER, STRIDES, STRIDES)
def test_loads_lie_between_everything_once_and_every_tile_whole(bounds, outer, inner, p, q):
    loops = [Loop(d, np.array([n])) for d, n in zip([*outer, *inner], bounds, strict=True)]
    inputs = operand(p, q)
    loaded = _elements(loops, 6, inputs, np.ones(1, int))[0]
    tile = int(np.max(prod(_extents(loops[6:], inputs))))
    assert tile <= loaded <= tile * prod(int(x.bound[0]) for x in loops[:6])
