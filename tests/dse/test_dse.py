"""Designs of high-level synthesis: how they are read, what their pragmas make of loops, and what is predicted."""

import json

import numpy as np
import pytest
import yaml
from made_up_designs import SOURCE, write

from mico_runner import cli
from mico_runner.data.hls_designs import read_designs
from mico_runner.dse import choosing, messages, predictor, validation
from mico_runner.dse.features import of_designs
from mico_runner.dse.loops import COARSE, FLATTEN, OFF, UNROLLED, loops, made
from mico_runner.errors import UsageError

BUDGET = 12


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    for name in ("TREES", "ROUNDS", "POOLED_ROUNDS"):
        monkeypatch.setattr(predictor, name, 15)
    monkeypatch.setattr(predictor, "RATE", 0.3)


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    return read_designs(write(tmp_path_factory.mktemp("designs") / "made_up.tar.gz"))


@pytest.fixture(scope="module")
def prepared(kernels):
    return {name: validation.prepare(designs) for name, designs in kernels.items()}


def test_an_archive_is_read_whole(kernels):
    assert set(kernels) == {"small", "large", "flat"}
    small = kernels["small"]
    assert len(small.points) == len(small.cycles) == 72 and small.valid.sum() < 72
    assert (small.cycles[small.valid] > 0).all()
    assert set(small.graph.pragmas) == set(small.points[0]) and small.graph.edges.shape == (5, 2)


UNLIKE = {"a": {"point": {"x": 1}, "perf": 1, "valid": True}, "b": {"point": {}, "perf": 1, "valid": True}}


@pytest.mark.parametrize(
    ("part", "text", "message"),
    [
        (".json", "[1]", "no mapping to designs"),
        (".json", json.dumps(UNLIKE), "same pragmas"),
        (".gexf", "<gexf", "no GEXF"),
    ],
)
def test_a_malformed_file_is_named(tmp_path, part, text, message):
    path = write(tmp_path / "x.tar.gz", change=lambda name, whole: text if name.endswith(part) else whole)
    with pytest.raises(UsageError, match=message) as error:
        read_designs(path)
    assert "x.tar.gz" in str(error.value) and part in str(error.value)


def test_what_is_no_archive_is_said(tmp_path):
    (tmp_path / "x.tar.gz").write_text("no archive")
    with pytest.raises(UsageError, match="no archive of designs"):
        read_designs(tmp_path / "x.tar.gz")


def test_loops_with_their_pragmas_are_found_and_comments_are_not():
    outer, inner = loops(SOURCE.format(n=32, m=16))
    assert (outer.trip, outer.outer, outer.innermost) == (32, -1, False)
    assert (inner.trip, inner.outer, inner.innermost) == (16, 0, True)
    assert outer.pragmas == {kind: f"__{kind}__L0" for kind in ("PIPE", "TILE", "PARA")}
    assert inner.pragmas == {"PARA": "__PARA__L1"}


@pytest.mark.parametrize(("pipe", "mode"), [("", COARSE), ("off", OFF), ("flatten", FLATTEN)])
def test_in_a_loop_that_is_flattened_all_others_are_unrolled(pipe, mode):
    point = {"__PIPE__L0": pipe, "__TILE__L0": 2, "__PARA__L0": 4, "__PARA__L1": 3}
    outer, inner = made(loops(SOURCE.format(n=32, m=16)), point)
    assert (outer.mode, outer.unroll, outer.tile) == (mode, 4, 2)
    assert (inner.mode, inner.unroll) == ((UNROLLED, 16) if mode == FLATTEN else (OFF, 3))


def test_messages_reach_what_is_near(kernels):
    graph = kernels["small"].graph
    names, weights = messages.near(graph)
    assert weights.shape == (len(messages.HOPS), len(messages.OPERATIONS), 4) and (weights >= 0).all()
    of = dict(zip(names, weights[0].T, strict=True))
    assert of["__PARA__L0"][0] > of["__PARA__L1"][0], "the multiplication is beside the outer loop's pragma"
    assert of["__PARA__L1"][3] > of["__PARA__L0"][3], "the load is beside the inner loop's"
    one, four = messages.of_points(
        graph, [{"__PARA__L0": 1, "__PIPE__L0": "off"}, {"__PARA__L0": 4, "__PIPE__L0": "off"}]
    )
    assert np.all(one == 0) and four.max() > 0


def test_all_kernels_share_features(kernels):
    tables = [of_designs(each) for each in kernels.values()]
    assert len({table.shared.shape[1] for table in tables}) == 1
    assert all(np.isfinite(table.own).all() and np.isfinite(table.shared).all() for table in tables)


def test_labels_help(prepared):
    leave_out = validation.LeaveOut(prepared, (0, BUDGET), ("own", "pooled", "chosen"))
    rows = leave_out(("small", 0))
    found = {(row["predictor"], row["labels"]): row for row in rows}
    assert set(found) == {("own", BUDGET), ("pooled", 0), ("pooled", BUDGET), ("chosen", BUDGET)}
    assert found["own", BUDGET]["rmse"] < 0.8 * np.std(prepared["small"].cycles)
    assert found["pooled", BUDGET]["rmse"] < found["pooled", 0]["rmse"]
    assert rows == leave_out(("small", 0)), "the same seed gives other figures"


def test_each_label_takes_most_of_what_is_uncertain():
    """Three groups of designs that are alike: the largest is asked about first, and none twice before all are known."""
    group = np.repeat([0, 1, 2], [3, 5, 2])
    alike = np.equal.outer(group, group).astype(float)
    assert list(group[choosing.informative(alike, np.array([], dtype=int), 3, 0.01)]) == [1, 0, 2]
    assert list(group[choosing.informative(alike, np.array([3]), 3, 0.01)]) == [1, 0, 2]


@pytest.mark.parametrize("budget", [2, choosing.DRAWN + 2, choosing.DRAWN + 2 * choosing.BATCH, 1000])
def test_each_design_is_asked_for_once_and_the_best_is_found(prepared, monkeypatch, budget):
    monkeypatch.setattr(choosing, "TREES", 10)
    kernel, asked = prepared["large"], []

    def ask(which):
        asked.extend(which)
        return kernel.cycles[which]

    labelled = choosing.choose(kernel.own, budget, ask, seed=0)
    assert list(labelled) == asked and len(set(asked)) == len(asked) == min(budget, len(kernel.cycles))
    if budget >= choosing.DRAWN + 2 * choosing.BATCH:
        assert kernel.cycles[labelled].min() == kernel.cycles.min()
    assert list(labelled) == list(choosing.choose(kernel.own, budget, kernel.cycles.__getitem__, seed=0))


def test_judging_looks_at_what_was_not_labelled_and_tries_ten():
    cycles = np.arange(40.0)[::-1]
    perfect = validation.judge(cycles, np.array([0, 1]), cycles)
    assert perfect == pytest.approx({"rmse": 0, "spearman": 1, "best": 1, "exact": 1})
    wrong = validation.judge(cycles, np.array([0, 1]), -cycles)
    assert wrong["spearman"] == pytest.approx(-1) and wrong["exact"] == 0
    assert wrong["best"] == 2.0 ** (cycles[11] - cycles[39])


def test_validity_is_learned(prepared):
    assert validation.Validity(prepared, 30)(("large", 0)) > 0.7


def test_a_spec_on_an_archive_of_ones_own(tmp_path):
    write(tmp_path / "own.tar.gz")
    section = {"file": "own.tar.gz", "least": 30, "labels": [0, BUDGET], "seeds": 1}
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump({"spec_version": 1, "name": "designs", "dse": section}), encoding="utf-8")
    assert cli.main(["run", str(path), "--outputs", str(tmp_path / "out"), "--quiet"]) == 0
    metrics = json.loads((tmp_path / "out/designs/latest/metrics.json").read_text())
    metrics = metrics.get("metrics", metrics)
    assert metrics["dse.kernels"]["value"] == 3
    assert metrics["dse.own_12.rmse"]["value"] < metrics["dse.pooled_0.rmse"]["value"]
    assert {"dse.validity_auc", "dse.pooled_12.exact", "dse.pooled_12.best"} <= metrics.keys()
