"""What is damaged in the cache, in work folders and in versions is noticed, said and computed again; it never blocks a run."""

import json
import random
import shutil

import dummy_steps
import pytest
from dummy_steps import STEPS, DummySections, run, spec

from mico_runner import outputs
from mico_runner.outputs import environment, store
from mico_runner.pipeline import Options
from mico_runner.pipeline.planning import Plan, plan

FEW, CASES = 60, 300


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """No report, no git, no reading of sources: nothing here changes its code."""
    monkeypatch.setattr(outputs, "write_report", lambda version: (version / "report.html").write_text("report"))
    monkeypatch.setattr(environment, "describe", dict)
    monkeypatch.setattr(Plan, "_surroundings", lambda *_: {})


def stable(version):
    values = json.loads((version / "metrics.json").read_text())
    return {name: metric for name, metric in values.items() if not metric["volatile"]}


def artifacts(version):
    """Everything that the steps wrote, by path."""
    return {str(p.relative_to(version)): p.read_bytes() for p in (version / "steps").rglob("*") if p.is_file()}


def interrupt(folder, monkeypatch, **changes):
    """Leave `count` with a journal of two numbers, as a kill does."""
    calls = []

    def stop(seconds):
        calls.append(seconds)
        if len(calls) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dummy_steps.time, "sleep", stop)
        with pytest.raises(KeyboardInterrupt):
            run(folder, numbers=4, **changes)


@pytest.fixture
def beginnings(tmp_path, monkeypatch):
    """Outputs in different states: finished with several results per step, interrupted, both."""
    made = {name: tmp_path / name for name in ("finished", "interrupted", "both")}
    for power in (2, 3):
        run(made["finished"], numbers=4, power=power)
    run(made["finished"], numbers=4, seed=4)
    for seed in (3, 4):
        interrupt(made["interrupted"], monkeypatch, seed=seed)
    run(made["both"], numbers=3)
    run(made["both"], numbers=3, power=3)
    interrupt(made["both"], monkeypatch)
    return made


def flip_a_bit(path, draw, files):
    content = bytearray(path.read_bytes())
    if content:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def cut_short(path, draw, files):
    content = path.read_bytes()
    path.write_bytes(content[: draw.randrange(len(content) + 1)])


def zero(path, draw, files):
    path.write_bytes(bytes(path.stat().st_size))


def append(path, draw, files):
    path.write_bytes(path.read_bytes() + draw.choice([b"\0", b"\n", b"1", b'{"a": 1}\n', b"7" * 99]))


def delete(path, draw, files):
    path.unlink()


def become_a_folder(path, draw, files):
    path.unlink()
    path.mkdir()
    (path / "file").write_text("1")


def become_other_json(path, draw, files):
    path.write_text(
        draw.choice(["", "{", "[]", "null", "1", '"text"', "{}", '{"metrics": {}}', "[" * 10_000, "\ud83d\ude00"[:0]])
    )


def change_a_digit(path, draw, files):
    text = path.read_bytes()
    digits = [i for i, byte in enumerate(text) if 48 <= byte < 58]
    if digits:
        at = draw.choice(digits)
        path.write_bytes(text[:at] + str((text[at] - 47) % 10).encode() + text[at + 1 :])


def swap_files(path, draw, files):
    alike = [other for other in files if other != path and (other.name == path.name or draw.random() < 0.1)]
    if alike:
        exchange(path, draw.choice(alike))


def swap_entries(path, draw, files):
    """The result, or the work folder, of one fingerprint in the place of another's."""
    cache = next(parent for parent in path.parents if parent.name == ".cache")
    inside = path.relative_to(cache)
    folder = cache.joinpath(*inside.parts[:2])
    others = [p for p in folder.parent.iterdir() if p.is_dir() and p != folder and p.suffix == folder.suffix]
    if others and folder.is_dir():
        exchange(folder, draw.choice(others))


def add_a_file(path, draw, files):
    (path.parent / draw.choice(["another.txt", "100.txt", "9"])).write_text("5")


def exchange(one, other):
    one.rename(aside := one.with_name("aside"))
    other.rename(one)
    aside.rename(other)


DAMAGES = [
    *(flip_a_bit, cut_short, zero, append, delete, become_a_folder, become_other_json),
    *(change_a_digit, swap_files, swap_entries, add_a_file),
]


@pytest.mark.parametrize("cases", [FEW, pytest.param(CASES, marks=pytest.mark.nightly)])
def test_every_run_after_damage_ends_with_the_undisturbed_metrics(tmp_path, beginnings, cases):
    undisturbed = run(tmp_path / "undisturbed", numbers=4).version
    expected, written = stable(undisturbed), artifacts(undisturbed)
    draw, outputs_folder, computed = random.Random(cases), tmp_path / "damaged", 0
    for case in range(cases):
        shutil.rmtree(outputs_folder, ignore_errors=True)
        shutil.copytree(beginnings[draw.choice(list(beginnings))], outputs_folder, symlinks=True)
        told = []
        for _ in range(draw.choice([1, 1, 2, 4])):
            files = sorted(p for p in (outputs_folder / ".cache").rglob("*") if p.is_file())
            damage, victim = draw.choice(DAMAGES), draw.choice(files)
            told.append(f"{damage.__name__} {victim.relative_to(outputs_folder)}")
            damage(victim, draw, files)
        rows = plan(spec(numbers=4), Options(outputs=outputs_folder, quiet=True), STEPS, DummySections)
        result = run(outputs_folder, numbers=4)
        assert result.statuses == {row.step: row.action for row in rows}, f"case {case}: {told}"
        assert stable(result.version) == expected, f"case {case}: {told}"
        assert artifacts(result.version) == written, f"case {case}: {told}"
        assert store.verify(result.version) == [], f"case {case}: {told}"
        computed += "run" in result.statuses.values()
        after = plan(spec(numbers=4), Options(outputs=outputs_folder, quiet=True), STEPS, DummySections)
        assert {row.action for row in after} == {"cached"}, f"case {case}: {told}"
    assert computed > cases / 3, "most cases hit what the run uses"


def entry(folder, step):
    return next(p for p in (folder / ".cache" / step).iterdir() if p.is_dir())


def test_damage_is_named_by_plan_in_the_log_and_on_the_terminal(tmp_path, capsys):
    run(tmp_path)
    (entry(tmp_path, "count") / "artifacts" / "numbers.json").write_text("[3, 4, 5, 7]")
    rows = {row.step: row for row in plan(spec(), Options(outputs=tmp_path), STEPS, DummySections)}
    assert rows["count"].action == "run" and rows["sometimes"].action == "cached"
    assert rows["count"].reason == "its cached result is damaged: numbers.json is not what was written"
    result = run(tmp_path)
    assert result.statuses["count"] == "run" and result.metrics["total.value"].value == 9 + 16 + 25 + 36
    lines = [json.loads(line) for line in (result.version / "log.jsonl").read_text().splitlines()]
    assert next(line["message"] for line in lines if line["step"] == "count") == (
        "its cached result is damaged: numbers.json is not what was written; it is computed again"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "step.json is missing"),
        ("{", "step.json is not what was written"),
        (
            '{"step": "total", "metrics": {}, "log": []}',
            "step.json is not what was written",
        ),  # as older versions wrote it
    ],
)
def test_an_unreadable_record_is_named(tmp_path, content, message):
    run(tmp_path)
    record = entry(tmp_path, "total") / "step.json"
    record.unlink()
    if content is not None:
        record.write_text(content)
    (row,) = (row for row in plan(spec(), Options(outputs=tmp_path), STEPS, DummySections) if row.step == "total")
    assert row.reason == f"its cached result is damaged: {message}"


def test_a_metric_that_was_edited_is_not_used(tmp_path):
    run(tmp_path)
    record = entry(tmp_path, "total") / "step.json"
    text = record.read_text()
    assert '"value": 86' in text
    record.write_text(text.replace('"value": 86', '"value": 1'))
    assert run(tmp_path).metrics["total.value"].value == 86


def test_a_result_in_the_place_of_another_is_not_used(tmp_path):
    run(tmp_path)
    run(tmp_path, power=3)
    one, other = (p for p in (tmp_path / ".cache" / "square").iterdir() if p.is_dir())
    exchange(one, other)
    (row,) = (row for row in plan(spec(), Options(outputs=tmp_path), STEPS, DummySections) if row.step == "square")
    assert "step.json belongs to square/" in row.reason
    assert run(tmp_path).metrics["total.value"].value == 86


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"steps": 5}', '{"steps": {"count": 3}}', "[" * 10_000])
def test_a_version_whose_manifest_is_damaged_blocks_nothing(tmp_path, content, capsys):
    version = run(tmp_path).version
    (version / "manifest.json").unlink()
    if content is not None:
        (version / "manifest.json").write_text(content)
    rows = plan(spec(power=3), Options(outputs=tmp_path), STEPS, DummySections)
    assert {row.step: row.reason for row in rows}["square"] == "never ran"
    assert "v0001/manifest.json is damaged" in capsys.readouterr().err
    assert run(tmp_path, power=3).version.name == "v0002"
    assert {row.action for row in plan(spec(power=3), Options(outputs=tmp_path), STEPS, DummySections)} == {"cached"}


def test_the_report_of_a_damaged_version_is_not_copied(tmp_path):
    version = run(tmp_path).version
    (version / "report.html").write_text("something else")
    assert (run(tmp_path).version / "report.html").read_text() == "report"


def test_a_result_that_changes_during_the_run_is_not_taken_into_the_version(tmp_path, monkeypatch):
    def vandal(self, ctx):
        (ctx.upstream("count") / "numbers.json").write_text("[]")
        ctx.metric("total.value", 1, "points")

    monkeypatch.setattr(dummy_steps.Total, "run", vandal)
    with pytest.raises(Exception, match=r"step 'count': its result changed during the run: numbers\.json is not what"):
        run(tmp_path)
    assert store.versions(tmp_path / "dummy") == []
