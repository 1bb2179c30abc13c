"""Versions on disk."""

import errno
import json
import os

import example_version
import pytest

from mico_runner import outputs
from mico_runner.errors import UsageError
from mico_runner.outputs import store
from mico_runner.outputs.locks import FileLock
from mico_runner.steps.base import Metric


@pytest.fixture
def root(tmp_path):
    for _ in range(2):
        example_version.make(tmp_path, steps=("train", "simulate"))
    return tmp_path


def test_versions_are_numbered_and_latest_is_the_newest(root):
    folder = root / "lenet-mnist"
    assert [v.name for v in store.versions(folder)] == ["v0001", "v0002"]
    assert (folder / "latest").resolve().name == "v0002"
    (folder / "v0010").mkdir()
    (folder / "v0010x").mkdir()
    assert example_version.make(root, steps=()).name == "v0011"


def test_numbers_go_on_past_four_digits(tmp_path):
    (tmp_path / "lenet-mnist" / "v9999").mkdir(parents=True)
    assert example_version.make(tmp_path, steps=()).name == "v10000"
    assert example_version.make(tmp_path, steps=()).name == "v10001"


def test_a_version_that_cannot_be_filled_is_absent(root):
    def fill(folder):
        (folder / "half").write_text("")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.new_version(root / "lenet-mnist", fill)
    assert [v.name for v in store.versions(root / "lenet-mnist")] == ["v0001", "v0002"]
    assert not list(root.rglob("half"))


def test_verify_finds_what_is_missing_changed_and_unknown(root):
    version = root / "lenet-mnist" / "v0001"
    assert store.verify(version) == []
    (version / "steps" / "train" / "history.csv").unlink()
    (version / "metrics.json").write_text("{}")
    (version / "notes.txt").write_text("")
    problems = store.verify(version)
    assert problems == ["missing: steps/train/history.csv", "changed: metrics.json", "unknown: notes.txt"]
    assert store.verify(root)[0].endswith("no manifest.json")


@pytest.mark.parametrize("text", ["lenet-mnist", "lenet-mnist/latest", "lenet-mnist/v0002", "latest"])
def test_names_of_a_version(root, text):
    assert outputs.resolve(text, root) == root.resolve() / "lenet-mnist" / "v0002"


def test_a_path_is_a_name_too(root):
    version = root / "lenet-mnist" / "v0001"
    assert outputs.resolve(str(version), root / "elsewhere") == version.resolve()
    assert outputs.resolve(str(root / "lenet-mnist"), root / "elsewhere").name == "v0002"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lenet-mnits", "did you mean 'lenet-mnist'"),
        ("lenet-mnist/v0009", "there are v0001, v0002"),
        ("nothing/like/it", "known: lenet-mnist"),
    ],
)
def test_names_of_no_version(root, text, message):
    with pytest.raises(UsageError, match=message):
        outputs.resolve(text, root)


def test_no_outputs_folder_at_all(tmp_path):
    for text in ("latest", "quickstart"):
        with pytest.raises(UsageError, match="known: none"):
            outputs.resolve(text, tmp_path / "outputs")
    assert outputs.gc(tmp_path / "outputs") == []
    with pytest.raises(UsageError, match="at least 0"):
        outputs.gc(tmp_path, keep=-1)


def test_a_baseline_holds_what_diff_and_a_run_need(root):
    version = root / "lenet-mnist" / "v0001"
    assert outputs.save_baseline(version, root) == root / "baselines" / "lenet-mnist"
    baseline = outputs.resolve("baselines/lenet-mnist", root)
    assert {p.name for p in baseline.iterdir()} == {"metrics.json", "spec.resolved.yaml", "environment.json"}
    assert "simulate.seconds" not in json.loads((baseline / "metrics.json").read_text())
    result = outputs.diff(baseline, version)
    assert not result.regressed and "new" in {row.verdict for row in result.rows}
    assert outputs.gc(root, keep=0) == [version, root / "lenet-mnist" / "v0002"]
    assert baseline.is_dir() and not (root / "lenet-mnist" / "latest").is_symlink()


def test_the_same_metrics_are_the_same_bytes(tmp_path):
    metrics = {"b.x": Metric(1.5, "%", "higher", "1%"), "a.x": Metric(2, "count")}
    texts = []
    for name, order in (("1", list(metrics)), ("2", list(reversed(metrics)))):
        (tmp_path / name).mkdir()
        store.write_metrics(tmp_path / name, {key: metrics[key] for key in order})
        texts.append((tmp_path / name / "metrics.json").read_bytes())
        assert store.metrics(tmp_path / name) == metrics
    assert texts[0] == texts[1]


def test_a_dry_gc_writes_nothing_not_even_the_file_of_a_lock(root):
    for lock in root.rglob("*.lock"):
        lock.unlink()
    unused = root / ".cache" / "train" / ("0" * 32)
    unused.mkdir(parents=True)
    before = {path: path.lstat().st_mtime_ns for path in root.rglob("*")}
    assert outputs.gc(root, keep=1, dry_run=True) == [root / "lenet-mnist" / "v0001", unused]
    assert {path: path.lstat().st_mtime_ns for path in root.rglob("*")} == before
    busy = FileLock(unused.with_name(f"{unused.name}.lock"))
    with busy:
        assert outputs.gc(root, keep=1, dry_run=True) == [root / "lenet-mnist" / "v0001"]
    assert outputs.gc(root, keep=1) == [root / "lenet-mnist" / "v0001", unused]


def test_a_lock_on_a_file_system_to_read_can_be_held(tmp_path, monkeypatch):
    lock, opened = FileLock(tmp_path / "x.lock"), os.open
    lock.path.touch()

    def refusing(path, flags, *mode, **options):
        if flags & (os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return opened(path, flags, *mode, **options)

    monkeypatch.setattr(os, "open", refusing)
    with lock:
        assert not FileLock(lock.path).acquire(wait=False)
