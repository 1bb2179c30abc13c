"""What the parts of a report read of a version: its spec, its metrics, the artifacts of its steps."""

from __future__ import annotations

import json
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mico_runner.outputs import store
from mico_runner.outputs.json_files import read_text
from mico_runner.tasks import DEFAULT, create
from mico_runner.tasks.base import Task

if TYPE_CHECKING:
    import pandas as pd

QUALITY = "quality"  # in a spec; the reader hears the name of the task's measure


class Version:
    """The files of a version's folder. Raises UsageError: the spec, the manifest or the metrics are damaged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec_text = read_text(folder / "spec.resolved.yaml")
        self.spec = yaml.safe_load(self.spec_text)
        self.manifest = store.manifest(folder)
        self.metrics = store.metrics(folder)

    def csv(self, step: str, name: str) -> pd.DataFrame | None:
        path = self.folder / "steps" / step / name
        if not path.is_file():
            return None
        import pandas as pd  # a version without tables does without

        return pd.read_csv(path)

    def json(self, step: str, name: str) -> dict[str, Any]:
        path = self.folder / "steps" / step / name
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def value(self, metric: str) -> float | None:
        return self.metrics[metric].value if metric in self.metrics else None

    @property
    def task(self) -> Task:
        """What the network is for."""
        about = (self.spec.get("datasets") or {}).get("task")
        kind = about.get("kind", DEFAULT) if isinstance(about, dict) else DEFAULT
        return create(kind, about.get("options") if isinstance(about, dict) else None)

    @property
    def unit(self) -> str:
        """Of latencies."""
        unit: str = self.json("fit", "fit.json").get("unit", "")
        return unit

    @property
    def assignment(self) -> dict[str, Any]:
        """Layer -> bits of its weights and activations, as chosen or given; empty where there are none."""
        found: dict[str, Any] = self.json("search", "choice.json").get("assignment") or self.json(
            "codegen", "bits.json"
        )
        return found

    @property
    def layers(self) -> pd.DataFrame | None:
        """What `evaluate` says of each layer; its column `layer` is text."""
        about = self.csv("evaluate", "layers.csv")
        if about is None:
            return None
        about = about.drop(columns=["layer"]) if "name" in about and "layer" in about else about
        # all layers of a Sequential may be named by numbers
        return about.rename(columns={"name": "layer"}).astype({"layer": str})

    @property
    def chosen(self) -> dict[Hashable, Any] | None:
        """The chosen row of the search's front."""
        front = self.csv("search", "front.csv")
        rows = [] if front is None else front[front["chosen"] == 1].to_dict("records")
        return rows[0] if rows else None

    def named(self, metric: str) -> str:
        """A metric of a spec as the reader knows it."""
        return self.task.MEASURE.name if metric == QUALITY else metric
