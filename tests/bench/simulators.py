"""The BitFusion simulator on as many layers as the published zoo has."""

from __future__ import annotations

from mico_runner import data
from mico_runner.hardware import load
from mico_runner.simulate import bitfusion
from tests.bench.timing import medians

ZOO_ROWS = 2_744
PROMISED_SECONDS = 20


def bench() -> list[list[object]]:
    profile = data.load_profile(["bitfusion/conv2d", "bitfusion/linear"])
    table = profile.sample(ZOO_ROWS, random_state=0).reset_index(drop=True)
    (seconds,) = medians([lambda: bitfusion.cycles(table, load("bitfusion"))], repeats=2)
    label = f"BitFusion, {ZOO_ROWS:,} layers"
    return [[label, seconds, "s", "promised for the published zoo", PROMISED_SECONDS, seconds / PROMISED_SECONDS]]
