"""What a report says was asked, and its headline figures, for specs of every kind."""

from dataclasses import fields

import pytest

from mico_runner.outputs.report.asked import _ASIDE, _WORDED, asked
from mico_runner.outputs.report.sections import words
from mico_runner.outputs.report.tiles import tiles
from mico_runner.sections import Sections
from mico_runner.steps.base import Metric
from mico_runner.tasks import create


class Made:
    """As much of a version as these parts read."""

    def __init__(self, spec, metrics=None):
        self.spec, self.metrics, self.task, self.chosen, self.unit = (
            spec,
            metrics or {},
            create("classification"),
            None,
            "",
        )

    def value(self, name):
        return self.metrics[name].value if name in self.metrics else None

    def json(self, step, name):
        return {}

    def named(self, name):
        return name


@pytest.mark.parametrize("section", sorted({field.name for field in fields(Sections)} - _WORDED - _ASIDE))
def test_every_section_that_is_there_is_said(section):
    rows = asked(Made({section: {"target": "here", "bits": [2, 4], "none": None}}))
    assert [text for _, text in rows] == ["target here; bits 2, 4", "none"], "and that there are no gates"


def test_keys_that_are_worded_or_left_aside_exist():
    assert {field.name for field in fields(Sections)} >= _WORDED | _ASIDE


def test_a_network_with_exits_and_its_program():
    model = {"name": "ds-cnn", "train": {"epochs": 3}, "exits": {"most": 2, "train": {"epochs": 1}}}
    rows = dict(
        asked(Made({"model": model, "datasets": {"task": "mnist"}, "codegen": {"target": "c", "runtime": "baremetal"}}))
    )
    assert rows["Early exits"] == "most 2; train (epochs 1)" and rows["Program"] == "c, for baremetal"


def test_data_without_a_network():
    spec = {"datasets": {"task": None, "profile": ["mico/a", "/home/me/own.csv"]}}
    assert asked(Made(spec))[0] == ("Data", "profile mico/a, own.csv")
    spec["proxy"] = {"strategy": "single", "features": "auto", "regressor": "xgb"}
    assert [topic for topic, _ in asked(Made(spec))] == ["Latency predictor", "Gates"], "said there"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a_b": True, "c": False, "d": {}, "e": {"f": None}}, "a b"),
        ([[8, 8], [4, 2]], "(8, 8), (4, 2)"),
        ([{"device": "x"}, {"device": "y"}], "(device x), (device y)"),
        (list(range(11)), "0, 1, 2, 3, 4, 5, 6, 7 and 3 more"),
        ({"rate": 0.05, "n": 12345}, "rate 0.05; n 12\u2009345"),
    ],
)
def test_words(value, text):
    assert words(value) == text


METRICS = {
    "codesign.gap": Metric(0.5, "%", "lower"),
    "codesign.designs": Metric(40.0, "count"),
    "codesign.seconds": Metric(3.0, "s", "lower", volatile=True),
}


def test_headlines_of_other_specs_are_what_gates_ask_for():
    spec = {
        "gates": {
            "codesign.gap": {"max": 1.0, "min": None},
            "codesign.d*": {"min": 30, "max": None},
            "no.metric": {"max": 1},
        }
    }
    assert tiles(Made(spec, METRICS)) == [
        {"title": "codesign: gap", "value": "0.5 %", "note": "asked: ≤ 1"},
        {"title": "codesign: designs", "value": "40", "note": "asked: ≥ 30"},
    ]


def test_headlines_without_gates_are_what_can_be_better():
    assert [tile["title"] for tile in tiles(Made({"gates": {}}, METRICS))] == ["codesign: gap"]
    about = {"profile.rows": Metric(7.0, "count")}
    assert tiles(Made({}, about)) == [{"title": "profile: rows", "value": "7", "note": ""}]
