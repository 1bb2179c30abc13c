import numpy as np
import pytest

from mico_runner.tasks import create

TASK = create()


def above_chance(found, labels):
    return found - TASK.knows_nothing(labels)


def test_chance_is_the_commonest_class_and_sampling_noise():
    labels = np.repeat([0, 1, 2, 3], [400, 200, 200, 200])
    noise = 100 * 3 * np.sqrt(0.4 * 0.6 / 1000)
    assert above_chance(40.0, labels) == pytest.approx(-noise)
    assert above_chance(50.0, labels) == pytest.approx(10 - noise)
    assert above_chance(100.0, np.repeat([0, 1], [199, 1])) > 0, "a perfect network is never at chance"
    assert above_chance(100.0, np.zeros(7, int)) == 0
    draw = np.random.default_rng(0)
    for classes in (2, 10):
        labels = draw.integers(0, classes, 300)
        guesses = [100 * (draw.integers(0, classes, 300) == labels).mean() for _ in range(300)]
        assert np.mean([above_chance(guess, labels) >= 0 for guess in guesses]) < 0.01
