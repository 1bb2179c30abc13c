"""The catalog is complete and consistent; files are found in the documented order and their sums checked."""

import hashlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mico_runner import data, paths
from mico_runner.data import LOADERS, catalog
from mico_runner.data.network_table import load_networks
from mico_runner.data.source import own_loaders
from mico_runner.data.subgraphs import load_subgraphs
from mico_runner.errors import UnknownName, UsageError
from mico_runner.kernel_table import COLUMNS, KINDS

KINDS_OF_DATA = {
    "task",
    "kernel_profile",
    "subgraph_profile",
    "network_profile",
    "network",
    "tokenizer",
    "text",
    "reference",
    "training_trace",
    "design_table",
    "table",
}
MIRROR = os.environ.get("MICO_DATA_MIRROR")
needs_mirror = pytest.mark.skipif(not MIRROR, reason="MICO_DATA_MIRROR is not set")


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Empty data, cache and mirror folders, and a catalog with one data set `x` of one file."""
    for variable, folder in (("MICO_DATA_DIR", "dir"), ("XDG_CACHE_HOME", "cache"), ("MICO_DATA_MIRROR", "mirror")):
        monkeypatch.setenv(variable, str(tmp_path / folder))
    file = catalog.DataFile("a/b.csv", hashlib.sha256(b"good").hexdigest())
    entry = catalog.Entry("x", "task", "", "", "", (file,), url=(tmp_path / "net").as_uri() + "/")
    monkeypatch.setattr(catalog, "_entries", lambda: {"x": entry})
    return tmp_path


def put(path: Path, content: bytes = b"good") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", catalog.names())
def test_entry_is_complete(name):
    entry = catalog.entry(name)
    assert entry.kind in KINDS_OF_DATA
    assert entry.description and entry.source and entry.licence
    assert entry.files or entry.loader, "neither files nor a loader that brings its own"
    for file in entry.files:
        assert file.shipped or len(file.sha256) == 64
    if entry.kind == "kernel_profile":
        assert entry.unit in ("cycles", "ns") and entry.device
        if entry.columns:
            given = [*entry.columns, *entry.fill]
            assert set(given) <= {*COLUMNS, "latency"} and len(set(given)) == len(given)
            assert entry.kernel in KINDS
            assert {"in_channels", "out_channels", "act_bits", "weight_bits", "latency", "batch"} <= set(given)
    elif entry.kind != "task":
        assert entry.schema
    elif entry.kind == "task":
        assert entry.loader


USES = {
    "task": "load_data",
    "kernel_profile": "load_profile",
    "subgraph_profile": "load_subgraphs",
    "network_profile": "load_networks",
    "training_trace": "load_trace",
    "design_table": "load_designs",
    "table": None,
    "network": "read",
    "tokenizer": "read",
    "text": None,
    "reference": None,
}


@pytest.mark.parametrize("name", catalog.names())
def test_what_reads_an_entry_exists(name):
    """Without the data: the loader that an entry names is there and takes the entry's parameters."""
    entry = catalog.entry(name)
    assert entry.kind in USES
    assert (entry.loader is not None) == (entry.kind == "task"), "only tasks are read by a loader of their own"
    if entry.loader is not None:
        inspect.signature(LOADERS.get(entry.loader)).bind([], **entry.loader_params)


def test_every_loader_has_an_entry_or_reads_the_users_own():
    own = set(own_loaders())
    assert own == {"audio", "csv", "file", "images", "npz", "uci-har"}
    named = {entry.loader for entry in map(catalog.entry, catalog.names("task"))}
    assert named | own == set(LOADERS.names()) and named & own == {"uci-har"}, (
        "the archive, or a folder of what is in it"
    )


OFFICIAL = {
    "cifar10",
    "cifar100",
    "cifar100-coarse",
    "basic-motions",
    "uci-har",
}  # to be fetched from where they are; samples of some are mirrored


def _is_here(name):
    if name in OFFICIAL:
        return all(catalog._found(file) for file in catalog.entry(name).files)
    files = catalog.entry(name).files
    return bool(MIRROR) or all(f.shipped for f in files)


def _slow(name):
    """xz takes seconds for a hundred megabytes."""
    return pytest.param(name, marks=pytest.mark.slow) if catalog.entry(name).loader == "cifar-binary" else name


@pytest.mark.parametrize("name", map(_slow, catalog.names()))
def test_every_entry_can_be_used(name):
    """Tasks have sane splits, profiles load; of the rest the files are there, with the right sums, and not empty."""
    if not _is_here(name):
        pytest.skip("MICO_DATA_MIRROR is not set, or lacks it")
    entry = catalog.entry(name)
    found = catalog.fetch(name)
    assert [path.name for path in found] == [Path(file.path).name for file in entry.files]
    assert all(path.stat().st_size for path in found)
    if entry.kind == "task":
        task = data.load_data(name)
        for split in (task.train, task.validation, task.test):
            assert len(split) == len(split.inputs) and split.inputs.shape[1:] == task.input_shape
            if entry.task_kind is None:
                assert set(range(task.outputs)) == set(split.targets.tolist()), "every class, and no other"
            assert split.inputs.min() < split.inputs.max()
        assert len(task.validation) < len(task.train) and len(task.test) >= 40
    elif entry.kind == "kernel_profile":
        table = data.load_profile(name)
        assert len(table) and table.attrs["unit"] == entry.unit and set(table["device"]) == {entry.device}
    elif entry.kind == "subgraph_profile":
        assert len(load_subgraphs(name))
    elif entry.kind == "network_profile":
        table = load_networks(name)
        assert len(table.latency) == 27 and all(len(each) == len(table.architecture) for each in table.latency.values())
        assert {device for split in table.splits.values() for device in split.sources + split.targets} <= set(
            table.latency
        )


def test_a_damaged_file_is_said_before_anything_runs(places):
    catalog.check_present("x")  # not here: it may still be downloaded
    put(places / "mirror/a/b.csv", b"evil")
    with pytest.raises(UsageError, match="has sha256"):
        catalog.check_present("x")
    put(places / "cache/mico-runner/a/b.csv")
    catalog.check_present("x")


@pytest.mark.parametrize("name", [n for n in catalog.names() if any(f.shipped for f in catalog.entry(n).files)])
def test_shipped_files_match_their_sums(name):
    for file in catalog.entry(name).files:
        path = paths.shipped("datasets") / file.path
        if not path.is_file():
            pytest.skip(f"{file.path} is not made yet")
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        assert file.sha256 == found, f"datasets/catalog.yaml: the sha256 of {file.path} is {found}"


def test_order_of_places_and_checksum(places):
    network = put(places / "net/b.csv")
    downloaded = places / "cache/mico-runner/a/b.csv"
    assert catalog.fetch("x") == [downloaded] and downloaded.read_bytes() == b"good"
    network.unlink()
    downloaded.unlink()
    mirror = put(places / "mirror/a/b.csv")
    assert catalog.fetch("x") == [mirror]
    cached = put(places / "cache/mico-runner/a/b.csv")
    assert catalog.fetch("x") == [cached]
    own = put(places / "dir/a/b.csv")
    assert catalog.fetch("x") == [own]
    put(own, b"evil")
    with pytest.raises(UsageError, match=rf"{own} has sha256 .* expected"):
        catalog.fetch("x")


def test_a_download_with_a_wrong_sum_leaves_nothing(places):
    put(places / "net/b.csv", b"evil")
    with pytest.raises(UsageError, match="has sha256"):
        catalog.fetch("x")
    assert not list((places / "cache").rglob("b.csv*"))


def test_a_missing_file_names_every_place(places):
    with pytest.raises(UsageError) as error:
        catalog.fetch("x")
    for part in ("MICO_DATA_DIR", "cache", "MICO_DATA_MIRROR", "file://"):
        assert part in str(error.value)


def test_sums_are_remembered_until_the_file_changes(places, monkeypatch):
    path = put(places / "mirror/a/b.csv")
    catalog.fetch("x")
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("hashed again"))
    catalog.fetch("x")
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(places / "cache"))
    put(path, b"changed")
    assert catalog.sha256(path) == hashlib.sha256(b"changed").hexdigest()


def test_unknown_names_are_suggested():
    with pytest.raises(UnknownName, match="did you mean 'mnist'"):
        catalog.entry("mnits")
    with pytest.raises(UnknownName, match="kernel_profile"):
        catalog.entry("mnist", "kernel_profile")


def test_reading_the_catalog_needs_no_heavy_package():
    code = "import sys; from mico_runner.data import catalog; catalog.names(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"pandas", "numpy", "torch", "sklearn"} & set(loaded)
