"""The report's figures and tables on calibrated latencies: curves with their points, bands and gaps, and the errors on whole networks."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from mico_runner.calibration.curves import Curve
from mico_runner.outputs.report.figures import BLUE, GREEN, INK, MUTED, ORANGE, svg
from mico_runner.outputs.report.tables import table
from mico_runner.outputs.report.version import Version

_COLUMNS = 4
_GAP = 10  # neighbouring sizes further apart than this factor leave a gap in what is known
_BESIDE = {
    "roofline_s": ("roofline through curves", GREEN, "D"),
    "given_s": ("curves of the file", ORANGE, "s"),
    "datasheet_s": ("roofline without curves", MUTED, "x"),
}


def part(version: Version) -> dict[str, Any] | None:
    """What the template shows; None where nothing was calibrated."""
    profile = version.json("calibrate", "profile.json")
    if not profile:
        return None
    return _section(profile, version.csv("calibrate", "networks.csv"), version.csv("calibrate", "comparison.csv"))


def _section(profile: dict[str, Any], networks: pd.DataFrame | None, changes: pd.DataFrame | None) -> dict[str, Any]:
    """Curves of the machine, the networks predicted from them, and what changed since the previous profile."""
    about = {key: profile["environment"][key] for key in ("processor", "cores", "threads", "torch")}
    return {
        "about": ", ".join(f"{key} {value}" for key, value in about.items()),
        "quiet": profile["quiet"],
        "restlessness": profile["restlessness"],
        "given": profile.get("given", {}).get("file"),
        "judged": profile.get("validation", {}),
        "figures": {precision: Markup(curves(profile, precision)) for precision in profile["peaks"]},
        "curves": table(table_of_curves(profile)),
        "errors": Markup(network_errors(networks, "calibrate")) if networks is not None else None,
        "networks": table(networks),
        "changes": table(changes),
    }


def verified(version: Version) -> list[dict[str, Any]]:
    """Per device and precision: errors on networks that were left out, and by operation."""
    networks, operations = version.csv("verify", "networks.csv"), version.csv("verify", "operations.csv")
    if networks is None or operations is None:
        return []
    found = []
    for (device, precision), rows in networks.groupby(["device", "precision"], sort=False):
        its = operations[(operations["device"] == device) & (operations["precision"] == precision)]
        found.append(
            {
                "name": f"{device} {precision}",
                "figure": Markup(network_errors(rows, f"{device}_{precision}")),
                "networks": table(rows.drop(columns=["device", "precision"])),
                "operations": table(its.drop(columns=["device", "precision"])),
            }
        )
    return found


def curves(profile: dict[str, Any], precision: str) -> str:
    """A panel per operation: efficiency over size, measured points, the curve with its 95 % band, gaps shaded, a file's curve dashed."""
    entries = {
        name.partition("/")[0]: entry
        for name, entry in profile["operations"].items()
        if name.endswith(f"/{precision}") and entry["points"]
    }
    given = profile.get("given", {}).get("curves", {})
    rows = -(-len(entries) // _COLUMNS)

    def draw(axes: np.ndarray) -> None:
        flat = np.atleast_1d(axes).ravel()
        for ax, (op, entry) in zip(flat, entries.items(), strict=False):
            _curve(ax, op, entry, given.get(entry.get("given_name", "")))
        for ax in flat[len(entries) :]:
            ax.set_axis_off()

    return svg(f"curves-{precision}", (2.6 * _COLUMNS, 2.1 * rows), draw, panels=_COLUMNS, rows=rows)


def table_of_curves(profile: dict[str, Any]) -> pd.DataFrame:
    """Per operation and precision: shape and provenance of the curve, points, cross-validated error, sizes, gaps, overhead."""
    rows = []
    for name, entry in profile["operations"].items():
        curve = entry.get("curve", {})
        sizes = np.unique([p[entry["of"]] for p in entry["points"]])
        rows.append(
            {
                "operation": name,
                "curve": curve.get("shape", "none"),
                "provenance": curve.get("provenance", "measured"),
                "points": len(entry["points"]),
                "error, %": 100 * np.expm1(curve["cv_error"]) if curve else None,
                "from": sizes[0] if len(sizes) else None,
                "to": sizes[-1] if len(sizes) else None,
                "of": entry["of"],
                "gaps": len(gaps(sizes)),
                "overhead, µs": 1e6 * entry["overhead_s"],
            }
        )
    given = profile.get("given") or {"curves": {}}
    for name, curve in given["curves"].items():
        about = {
            "operation": f"{name} ({given['file']})",
            "curve": curve["shape"],
            "provenance": curve["provenance"],
            "points": curve["points"],
        }
        error = 100 * np.expm1(curve["cv_error"]) if np.isfinite(curve["cv_error"]) else None
        rows.append(about | {"error, %": error, "from": curve["lowest"], "to": curve["highest"], "of": "flops"})
    return pd.DataFrame(rows)


def gaps(sizes: np.ndarray) -> list[tuple[float, float]]:
    """Neighbouring sizes (sorted) between which more than a factor of `_GAP` was not measured."""
    return [(low, high) for low, high in pairwise(sizes) if high > _GAP * low]


def network_errors(networks: pd.DataFrame, name: str) -> str:
    """Error of each network in %, the calibrated estimate as bars, what stands beside it as marks. Columns as `networks.csv` has them."""
    labels = networks["network" if "network" in networks else "model"]

    def draw(ax: Axes) -> None:
        place = np.arange(len(networks))[::-1]
        ax.barh(place, 100 * networks["error"], 0.6, color=BLUE, label="calibrated")
        for column, (label, colour, marker) in _BESIDE.items():
            if column in networks:
                error = 100 * (networks[column] / networks["measured_s"] - 1)
                ax.scatter(error, place, s=22, color=colour, marker=marker, label=label, zorder=3)
        ax.axvline(0, color=INK, lw=0.9)
        ax.set_yticks(place, labels)
        ax.set_xlabel("predicted over measured, error in %")
        ax.grid(axis="y", visible=False)
        if set(_BESIDE) & set(networks):
            ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))

    return svg(f"networks-{name}", (7.6, 0.9 + 0.24 * len(networks)), draw)


def _curve(ax: Axes, op: str, entry: dict[str, Any], given: dict[str, Any] | None) -> None:
    points = pd.DataFrame(entry["points"])
    size = points[entry["of"]]
    ax.errorbar(size, points["efficiency"], points["std"], fmt="o", ms=2.5, lw=0.7, color=INK, alpha=0.7)
    for low, high in gaps(np.unique(size)):
        ax.axvspan(low, high, color=MUTED, alpha=0.16, lw=0)
    x = np.geomspace(size.min() / 3, size.max() * 3, 80)
    for data, colour, style in ((entry.get("curve"), BLUE, "-"), (given, ORANGE, "--")):
        if data:
            curve = Curve.from_json(data)
            inside = ~curve.extrapolates(x)
            ax.plot(x, curve.predict(x), color=colour, lw=0.8, ls=":")  # beyond the measurements
            ax.plot(x[inside], curve.predict(x[inside]), color=colour, lw=1.4, ls=style)
            if np.isfinite(curve.cv_error):
                ax.fill_between(x, *curve.band(x), color=colour, alpha=0.13, lw=0)
    ax.set(xscale="log", yscale="log", xlabel="FLOPs" if entry["of"] == "flops" else "bytes")
    ax.minorticks_off()
    shape = f": {entry['curve']['shape']}" if "curve" in entry else ": too few sizes"
    ax.set_title(op + shape, fontsize=8.5, color=INK)
    ax.tick_params(labelsize=7)
