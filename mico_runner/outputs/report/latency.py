"""Predicted and measured latency in a report."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from mico_runner.outputs.report import predictor
from mico_runner.outputs.report.figures import bar, grouped, mark, svg
from mico_runner.outputs.report.tables import number, table, with_shapes
from mico_runner.outputs.report.version import Version


def part(version: Version) -> dict[str, Any] | None:
    """Errors of the predictor by protocol, its predictions, and the network's layers."""
    protocols, layers = version.csv("fit", "protocols.csv"), version.csv("simulate", "layers.csv")
    if protocols is None and layers is None:
        return None
    section: dict[str, Any] = dict.fromkeys(
        ("errors", "points", "details", "learning", "layers", "layer_table", "networks")
    )
    if protocols is not None:
        protocols["protocol"] = protocols["protocol"].replace("in_sample", "in-sample (training rows)")
        errors = [name for name in ("mape", "p90_ape", "max_ape") if name in protocols]
        protocols[errors] *= 100  # fractions in the file
        protocols = protocols.sort_values(["kind", "strategy", "protocol"], key=_in_order, kind="stable")
        section["errors"] = table(protocols, mark_if=("protocol", "group_kfold"))
        section["points"] = _points(version)
        section["details"] = _details(version)
        curve = version.csv("fit", "learning_curve.csv")
        section["learning"] = Markup(predictor.learning(curve)) if curve is not None else None
    if layers is not None:
        unit = str(layers["unit"].iloc[0]) if "unit" in layers else version.unit
        simulated = "host" not in str(version.spec.get("hardware"))
        section["layers"] = Markup(_layers(layers, unit, "simulated" if simulated else "measured"))
        if "measured" in layers:
            layers["error_percent"] = 100 * (layers["predicted"] / layers["measured"] - 1)
            layers = layers.rename(columns={"measured": "simulated"} if simulated else {})
        section["layer_table"] = table(with_shapes(layers, version.layers))
    networks = version.csv("simulate", "rtl_predictions.csv")
    if networks is not None:
        section["networks"] = Markup(predictor.networks(networks, version.unit))
    return section


def _points(version: Version) -> Markup | None:
    points = version.csv("fit", "predictions.csv")
    if points is None:
        return None
    titles = {"group_kfold": "{}: shapes not seen", "in_sample": "{}: in-sample (training rows)"}
    panels = {}
    for kind, rows in points.groupby("kind"):
        for protocol, title in titles.items():
            if (rows["protocol"] == protocol).any():
                panels[title.format(kind)] = rows[rows["protocol"] == protocol]
    return Markup(predictor.predicted_measured(panels, version.unit)) if panels else None


def _details(version: Version) -> list[dict[str, Any]]:
    """Per kind of kernel: where the errors on shapes not seen are."""
    points = version.csv("fit", "predictions.csv")
    if points is None:
        return []
    unseen = points[points["protocol"] == "group_kfold"].reset_index(drop=True)
    return [
        {
            "kind": kind,
            "figure": Markup(predictor.errors(str(kind), rows)),
            "worst": table(predictor.worst(rows)),
        }
        for kind, rows in unseen.groupby("kind")
    ]


def _in_order(column: pd.Series) -> pd.Series:
    """Strategies as the spec names them, the protocol that counts first."""
    if column.name == "protocol":
        return column.map(lambda name: (name != "group_kfold", str(name)))
    return column.map({name: number for number, name in enumerate(dict.fromkeys(column))})


def _layers(layers: pd.DataFrame, unit: str, measured: str) -> str:
    """Predicted and measured latency of each layer of the network, as bars; `measured` is what the latter are called."""

    def draw(ax: Axes) -> None:
        place = np.arange(len(layers))[::-1]
        shown = [("predicted", "predicted"), *([("measured", measured)] if "measured" in layers else [])]
        for index, (column, label) in enumerate(shown):
            boxes = ax.barh(place + 0.2 - 0.4 * index, layers[column], 0.38, label=label, **bar(index))
            for box, layer, value in zip(boxes, layers["layer"].astype(str), layers[column], strict=True):
                box.set_url(mark(f"{layer}: {number(value)} {unit} {label}", layer))
        ax.set_yticks(place, layers["layer"])
        ax.set_xlabel(unit)
        ax.xaxis.set_major_formatter(grouped)
        ax.grid(axis="y", visible=False)
        ax.legend(ncols=2, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)

    return svg("layers", (7.6, 1.3 + 0.34 * len(layers)), draw)
