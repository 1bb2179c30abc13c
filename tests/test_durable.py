"""Files that tell when they are damaged."""

import json
import os
import random

import pytest

from mico_runner import durable
from mico_runner.durable import DamagedError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file"


@pytest.mark.parametrize("content", [b"", b"\n", b"one\ntwo", bytes(range(256)) * 9])
def test_a_checked_file_gives_back_what_was_written(path, content):
    assert durable.read_checked(path) is None
    for given in (b"older", content):
        durable.write_checked(path, given)
    assert durable.read_checked(path) == content
    assert os.listdir(path.parent) == ["file"]


def test_every_flipped_bit_and_every_cut_of_a_checked_file_is_noticed(path):
    durable.write_checked(path, b"some content")
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(DamagedError):
            durable.read_checked(path)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedError):
            durable.read_checked(path)


def test_a_checked_file_of_another_place_is_noticed(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        durable.write_checked(tmp_path / folder / "file", folder.encode())
    (tmp_path / "a" / "file").rename(tmp_path / "b" / "file")
    with pytest.raises(DamagedError):
        durable.read_checked(tmp_path / "b" / "file")


def test_a_folder_in_the_place_of_a_file_is_noticed_and_replaced(path):
    (path / "inner").mkdir(parents=True)
    with pytest.raises(DamagedError, match="it is no file"):
        durable.read_checked(path)
    durable.write_checked(path, b"content")
    assert durable.read_checked(path) == b"content"


def test_a_journal_keeps_its_whole_lines_whatever_happens_to_the_others(path):
    records = [{"number": number, "text": "äöü\n" * number, "values": [0.1 * number, None]} for number in range(20)]
    draw = random.Random(0)
    for _ in range(200):
        path.unlink(missing_ok=True)
        durable.append_lines(path, records[:10])
        durable.append_lines(path, records[10:])
        content = bytearray(path.read_bytes())
        at = draw.randrange(len(content))
        content[at] ^= 1 << draw.randrange(8)
        path.write_bytes(content[: draw.choice([len(content), at + 1])])
        kept, _ = durable.read_lines(path)
        assert [r for r in records if r in kept] == kept and len(kept) >= path.read_bytes().count(b"\n")
        durable.append_lines(path, [{"number": 99}])
        assert durable.read_lines(path) == ([*kept, {"number": 99}], "")


def test_what_is_dropped_of_a_journal_is_said(path):
    assert durable.read_lines(path) == ([], "")
    durable.append_lines(path, [{"a": 1}, {"a": 2}])
    first, second = path.read_text().splitlines(keepends=True)
    path.write_text(first + second[:-5])
    assert durable.read_lines(path) == ([{"a": 1}], ""), "a crash cuts the last line short: no damage"
    path.write_text(first.replace("1", "3", 1) + second)
    assert durable.read_lines(path) == ([{"a": 2}], "1 of 2 lines do not match their sum")
    path.unlink()
    path.mkdir()
    assert durable.read_lines(path) == ([], "it is no file") and not path.exists()
    path.write_text(json.dumps({"a": 1}) + "\n")
    assert durable.read_lines(path) == ([], "1 of 1 lines do not match their sum"), "a line without a sum"


def test_damage_of_a_folder_is_named(tmp_path):
    folder = tmp_path / "artifacts"
    (folder / "inner").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "inner" / "b.txt").write_text("b")
    wanted = durable.contents(folder)
    assert durable.damage(folder, wanted) == "" and set(wanted) == {"a.txt", "inner", "inner/b.txt"}
    (folder / "a.txt").write_text("c")
    assert durable.damage(folder, wanted) == "a.txt is not what was written"
    (folder / "a.txt").unlink()
    assert durable.damage(folder, wanted) == "a.txt is missing"
    os.mkfifo(folder / "a.txt")  # is not opened, which would wait for ever
    assert durable.damage(folder, wanted) == "a.txt is not what was written"
    (folder / "a.txt").unlink()
    (folder / "a.txt").write_text("a")
    (folder / "another").mkdir()
    assert durable.damage(folder, wanted) == "another does not belong there"
    assert durable.damage(tmp_path / "nothing", wanted) == "nothing is missing"
