"""Functions that tests hand to other processes, which find this module by the path of the one that started them."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from mico_runner.errors import StepSkipped, UnknownName


def square(number):
    return number * number


def process(_):
    time.sleep(0.05)
    return os.getpid()


def die(folder_and_times):
    """Killed so many times, then fine."""
    folder, times = folder_and_times
    deaths = len(list(Path(folder).iterdir()))
    if deaths < times:
        Path(folder, str(deaths)).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return deaths


def fail(kind):
    if kind == "name":
        raise UnknownName("model", "lenat", ["lenet"])
    if kind == "skip":
        raise StepSkipped("the tool is missing")
    raise ZeroDivisionError(f"by {kind}")


def environment(name):
    return os.environ.get(name)


def sleep(folder):
    Path(folder, str(os.getpid())).touch()
    time.sleep(60)


@dataclass
class Power:
    """A function with content of its own."""

    exponent: int

    def __call__(self, number):
        return number**self.exponent
