"""Numbers to the digits that mean something: the last ones, which another BLAS kernel or processor gives otherwise, decide nothing."""

from __future__ import annotations

import numpy as np

DIGITS = 7  # of a cost: no latency is known to a ten-millionth, and sums of such numbers are still exact
LOSS_DIGITS = 8  # of a measured loss
SLACK = 1e-9  # share of a limit by which it counts as kept: sums of decimal numbers miss their own value by less
_WHOLE_UP_TO = 1e9  # whole numbers up to here are kept as they are: bytes, cycles
_NEARLY_WHOLE = 1e-11  # and are known as such when they miss one by less than this share of themselves
_DECADE_FROM = 3.57  # where one decade of quanta gives way to the next: not at a power of ten, which tables often hold


def significant(values: np.ndarray, digits: int) -> np.ndarray:
    """The values to so many significant digits; what is zero or not finite stays."""
    values = np.asarray(values, dtype=np.float64)
    known = np.isfinite(values) & (values != 0)
    exponent = np.floor(np.log10(np.abs(np.where(known, values, 1.0)))) - (digits - 1)
    return np.where(
        known, _times_power(np.rint(_times_power(np.where(known, values, 0.0), -exponent)), exponent), values
    )


def quantum(values: np.ndarray) -> float:
    """The step of which values of one kind are whole multiples: 1 for whole numbers, else `DIGITS` digits below the largest."""
    known = np.abs(values[np.isfinite(values)])
    largest = known.max(initial=0.0)
    if largest <= _WHOLE_UP_TO and np.all(np.abs(known - np.rint(known)) <= _NEARLY_WHOLE * known):
        return 1.0
    return float(_times_power(np.array(1.0), np.floor(np.log10(largest / _DECADE_FROM)) - (DIGITS - 1)))


def quanta(values: np.ndarray, step: float) -> np.ndarray:
    """The values in quanta, float64 whole numbers; what is not finite stays."""
    known = np.isfinite(values)
    return np.where(known, np.rint(np.where(known, values, 0.0) / step), values)


def _times_power(values: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """values * 10^exponent: by the positive power, which is exact up to 22."""
    power: np.ndarray = 10.0 ** np.abs(exponent)
    product: np.ndarray = np.where(exponent >= 0, values * power, values / power)
    return product
