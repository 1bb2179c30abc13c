"""Attention of decoders to fewer keys."""

from __future__ import annotations

from mico_runner.spec.rules import Rules, items, number, section

PLACES = 64  # from the mean of a round's scores to the greatest


def filter_() -> dict[str, Rules]:
    units = {
        "filter": number("of the unit that filters, products per cycle", "integer", min=1, max=10**6, default=64),
        "attend": number("of the unit that attends to what is left", "integer", min=1, max=10**6, default=16),
    }
    return {
        "bits": items(
            "of queries and keys in a round",
            {"type": "integer", "min": 2, "max": 8},
            minlength=1,
            distinct=True,
            default=[4, 5, 6],
        ),
        "places": items(
            "of a round's threshold, in 64ths from the mean of the scores to the greatest, below 0 to the least",
            {"type": "integer", "min": -PLACES, "max": PLACES},
            minlength=1,
            distinct=True,
            default=[0, 8, 16, 20, 24],
        ),
        "rounds": number("at most; a later one has more bits", "integer", min=1, max=3, default=1),
        "rise": number("of the loss on the validation part at most, in %", min=0, max=1000, default=0.5),
        "samples": number("of the validation part that it is chosen with", "integer", min=1, max=10**6, default=4),
        "units": section("of an accelerator, in a pipeline", units, default={}),
    }
