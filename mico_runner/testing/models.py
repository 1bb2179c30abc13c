"""Models: a network is built, captured and deployed in integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from mico_runner.errors import UsageError
from mico_runner.graph.frontend import capture
from mico_runner.models import MODELS, TOKENS
from mico_runner.ops.node import LayerBits
from mico_runner.quant import reference
from mico_runner.quant.executor import Executor
from mico_runner.quant.ptq import PTQ

SHAPES = ((1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 224, 224))
SEQUENCES = ((8,),)
CLASSES = 7


def check_model(name: str, shapes: tuple[tuple[int, ...], ...] = SHAPES, **params: Any) -> None:
    """Try a model with these parameters on the first of these shapes of images, or of sequences, that it does not refuse.

    - It maps a batch of images to a score for each class, of tokens to one for each place and class.
    - It is captured, which compares the graph with the module, and quantised to 8 bits.
    - The integers of the fast executor are those of the reference.

    Raises:
        AssertionError: what does not hold, or it refuses every shape.
        UsageError: it cannot be captured.
    """
    tokens = MODELS.info(name).meta.get("reads") == TOKENS
    for shape in SEQUENCES if tokens else shapes:
        try:
            network = MODELS.get(name)(shape, CLASSES, **params).eval()
        except UsageError:  # it says that it takes no images of this size
            continue
        expected = (2, *shape, CLASSES) if tokens else (2, CLASSES)
        with torch.no_grad():
            scores = tuple(network(torch.zeros(2, *shape, dtype=torch.int64 if tokens else None)).shape)
        assert scores == expected, f"model {name!r}: it makes {scores} of two samples of {CLASSES} classes"
        graph = capture(network, shape, name, whole=(0,) if tokens else ())
        rng = np.random.default_rng(0)
        images = rng.integers(0, CLASSES, (4, *shape)) if tokens else rng.random((4, *shape), np.float32)
        quantised = PTQ(graph, images).quantize({layer.name: LayerBits(8, 8) for layer in graph.weighted})
        read = reference.quantize_input(quantised, images[:2])
        logits = Executor(quantised).run(read)
        assert logits.shape == expected, f"model {name!r}: its integers are {logits.shape}"
        assert np.array_equal(logits, reference.run(quantised, read)), f"model {name!r}: executor and reference differ"
        return
    raise AssertionError(f"model {name!r} takes no images of {', '.join(map(str, shapes))}")
