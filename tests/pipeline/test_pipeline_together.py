"""Runs that die, and runs that meet."""

import json
import os
import subprocess
import sys
from pathlib import Path

import dummy_steps
import pytest
from dummy_steps import run
from kill import check_versions, stable_metrics, survive, versions

from mico_runner import outputs
from mico_runner.errors import UsageError
from mico_runner.outputs import gc, store
from mico_runner.outputs.locks import FileLock
from mico_runner.pipeline.cache import Entry

ROOT = Path(__file__).resolve().parents[2]


def command(outputs, **changes):
    pairs = [f"{key}={json.dumps(value)}" for key, value in changes.items()]
    return [sys.executable, dummy_steps.__file__, str(outputs), "dummy", *pairs]


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))


@pytest.mark.nightly
def test_killed_at_twenty_moments_every_version_is_whole_and_the_metrics_the_same(tmp_path):
    lines = survive(lambda outputs: command(outputs, numbers=12, seconds=0.02), tmp_path, kills=20, seed=0)
    assert len(lines) == 20


def test_killed_at_three_moments(tmp_path):
    assert len(survive(lambda outputs: command(outputs, numbers=6, seconds=0.02), tmp_path, kills=3, seed=1)) == 3


def test_two_runs_at_once_compute_each_step_once(tmp_path):
    both = [
        subprocess.Popen(command(tmp_path, numbers=10, seconds=0.03), stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in both:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    check_versions(tmp_path)
    first, second = (store.manifest(v)["steps"] for v in versions(tmp_path))
    for step in first:
        assert sorted((first[step]["status"], second[step]["status"])) == ["cached", "run"]
    assert (tmp_path / "dummy" / "latest").resolve().name == "v0002"


def test_forced_runs_at_once_do_not_take_results_from_each_other(tmp_path):
    changes = {"numbers": 6, "seconds": 0.02}
    run(tmp_path, **changes)
    code = "import dummy_steps, sys; dummy_steps.run(sys.argv[1], {'force': True}, numbers=6, seconds=0.02)"
    three = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=Path(__file__).parent, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in three:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    check_versions(tmp_path)
    assert len({stable_metrics_of(v) for v in versions(tmp_path)}) == 1


def stable_metrics_of(version):
    values = json.loads((version / "metrics.json").read_text())
    return json.dumps({name: metric for name, metric in values.items() if not metric["volatile"]})


def test_gc_leaves_what_a_run_reads_or_computes(tmp_path):
    run(tmp_path)
    entries = [p for p in (tmp_path / ".cache").glob("*/*") if p.is_dir()]
    held = entries[0]
    reader = FileLock(held.with_suffix(".lock"))
    reader.acquire(shared=True)
    gone = gc(tmp_path, keep=0)
    assert held.is_dir() and held not in gone
    assert not any(entry.exists() for entry in entries[1:])
    reader.release()
    assert held in gc(tmp_path, keep=0) and not held.exists()
    assert not list((tmp_path / ".cache").glob("*/*"))


def test_gc_during_a_run_does_not_disturb_it(tmp_path):
    process = subprocess.Popen(command(tmp_path, numbers=10, seconds=0.03), stderr=subprocess.PIPE, text=True)
    while process.poll() is None:
        gc(tmp_path, keep=1)
    assert process.returncode == 0, process.stderr.read()
    assert store.verify(tmp_path / "dummy" / "v0001") == []


RUNNING = """
import sys
from pathlib import Path
import dummy_steps
from mico_runner import outputs

outputs.write_report = lambda version, path=None: (version / "report.html").write_text("report")
for turn in range(int(sys.argv[2])):
    dummy_steps.run(sys.argv[1], {"force": turn % 5 == 4}, numbers=2 + turn % 2, power=1 + turn % 3, name=f"dummy{turn % 2}")
"""
COLLECTING = """
import sys
from pathlib import Path
from mico_runner.outputs import gc

stop = Path(sys.argv[1]) / "stop"
while not stop.exists():
    gc(Path(sys.argv[1]), keep=int(sys.argv[2]))
"""


@pytest.mark.parametrize("turns", [6, pytest.param(60, marks=pytest.mark.nightly)])
def test_runs_and_gcs_at_once_do_not_fail_and_lose_nothing(tmp_path, turns):
    def start(code, argument):
        command = [sys.executable, "-c", code, str(tmp_path), str(argument)]
        return subprocess.Popen(command, cwd=Path(__file__).parent, stderr=subprocess.PIPE, text=True)

    collectors = [start(COLLECTING, keep) for keep in (1, 2)]
    runs = [start(RUNNING, turns) for _ in range(2)]
    errors = [process.communicate()[1] for process in runs]
    (tmp_path / "stop").touch()
    errors += [process.communicate()[1] for process in collectors]
    assert errors == [""] * 4
    check_versions(tmp_path)
    assert versions(tmp_path)
    for version in versions(tmp_path):
        for step, about in store.manifest(version)["steps"].items():
            assert Entry(tmp_path, step, about["fingerprint"]).finished, f"{version} needs {step}"


def test_gc_sees_a_version_that_is_written_while_it_works(tmp_path, monkeypatch):
    run(tmp_path, power=1)
    entries = {p for p in (tmp_path / ".cache").glob("*/*") if p.is_dir()}
    for version in versions(tmp_path):
        store.delete(version)
    acquire = FileLock.acquire

    def write_first(lock, **options):
        monkeypatch.setattr(FileLock, "acquire", acquire)
        run(tmp_path, power=1)  # all in the cache, and given back
        return acquire(lock, **options)

    monkeypatch.setattr(FileLock, "acquire", write_first)
    assert gc(tmp_path, keep=1) == []
    assert all(entry.is_dir() for entry in entries)


def test_gc_of_a_damaged_version_deletes_nothing(tmp_path):
    for power in (1, 2, 3):
        run(tmp_path, power=power)
    (tmp_path / "dummy" / "v0003" / "manifest.json").write_text("{")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=r"v0003/manifest\.json: not a manifest file"):
        gc(tmp_path, keep=1)
    assert sorted(tmp_path.rglob("*")) == before
    assert run(tmp_path, power=4).version.name == "v0004", "a damaged version does not stop the next one"
    assert [v.name for v in gc(tmp_path, keep=1)[:3]] == ["v0001", "v0002", "v0003"], "nor its own removal"


def test_gc_keeps_the_newest_versions_and_their_results(tmp_path):
    for power in (1, 2, 3):
        run(tmp_path, power=power)
    before = sorted(p for p in tmp_path.rglob("*"))
    planned = gc(tmp_path, keep=1, dry_run=True)
    assert sorted(p for p in tmp_path.rglob("*")) == before
    assert gc(tmp_path, keep=1) == planned
    assert [v.name for v in versions(tmp_path)] == ["v0003"]
    assert set(run(tmp_path, power=3).statuses.values()) == {"cached"}
    again = run(tmp_path, power=1)
    assert again.statuses["square"] == "run" and again.statuses["count"] == "cached"
    assert again.version.name == "v0005"


def test_who_waits_for_a_result_is_told_and_then_gets_it(tmp_path):
    told = []
    owner, waiter = Entry(tmp_path, "step", "f" * 32), Entry(tmp_path, "step", "f" * 32)
    assert owner.claim(again=False, waiting=lambda: told.append("owner")) is True

    def finish():
        told.append("waiter")
        owner.begin()
        owner.finish({"metrics": {}})
        owner.share()

    assert waiter.claim(again=False, waiting=finish) is False
    assert told == ["waiter"]
    assert not Entry(tmp_path, "step", "f" * 32)._lock.acquire(wait=False)  # both still read it
    for entry in (owner, waiter):
        entry.release()


def test_a_lock_whose_file_was_deleted_is_taken_anew(tmp_path):
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.acquire()
    assert not second.acquire(wait=False)
    first.delete()
    assert second.acquire(wait=False)
    assert not FileLock(tmp_path / "lock").acquire(wait=False)
    second.release()


def test_the_metrics_of_two_places_agree(tmp_path):
    for place in ("a", "b"):
        run(tmp_path / place)
    assert stable_metrics(tmp_path / "a") == stable_metrics(tmp_path / "b")


@pytest.mark.parametrize("stride", [pytest.param(1, marks=pytest.mark.nightly), 7])
def test_dying_before_any_change_of_a_file_leaves_versions_whole(tmp_path, monkeypatch, stride):
    monkeypatch.setattr(outputs, "write_report", lambda version: (version / "report.html").write_text("report"))
    changes = {"numbers": 2}
    expected = stable_metrics_of(run(tmp_path / "undisturbed", **changes).version)
    code, moment = DIED, 1
    while code == DIED:
        folder = tmp_path / str(moment)
        code = _die_at(moment, lambda folder=folder: run(folder, **changes))
        check_versions(folder)
        assert stable_metrics_of(run(folder, **changes).version) == expected
        check_versions(folder)
        assert not [p for p in folder.rglob("*") if p.suffix in (".tmp", ".old", ".work") or p.name == ".assembly"]
        moment += stride
    assert code == 0 and moment > 50


def test_gc_dying_before_any_change_of_a_file_leaves_versions_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, "write_report", lambda version: (version / "report.html").write_text("report"))
    code, moment = DIED, 1
    while code == DIED:
        folder = tmp_path / str(moment)
        for power in (1, 2):
            run(folder, numbers=2, power=power)
        code = _die_at(moment, lambda folder=folder: gc(folder, keep=1))
        check_versions(folder)
        gc(folder, keep=1)
        assert [v.name for v in versions(folder)] == ["v0002"]
        assert not list(folder.glob("*/.trash"))
        assert set(run(folder, numbers=2, power=2).statuses.values()) == {"cached"}
        moment += 4
    assert code == 0 and moment > 10


DIED = 9
CHANGES = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.truncate"}


def _die_at(count, action):
    """Exit status of a forked process that runs `action` and dies right before its `count`-th change of the file system."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    seen = 0

    def watch(event, args):
        nonlocal seen
        reading = event == "open" and not (args[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if event in CHANGES and not reading:
            seen += 1
            if seen == count:
                os._exit(DIED)

    sys.addaudithook(watch)
    try:
        action()
    except BaseException:
        os._exit(1)
    os._exit(0)
