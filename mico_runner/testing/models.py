"""Models: a network is built, captured and deployed in integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from mico_runner.errors import UsageError
from mico_runner.graph.frontend import capture
from mico_runner.models import MODELS
from mico_runner.ops.node import LayerBits
from mico_runner.quant import reference
from mico_runner.quant.executor import Executor
from mico_runner.quant.ptq import PTQ

SHAPES = ((1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 224, 224))
CLASSES = 7


def check_model(name: str, shapes: tuple[tuple[int, ...], ...] = SHAPES, **params: Any) -> None:
    """Try a model with these parameters on the first of these shapes of images that it does not refuse.

    - It maps a batch of images to a score for each class.
    - It is captured, which compares the graph with the module, and quantised to 8 bits.
    - The integers of the fast executor are those of the reference.

    Raises:
        AssertionError: what does not hold, or it refuses every shape.
        UsageError: it cannot be captured.
    """
    for shape in shapes:
        try:
            network = MODELS.get(name)(shape, CLASSES, **params).eval()
        except UsageError:  # it says that it takes no images of this size
            continue
        with torch.no_grad():
            scores = tuple(network(torch.zeros(2, *shape)).shape)
        assert scores == (2, CLASSES), f"model {name!r}: it makes {scores} of two images of {CLASSES} classes"
        graph = capture(network, shape, name)
        images = np.random.default_rng(0).random((4, *shape), np.float32)
        quantised = PTQ(graph, images).quantize({layer.name: LayerBits(8, 8) for layer in graph.weighted})
        read = reference.quantize_input(quantised, images[:2])
        logits = Executor(quantised).run(read)
        assert logits.shape == (2, CLASSES), f"model {name!r}: its integers are {logits.shape}"
        assert np.array_equal(logits, reference.run(quantised, read)), f"model {name!r}: executor and reference differ"
        return
    raise AssertionError(f"model {name!r} takes no images of {', '.join(map(str, shapes))}")
