"""Quality before and after, in a report."""

from __future__ import annotations

import numpy as np
import pandas as pd
from markupsafe import Markup

from mico_runner.outputs.report.figures import BLUE, GREEN, axis_of, svg
from mico_runner.outputs.report.tables import table
from mico_runner.outputs.report.version import Version
from mico_runner.tasks.base import Measure, Task


def part(version: Version) -> dict[str, object] | None:
    """What the template shows; None where no quality is known."""
    stages = [
        ("float network", "train"),
        ("8-bit everywhere", "evaluate.int8"),
        ("chosen bits", "search"),
        ("chosen bits, C program", "simulate"),
    ]
    rows = []
    measure = version.task.MEASURE
    images = (version.spec.get("simulate") or {}).get("images", "all")
    for label, prefix in stages:
        if prefix == "simulate" and images != "all":
            label += f", first {images:,} images"
        validation = version.value(f"{prefix}.validation_{measure.name}")
        test = version.value(f"{prefix}.test_{measure.name}" if prefix == "train" else f"{prefix}.{measure.name}")
        if validation is not None or test is not None:
            heads = (f"{of}, {measure.unit}".rstrip(", ") for of in ("validation", "test"))
            rows.append({"network": label, **dict(zip(heads, (validation, test), strict=True))})
    history, found = version.csv("train", "history.csv"), version.csv("simulate", "summary.csv")
    if not rows and history is None:
        return None
    return {
        "stages": table(pd.DataFrame(rows)) if rows else None,
        "title": measure.name.capitalize(),
        "training": Markup(_training(history, measure)) if history is not None else None,
        "summary": Markup(_summary(version.task, found)) if found is not None else None,
        "summary_title": version.task.TITLE,
    }


def _training(history: pd.DataFrame, measure: Measure) -> str:
    """Loss and quality on the validation part by epoch."""

    def draw(axes: np.ndarray) -> None:
        axes[0].plot(history["epoch"], history["train_loss"], color=BLUE)
        axes[0].set(xlabel="epoch", ylabel="training loss")
        axes[1].plot(history["epoch"], history[f"validation_{measure.name}"], color=GREEN)
        axes[1].set(xlabel="epoch", ylabel=axis_of(measure))

    return svg("training", (7.6, 2.6), draw, panels=2)


def _summary(task: Task, table: pd.DataFrame) -> str:
    """What the task draws of the C program's outputs on the test part."""
    return svg("summary", (3.8, 3.7), lambda ax: task.draw(table, ax))
