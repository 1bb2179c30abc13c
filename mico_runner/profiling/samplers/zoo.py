"""The layers of the project's own model zoo."""

from __future__ import annotations

import numpy as np

from mico_runner.errors import UsageError
from mico_runner.profiling.samplers import distinct, register

# The images of the catalog's tasks: digits, MNIST and Fashion-MNIST, CIFAR-10; all of them have ten classes.
INPUTS = ((1, 8, 8), (1, 28, 28), (3, 32, 32))
CLASSES = 10


@register("zoo")
def zoo(kind: str, ranges: dict[str, list[int]], count: int, rng: np.random.Generator) -> list[dict[str, int]]:
    """Layers of every zoo model on the catalog's image sizes; `ranges` do not matter. Not for predicting those networks."""
    from mico_runner import graph
    from mico_runner.kernel_table import SHAPE, is_depthwise, kernel_table
    from mico_runner.models import MODELS

    shapes = []
    for name in MODELS.names():
        for size in INPUTS:
            try:
                network = MODELS.get(name)(size, CLASSES)
            except UsageError:  # the model does not take images of this size
                continue
            rows = graph.kernel_rows(graph.capture(network.eval(), size, name), 1)
            table = kernel_table(rows)
            wanted = is_depthwise(table) if kind == "depthwise" else table["kind"] == kind
            rows = [row for row, keep in zip(rows, wanted, strict=True) if keep]
            shapes += [{k: row[k] for k in SHAPE if k in row and k != "batch"} for row in rows]
    shapes = distinct(shapes)
    if len(shapes) <= count:
        return shapes
    return [shapes[i] for i in np.sort(rng.choice(len(shapes), count, replace=False))]
