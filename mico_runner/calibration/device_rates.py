"""How fast devices are at operators of many sizes by their curves: what shows where the curves of two sources part."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from mico_runner.calibration import cases
from mico_runner.calibration.device_curves import DeviceCurves


def table(devices: Iterable[DeviceCurves]) -> pd.DataFrame:
    """FLOP/s of every computing operator at the sizes of the micro-benchmarks, batch 1.

    Returns:
        device, precision, provenance, op, flops, flops_per_s, standing (as the estimators' `standing`); a row per size.
    """
    operators = pd.DataFrame([case.counts() for case in cases.Plan(cases.COMPUTING).cases()])
    flops = 2 * operators["macs"].to_numpy(float)
    found = []
    for of in devices:
        rows = {"op": operators["op"], "flops": flops, "flops_per_s": flops / of.model.predict(operators)}
        about = {"device": of.device, "precision": of.precision, "provenance": of.provenance}
        found.append(pd.DataFrame(rows).assign(**about, standing=of.model.standing(operators)))
    columns = ["device", "precision", "provenance", "op", "flops", "flops_per_s", "standing"]
    return pd.concat(found, ignore_index=True)[columns]
