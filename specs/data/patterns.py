"""Made samples of any shape that a network tells apart within seconds: a pattern for each class, in noise."""

import numpy as np


def patterns(
    shape: list[int], classes: int, count: int = 640, tested: int = 64, noise: float = 0.25
) -> dict[str, tuple]:
    """float32 inputs (N, *shape) of about 0 to 1, and their classes; the same for the same arguments."""
    draw = np.random.default_rng(0)
    means = draw.random((classes, *shape), np.float32)

    def part(size: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(size) % classes
        return means[labels] + draw.normal(0, noise, (size, *shape)).astype(np.float32), labels

    return {"train": part(count), "test": part(tested)}
