"""Waiting for what other processes do."""

import time

PATIENCE_S = 60.0


def wait_for(condition):
    """The first true value of `condition()`."""
    started = time.monotonic()
    while not (found := condition()):
        assert time.monotonic() - started < PATIENCE_S, "waited in vain"
        time.sleep(0.02)
    return found
