"""What the steps of calibration share: the networks that a spec names, and the curves of devices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mico_runner.calibration.cases import OWN_NETWORK
from mico_runner.sections import CurvesOf
from mico_runner.steps.base import StepContext

if TYPE_CHECKING:
    from mico_runner.calibration.device_curves import DeviceCurves
    from mico_runner.calibration.whole_networks import Example


def example_of(ctx: StepContext, name: str) -> Example:
    """A network and one input of it: a well-known one by name, or the spec's own with initial weights, which decide no latency."""
    import torch

    from mico_runner.calibration.whole_networks import example
    from mico_runner.steps.network import build_model, load_data

    if name != OWN_NETWORK:
        return example(name)
    samples = load_data(ctx.spec)
    return build_model(ctx.spec, samples).eval(), (torch.from_numpy(samples.test.first(1).inputs).float(),)


def chosen_curves(devices: Iterable[CurvesOf]) -> list[DeviceCurves]:
    """The curves of each device at the precision asked for, or at all."""
    from mico_runner.calibration import device_curves

    found = []
    for each in devices:
        known = device_curves.load(each.curves)
        found += list(known.values()) if each.precision is None else [known[each.precision]]
    return found
