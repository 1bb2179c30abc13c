"""What is computed from a file once: by this process, by others at the same time, until the file changes."""

import json

import pytest

from mico_runner.remembered import Remembered


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    return tmp_path


def test_two_that_write_at_once_keep_what_both_found(folder):
    with Remembered("test.json") as first, Remembered("test.json") as second:
        first(folder / "a", lambda path: path.read_text())
        second(folder / "b", lambda path: path.read_text())
    text = (folder / "cache" / "mico-runner" / "test.json").read_text().partition("\n")[2]
    assert [value for _, value in json.loads(text)["known"].values()] == ["b", "a"]


def test_a_process_computes_once_whatever_folder_the_memory_is_in(folder, monkeypatch):
    computed = []
    for place in ("one", "two", "two"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / place))
        with Remembered("test.json", version="9") as memory:
            memory(folder / "a", lambda path: computed.append(path.name) or path.read_text())
    assert computed == ["a"] and all(
        (folder / place / "mico-runner" / "test.json").is_file() for place in ("one", "two")
    )


def test_a_file_that_changes_is_read_again(folder):
    with Remembered("test.json", version="7") as memory:
        assert memory(folder / "a", lambda path: path.read_text()) == "a"
        (folder / "a").write_text("longer")
        assert memory(folder / "a", lambda path: path.read_text()) == "longer"
