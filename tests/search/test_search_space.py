"""Spaces, costs, fronts, journals, non-monotone costs."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mico_runner.errors import StepError, UnknownName
from mico_runner.quant.qgraph import LayerBits
from mico_runner.search import Constraint, Cost, Objective, Problem, Space, report_non_monotone, run
from mico_runner.search.front import front
from mico_runner.search.sampling import Sampler, fill, repair
from mico_runner.sections import Pin
from mico_runner.testing.problems import network

pairs = st.tuples(st.sampled_from([1, 1.5, 2, 4, 8]), st.sampled_from([1, 4, 8]))
spaces = st.lists(st.lists(pairs, min_size=1, max_size=4, unique=True), min_size=1, max_size=4).map(
    lambda lists: Space.of({f"layer{i}": bits for i, bits in enumerate(lists)})
)


@settings(max_examples=50, deadline=None)
@given(spaces, st.integers(0, 2**32 - 1))
def test_every_configuration_occurs_once_and_survives_the_round_trip(space, seed):
    everything = space.enumerate()
    assert len({tuple(c) for c in everything.tolist()}) == len(everything) == space.size
    assert space.contains(everything).all()
    assert space.contains(space.sample(20, np.random.default_rng(seed))).all()
    for config in everything[:20]:
        assert np.array_equal(space.encode(space.decode(config)), config)
    outside = np.where(space.mask, -1, np.arange(len(space.choices))).max(axis=1)
    for layer, choice in enumerate(outside):
        config = everything[:1].copy()
        config[0, layer] = choice
        assert not space.contains(config)[0]


@settings(max_examples=50, deadline=None)
@given(spaces, st.integers(0, 2**32 - 1))
def test_costs_are_sums_of_the_table(space, seed):
    rng = np.random.default_rng(seed)
    table = np.where(space.mask, rng.random(space.mask.shape), np.nan)
    problem = Problem(space, lambda configs: {}, [], {"latency": Cost(table, fixed=5.0)})
    configs = space.sample(20, rng)
    expected = [5.0 + sum(table[layer, c] for layer, c in enumerate(config)) for config in configs.tolist()]
    assert np.allclose(problem.cost("latency", configs), expected, rtol=1e-6)  # seven digits of each entry are kept
    whole = Cost(np.rint(1e6 * table), fixed=5.0)
    for config, total in zip(configs.tolist(), whole.total(configs), strict=True):
        assert total == 5 + sum(np.rint(1e6 * table[layer, c]) for layer, c in enumerate(config))


def test_pins_fix_one_bit_width_or_both():
    pinned = {"a": Pin(8, 8), "b": Pin(activation_bits=8)}
    space = Space.grid(["a", "b", "c"], [2, 4], [4], pinned)
    allowed = [{space.choices[i] for i in indices} for indices in space.allowed]
    assert allowed == [{(8, 8)}, {(2, 8), (4, 8)}, {(2, 4), (4, 4)}]
    assert space.decode(space.base) == {"a": LayerBits(8, 8), "b": LayerBits(4, 8), "c": LayerBits(4, 4)}


def test_mistakes_are_said():
    with pytest.raises(UnknownName, match="did you mean 'conv1'"):
        Space.grid(["conv1"], [2], [8], {"conv": Pin(8)})
    with pytest.raises(StepError, match="no bit-widths to choose from for a"):
        Space.of({"a": []})
    space = Space.grid([f"layer{i}" for i in range(30)], [2, 4, 8], [8])
    with pytest.raises(StepError, match="too many to enumerate"):
        space.enumerate()
    with pytest.raises(StepError, match="not in the search space: layer0 W3A8"):
        Space.grid(["layer0"], [2], [8]).encode({"layer0": LayerBits(3, 8)})
    small = Space.grid(["a"], [2, 4], [8])
    with pytest.raises(UnknownName, match="did you mean 'latency'"):
        Problem(small, dict, [Objective("latensy")], {"latency": Cost(np.ones((1, 2)))})
    with pytest.raises(StepError, match=r"cost table of latency: shape \(2, 1\)"):
        Problem(small, dict, [], {"latency": Cost(np.ones((2, 1)))})
    with pytest.raises(StepError, match=r"nan for a at \(4, 8\)"):
        Problem(small, dict, [], {"latency": Cost(np.array([[1.0, np.nan]]))})


def test_an_evaluation_that_gives_no_number_is_an_error():
    problem = network(layers=2, limit=1.0)
    broken = replace(problem, evaluate=lambda configs: {"quality": np.full(len(configs), np.nan)})
    with pytest.raises(StepError, match=r"the evaluation of .* gave \{'quality': nan\}"):
        run(broken, "random")


def test_the_journal_of_another_space_is_dropped(tmp_path):
    journal, said = tmp_path / "journal.jsonl", []
    run(network(layers=3, limit=1.0, budget=3, journal=journal), "random")
    header, *rows = [json.loads(line) for line in journal.read_text().splitlines()]
    assert header["layers"] == ["layer0", "layer1", "layer2"] and len(rows) == 3
    other = network(layers=4, limit=1.0, budget=3)
    found = run(replace(other, journal=journal, log=said.append), "random")
    assert np.array_equal(found.configs, run(other, "random").configs)
    assert len(said) == 1 and "not that of this search space; 0 evaluations are kept" in said[0]


DAMAGES = {
    "a digit of a metric": lambda text: text.replace('"quality": ', '"quality": 1', 1),
    "a bit": lambda text: text[: len(text) // 2] + chr(ord(text[len(text) // 2]) ^ 1) + text[len(text) // 2 + 1 :],
    "the header": lambda text: text.replace('"journal"', '"jou', 1),
    "cut short": lambda text: text[: len(text) // 2],
    "zeros": lambda text: "\0" * len(text),
    "other lines": lambda text: text + '{"config": [0]}\n[1, 2]\nno JSON\n',
    "nothing": lambda text: "",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_in_a_journal_is_computed_again(damage, tmp_path):
    problem = network(layers=3, limit=1.0, budget=8)
    undisturbed = run(problem, "nsga2", seed=3)
    journal, said = tmp_path / "journal.jsonl", []
    run(replace(problem, journal=journal), "nsga2", seed=3)
    journal.write_text(DAMAGES[damage](journal.read_text()))
    found = run(replace(problem, journal=journal, log=said.append), "nsga2", seed=3)
    assert np.array_equal(found.configs, undisturbed.configs) and found.chosen == undisturbed.chosen
    assert all(np.array_equal(found.metrics[name], undisturbed.metrics[name]) for name in undisturbed.metrics)
    assert bool(said) == (damage not in ("cut short", "nothing")), "a last line that was cut short is no damage"
    said.clear()
    run(replace(problem, journal=journal, log=said.append, evaluate=None), "nsga2", seed=3)
    assert not said, "the journal is whole again"


@pytest.mark.parametrize("other", ["folder", "journal of another search"])
def test_what_lies_in_the_place_of_a_journal_is_dropped(other, tmp_path):
    problem = network(layers=3, limit=1.0, budget=8)
    (tmp_path / "here").mkdir()
    (tmp_path / "elsewhere").mkdir()
    journal = tmp_path / "here" / "journal.jsonl"
    if other == "folder":
        journal.mkdir()
    else:  # of the same space, so that only its place tells
        lying = replace(problem, evaluate=lambda c: {"quality": np.zeros(len(c)), "loss": np.ones(len(c))})
        run(replace(lying, journal=tmp_path / "elsewhere" / "journal.jsonl"), "random")
        (tmp_path / "elsewhere" / "journal.jsonl").rename(journal)
    said = []
    found = run(replace(problem, journal=journal, log=said.append), "random")
    assert np.array_equal(found.metrics["quality"], run(problem, "random").metrics["quality"]) and said


def test_algorithms_share_a_journal_and_still_pay_for_what_is_in_it(tmp_path):
    journal = tmp_path / "journal.jsonl"
    problem = network(layers=3, limit=1.0, budget=27, journal=journal)
    run(problem, "random")
    result = run(replace(problem, evaluate=None), "nsga2")
    assert len(result.configs) == 27


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 3))
def test_the_front_holds_all_that_is_not_dominated_and_nothing_else(seed, count, objectives):
    values = np.random.default_rng(seed).integers(0, 5, (count, objectives)).astype(float)
    kept = front(values)
    for i in range(count):
        dominated = any((v <= values[i]).all() and (v < values[i]).any() for v in values)
        equal = [j for j in kept if (values[j] == values[i]).all()]
        assert len(equal) == (0 if dominated else 1)
    assert [tuple(values[i]) for i in kept] == sorted(tuple(values[i]) for i in kept)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.12, 0.3, 0.7]))
def test_samples_are_new_and_affordable_even_where_that_is_rare(seed, limit):
    problem = network(layers=12, weight_bits=(1, 2, 4, 8), activation_bits=(2, 4, 8), limit=limit, seed=seed % 100)
    rng = np.random.default_rng(seed)
    cheapest = np.argmin(problem.costs["latency"].table, axis=1)
    sampler = Sampler(problem, cheapest, rng)
    first = sampler.draw(15, set())
    second = sampler.draw(15, {c.tobytes() for c in first})
    both = np.concatenate([first, second])
    assert len(both) == len({c.tobytes() for c in both}) == 30
    assert problem.cheap_feasible(both).all() and problem.space.contains(both).all()
    draws = problem.space.sample(10, rng)
    repaired = repair(problem, draws, cheapest, rng)
    assert problem.cheap_feasible(repaired).all()
    assert ((repaired == draws) | (repaired == cheapest)).all()
    filled = fill(problem, repaired, rng)
    bits = np.array(problem.space.choices)
    assert problem.cheap_feasible(filled).all() and (bits[filled] >= bits[repaired]).all()


def test_wider_bits_that_are_faster_are_reported():
    space = Space.of({"a": [(2, 2), (2, 3), (4, 4)], "b": [(2, 2), (4, 4)]})
    at = {bits: i for i, bits in enumerate(space.choices)}
    table = np.full(space.mask.shape, np.nan)
    table[0, [at[2, 2], at[2, 3], at[4, 4]]] = [403, 371, 500]
    table[1, [at[2, 2], at[4, 4]]] = [100, 100]
    (row,) = report_non_monotone(space, table)
    assert row == {
        "layer": "a",
        **{"weight_bits": 2, "activation_bits": 2, "cost": 403.0},
        **{"wider_weight_bits": 2, "wider_activation_bits": 3, "wider_cost": 371.0},
        "saving": 1 - 371 / 403,
    }


def test_rows_are_flat_and_flagged():
    problem = network(layers=2, limit=1.0, budget=5)
    result = run(problem, "random")
    rows = result.rows(problem)
    assert len(rows) == 5 and sum(row["chosen"] for row in rows) == 1
    assert rows[0]["layer0.weight_bits"] == problem.space.decode(result.configs[0])["layer0"].weight
    assert {"quality", "loss", "latency", "flash_bytes", "feasible", "front", "evaluation"} <= set(rows[0])


def test_violation_is_a_share_of_the_limit():
    constraint = Constraint("latency", max=200.0, min=50.0)
    assert constraint.violation(np.array([100.0, 200.0, 300.0, 40.0])).tolist() == [0.0, 0.0, 0.5, 0.05]
