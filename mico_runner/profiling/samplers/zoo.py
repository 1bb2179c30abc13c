"""The layers of the project's own model zoo."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from mico_runner.errors import UsageError
from mico_runner.profiling.samplers import distinct, register

if TYPE_CHECKING:
    from mico_runner.ops.base import Row

# Of models that do not say their own: the images of digits, MNIST and Fashion-MNIST, CIFAR-10, of ten classes all of them.
INPUTS = ((1, 8, 8), (1, 28, 28), (3, 32, 32))
CLASSES = 10


@register("zoo")
def zoo(kind: str, ranges: dict[str, list[int]], count: int, rng: np.random.Generator) -> list[dict[str, int]]:
    """Layers of every zoo model of images in its published size; `ranges` do not matter. Not for predicting those networks."""
    from mico_runner.kernel_table import SHAPE, is_depthwise, kernel_table
    from mico_runner.models import MODELS, TOKENS

    shapes = []
    for name in MODELS.names():
        if MODELS.info(name).meta.get("reads") == TOKENS:
            continue
        rows = _layers(name)
        table = kernel_table(rows)
        wanted = is_depthwise(table) if kind == "depthwise" else table["kind"] == kind
        kept = [row for row, keep in zip(rows, wanted, strict=True) if keep]
        whole: list[Any] = kept
        shapes += [{k: row[k] for k in SHAPE if k in row and k != "batch"} for row in whole]
    shapes = distinct(shapes)
    if len(shapes) <= count:
        return shapes
    return [shapes[i] for i in np.sort(rng.choice(len(shapes), count, replace=False))]


@cache  # a profile asks once for every kind of kernel
def _layers(name: str) -> list[Row]:
    """Kernel rows of a model for the input that its entry states, else on all sizes of images that it takes."""
    from mico_runner import graph
    from mico_runner.models import MODELS

    size = MODELS.info(name).meta.get("size")
    rows: list[Row] = []
    for shape, outputs in [(tuple(size["input"]), size["outputs"])] if size else [(s, CLASSES) for s in INPUTS]:
        try:
            network = MODELS.get(name)(shape, outputs)
        except UsageError:  # the model does not take images of this size
            continue
        rows += graph.kernel_rows(graph.capture(network.eval(), shape, name), 1)
    return rows
