"""Uniform bits beside every search, the choice among those that cannot be told apart, the certificate, the hypervolume."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mico_runner.search import Budget, Space, certify, hypervolume, run, with_uniforms
from mico_runner.search.uniform import uniforms
from mico_runner.sections import Pin
from mico_runner.tasks.classification import Classification
from mico_runner.testing.problems import additive, network


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(0.3, 1.0))
def test_no_uniform_bits_beat_the_choice(seed, limit):
    problem = network(layers=4, weight_bits=(2, 4, 8), activation_bits=(4, 8), seed=seed, limit=limit, budget=3)
    found = with_uniforms(problem, run(problem, "random", seed=seed))
    best = found.metrics["quality"][found.chosen]
    for choice, pair in enumerate(problem.space.choices):
        for ends in (False, True):
            config = np.full(4, choice)
            if ends:
                config[[0, -1]] = problem.space.choices.index((8, 8))
            if problem.cheap_feasible(config[None])[0]:
                assert problem.evaluate(config[None])["quality"][0] <= best + 1e-9, (pair, ends)


def test_uniform_bits_leave_pinned_layers_and_are_the_widest_that_fit():
    problem = network(layers=4, limit=0.5)
    space = Space.grid(problem.space.layers, (2, 4, 8), (8,), {"layer1": Pin(2, 8)})
    found = uniforms(replace(problem, space=space))
    assert len(found) and problem.cheap_feasible(found).all()
    assert all(space.decode(config)["layer1"] == (2, 8) for config in found)
    whole = uniforms(replace(problem, constraints=[]))
    assert np.array_equal(whole, problem.space.base[None])  # nothing has more bits than the most


def test_nothing_is_evaluated_again():
    problem = network(layers=3, limit=0.6, budget=1000)
    found = run(problem, "random")
    assert with_uniforms(problem, found) is found


def test_the_choice_within_a_standard_error_is_the_best_of_the_next_objective():
    problem = network(layers=4, limit=0.8, budget=40)
    best = run(problem, "random")
    lazy = run(replace(problem, tolerance=2.0), "random")
    assert np.array_equal(best.configs, lazy.configs)
    quality, latency = lazy.metrics["quality"], lazy.metrics["latency"]
    near = lazy.feasible & (quality >= quality[best.chosen] - 2.0)
    assert latency[lazy.chosen] == latency[near].min() < latency[best.chosen]


def test_standard_error_of_an_accuracy():
    assert Classification.MEASURE.standard_error(90.0, 900) == pytest.approx(1.0)
    assert Classification.MEASURE.standard_error(100.0, 900) == 0


def test_of_additive_losses_the_certificate_is_the_truth():
    rng = np.random.default_rng(0)
    space = Space.of({f"layer{i}": [(w, 8) for w in (2, 4, 8)] for i in range(5)})
    problem = additive(space, rng, budget=24)
    found = run(problem, "exact")
    proof = certify(problem, found)
    everything = space.enumerate()
    least = problem.evaluate(everything[problem.cheap_feasible(everything)])["loss"].min()
    assert proof.metric == "loss" and proof.gap < 1e-3 and proof.bound == pytest.approx(least, rel=1e-3)


def test_the_certificate_s_bound_is_below_the_choice_and_its_error_is_seen():
    for objectives in (("quality", "latency"), ("latency", "quality")):
        problem = network(layers=5, seed=1, limit=0.6, budget=20, objectives=objectives, accuracy_drop=20.0)
        proof = certify(problem, run(problem, "exact"))
        assert proof.bound <= proof.value and 0 <= proof.gap < 1
        assert proof.error > 0 and 0 < proof.points < 50
    assert certify(problem, run(replace(problem, constraints=[], budget=Budget(5)), "random")) is None
    silent = network(layers=5, with_loss=False, budget=20)
    assert certify(silent, run(silent, "random")) is None


def test_hypervolume_of_two_points():
    problem = network(layers=3, limit=1.0, budget=20)
    found = run(problem, "random")
    share = hypervolume(problem, found, 10.0, 99.0)
    base = problem.free(problem.space.base[None])["latency"][0]
    quality, latency = ((found.metrics[name][found.front]) for name in ("quality", "latency"))
    order = np.argsort(latency)
    area, reached = 0.0, 10.0
    for i, at in enumerate(order):
        reached = max(reached, quality[at])
        end = latency[order[i + 1]] if i + 1 < len(order) else base
        area += (reached - 10.0) * (end - latency[at])
    assert share == pytest.approx(area / (89.0 * base), rel=1e-6)
    assert hypervolume(problem, found, 99.9, 100.0) < share
