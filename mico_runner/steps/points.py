"""Further points of a search's front beside its choice: codegen writes a program of each, simulate runs them all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from mico_runner.codegen.deployment import Deployment
from mico_runner.quant import PTQ, storage
from mico_runner.quant.qgraph import LayerBits, QGraph
from mico_runner.search.problem import QUALITY
from mico_runner.steps.base import StepContext
from mico_runner.steps.inputs import present
from mico_runner.tasks.base import Measure

FOLDER = "points"  # of the codegen step: points/2, points/3, ...; the choice is point 1 and lies where it always does


def spread(values: np.ndarray, first: int, count: int) -> list[int]:
    """Indices of at most `count` points that lie far apart, `first` and then each time the one farthest from those taken.

    (Gonzalez 1985: the largest distance of a point left out is at most twice the least possible.)

    Args:
        values: (n, objectives); each is scaled to its range, so that none counts more by its unit.
    """
    width = np.ptp(values, axis=0)
    scaled = (values - values.min(axis=0)) / np.where(width > 0, width, 1.0)
    taken = [first]
    while len(taken) < count:
        apart = np.linalg.norm(scaled[:, None] - scaled[taken], axis=2).min(axis=1)
        if apart.max() == 0:
            break
        taken.append(int(apart.argmax()))
    return taken


def write(
    ctx: StepContext, ptq: PTQ, measure: Measure, deployment: Deployment, generate: Callable[[QGraph, Path], object]
) -> None:
    """points.csv, and a folder for each further point with bits.json, its integers and what `generate` makes of them."""
    count, quality = present(ctx.spec.codegen).points, f"validation_{measure.name}"
    front = pd.read_csv(ctx.upstream("search") / "front.csv")
    names = [quality if name == QUALITY else name for name in present(ctx.spec.search).objectives]
    chosen = int(front["chosen"].to_numpy().argmax())
    taken = spread(front[names].to_numpy(float), chosen, count)
    if len(taken) < count:
        ctx.log(f"codegen.points asks for {count} points, the front has {len(taken)} different ones: all are written")
    rows = []
    for number, row in enumerate(front.iloc[taken].to_dict("records"), 1):
        layers = [str(key)[:-2] for key in row if str(key).endswith(".w")]
        bits = {layer: LayerBits(row[f"{layer}.w"], int(row[f"{layer}.a"])) for layer in layers}
        deployed = ptq.quantize(bits)
        needs = deployment.needs(deployed)
        rows.append(
            {"point": number, "folder": "." if number == 1 else f"{FOLDER}/{number}"}
            | {name: row[name] for name in names}
            | {"flash_bytes": needs.flash, "ram_bytes": needs.ram}
        )
        if number > 1:
            folder = ctx.dir / FOLDER / str(number)
            folder.mkdir(parents=True)
            plain = {layer: list(pair) for layer, pair in bits.items()}
            (folder / "bits.json").write_text(json.dumps(plain, indent=1), encoding="utf-8")
            storage.save(deployed, folder / "qgraph")
            generate(deployed, folder / "c")
    pd.DataFrame(rows).to_csv(ctx.dir / "points.csv", index=False)
    ctx.metric("codegen.points", len(rows), "count")


def further(ctx: StepContext) -> Iterator[tuple[int, QGraph, str]]:
    """Number, integers and folder below the codegen step of every point but the choice."""
    folder = ctx.upstream("codegen") / FOLDER
    for number in sorted(int(path.name) for path in folder.iterdir()) if folder.is_dir() else []:
        yield number, storage.load(folder / str(number) / "qgraph"), f"{FOLDER}/{number}"
