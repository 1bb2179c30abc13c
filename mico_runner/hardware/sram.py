"""Energy of an access to a memory on the chip, by its size.

M. Horowitz, "Computing's energy problem", ISSCC 2014: 64 bits of a cache of 8 KiB take 10 pJ, of 32 KiB 20 pJ, of 1 MiB 100 pJ, in 45 nm
at 0.9 V. Between these and beyond them energy is a power of the size, with the exponent of the nearest two (0.5, 0.46). A profile's own
figure is taken for its own size: only the ratio is the model's.
"""

from __future__ import annotations

from math import log

_KIB = 8 * 1024
POINTS = ((8 * _KIB, 10.0), (32 * _KIB, 20.0), (1024 * _KIB, 100.0))  # bits, pJ


def relative_energy(bits: float, own: float) -> float:
    """Energy of an access to a memory of so many bits, as a multiple of that of one of `own` bits."""
    return access_pj(bits) / access_pj(own)


def access_pj(bits: float) -> float:
    """pJ of 64 bits of a memory of so many bits."""
    (first, low), (middle, mid), (last, high) = POINTS
    (size, energy), (further, more) = ((first, low), (middle, mid)) if bits <= middle else ((middle, mid), (last, high))
    exponent = log(more / energy) / log(further / size)
    found: float = energy * (bits / size) ** exponent
    return found
