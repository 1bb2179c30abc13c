"""Several versions at a time: their history and their columns."""

import json
from xml.etree import ElementTree

import pytest

from mico_runner import cli, outputs
from mico_runner.errors import UsageError
from mico_runner.outputs import store
from mico_runner.steps.base import Metric


def write(root, number, **values):
    folder = root / "x" / f"v{number:04d}"
    folder.mkdir(parents=True)
    units = {"latency": ("ms", "lower"), "accuracy": ("%", "higher"), "shapes": ("count", "info")}
    store.write_metrics(folder, {f"m.{name}": Metric(value, *units[name]) for name, value in values.items()})


@pytest.fixture
def root(tmp_path):
    write(tmp_path, 1, latency=10.0, shapes=3)
    write(tmp_path, 2, latency=12.0, accuracy=98.0, shapes=3)
    write(tmp_path, 10, latency=11.0, accuracy=99.0, shapes=4)
    (tmp_path / "x" / "v0002" / "manifest.json").write_text('{"created": "2026-01-02T03:04:05Z", "steps": {}}')
    return tmp_path


def test_a_history_has_every_version_in_order(root):
    found = outputs.history(root / "x")
    assert found.versions == ("v0001", "v0002", "v0010") and found.created == ("", "2026-01-02T03:04:05Z", "")
    series = {each.name: each for each in found.series}
    assert list(series) == ["m.accuracy", "m.latency"]
    assert series["m.accuracy"].values == (None, 98.0, 99.0) and series["m.accuracy"].line == " ▁█"
    assert series["m.latency"].line == "▁█▅"
    lines = found.to_table().splitlines()
    assert lines[0].split() == ["version", "created", "m.accuracy", "m.latency"]
    assert lines[3].split() == ["v0002", "2026-01-02T03:04:05Z", "98", "12"] and "▁█▅" in lines[-1]
    assert json.loads(found.to_json())["series"][0]["values"] == [None, 98.0, 99.0]


def test_a_history_of_chosen_metrics_and_versions(root):
    found = outputs.history(root / "x", ["m.sh*", "m.latency"], last=2)
    assert found.versions == ("v0002", "v0010") and [s.name for s in found.series] == ["m.shapes", "m.latency"]
    with pytest.raises(UsageError, match=r"no metric matches 'm.latncy'; did you mean 'm.latency'"):
        outputs.history(root / "x", ["m.latncy"])
    with pytest.raises(UsageError, match=r"no version of 'y' in .* known: x"):
        outputs.history(root / "y")


def test_a_long_history_is_a_line_a_metric(tmp_path):
    for number in (1, 2):
        folder = tmp_path / "x" / f"v{number:04d}"
        folder.mkdir(parents=True)
        store.write_metrics(folder, {f"m.{i}": Metric(i * number, "s", "lower") for i in range(8)})
    lines = outputs.history(tmp_path / "x").to_table().splitlines()
    assert lines[0].endswith("v0001 to v0002") and lines[2].split() == ["m.0", "0", "0", "s", "▄▄"]
    assert lines[3].split() == ["m.1", "1", "2", "s", "▁█"]


def test_a_drawing_says_every_value(root):
    drawing = ElementTree.fromstring(outputs.history(root / "x", ["m.*"]).to_svg())
    titles = [each.text for each in drawing.iter() if each.tag.endswith("title")]
    assert len(titles) == 8 and "v0010: 99 %" in titles
    width, height = map(float, drawing.get("viewBox").split()[2:])
    circles = [each for each in drawing.iter() if each.tag.endswith("circle")]
    assert all(0 < float(c.get("cx")) < width and 0 < float(c.get("cy")) < height / 3 for c in circles)


def test_columns_star_the_best(root):
    folders = [root / "x" / name for name in ("v0001", "v0002", "v0010")]
    found = outputs.side_by_side(folders, ["A", "B", "C"])
    assert [(line.name, line.best) for line in found.lines] == [("m.accuracy", (2,)), ("m.latency", (0,))]
    assert found.to_table().splitlines()[2].split() == ["m.accuracy", "98", "99*", "%"]
    assert [line.name for line in outputs.side_by_side(folders, "ABC", everything=True).lines][-1] == "m.shapes"
    assert outputs.side_by_side(folders[:1] * 2, "AB").lines == ()
    folder = root / "y" / "v0001"
    folder.mkdir(parents=True)
    store.write_metrics(folder, {"m.latency": Metric(1, "cycles", "lower")})
    with pytest.raises(UsageError, match=r"m\.latency: the unit is 'ms' and 'cycles'"):
        outputs.side_by_side([folders[0], folder], "AB")


def test_the_commands(root, capsys, monkeypatch):
    monkeypatch.chdir(root)
    options = ["--outputs", str(root)]
    assert cli.main(["history", "x", "--metric", "m.latency", "--svg", "x.svg", *options]) == 0
    assert "▁█▅" in capsys.readouterr().out and "<svg" in (root / "x.svg").read_text()
    assert cli.main(["compare", "x/v0001", "x/v0002", "x", "--markdown", *options]) == 0
    assert "x/v0001 |   x/v0002 |" in capsys.readouterr().out
    assert cli.main(["compare", "x/v0001", "x", "--json", "--metric", "*.latency", *options]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["m.latency"] == {
        "unit": "ms",
        "values": [10.0, 11.0],
        "best": [0],
    }
    assert cli.main(["history", "x", "--svg", "no/x.svg", *options]) == 2
