"""UCI HAR, .ts, tokens and Speech Commands in their official forms; whatever else such a file holds is named by file and line."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from test_own_audio import tone, write

from mico_runner.data import audio, time_series, tokens, uci_har
from mico_runner.data.loading import load as load_source
from mico_runner.data.source import source_of
from mico_runner.errors import MicoError, UsageError

RNG = np.random.default_rng(0)


@pytest.fixture
def har(tmp_path):
    rng = np.random.default_rng(1)
    for part, count in (("train", 12), ("test", 6)):
        folder = tmp_path / "UCI HAR Dataset" / part
        folder.mkdir(parents=True)
        rows = rng.normal(3, 2, (count, 561))
        text = "\n".join("  " + " ".join(f"{value: .7e}" for value in row) for row in rows)  # as the official files are
        (folder / f"X_{part}.txt").write_text(text + "\n")
        (folder / f"y_{part}.txt").write_text("".join(f"{i % 6 + 1}\n" for i in range(count)))
        (folder / f"subject_{part}.txt").write_text("".join(f"{i // 6 + 1}\n" for i in range(count)))
    return tmp_path


def test_uci_har(har):
    train, test = uci_har.load([har])
    assert train.inputs.shape == (12, 561) and test.inputs.shape == (6, 561) and train.inputs.dtype == np.float32
    assert train.targets.tolist() == [0, 1, 2, 3, 4, 5] * 2 and train.about["subject"].tolist() == [1] * 6 + [2] * 6
    np.testing.assert_allclose(train.inputs.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(train.inputs.std(axis=0), 1, atol=1e-4)
    raw, raw_test = uci_har.load([har / "UCI HAR Dataset"], standardise=False)
    mean, spread = raw.inputs.mean(axis=0), raw.inputs.std(axis=0)
    np.testing.assert_allclose(test.inputs, (raw_test.inputs - mean) / spread, atol=1e-4)
    samples = load_source(source_of({"uci-har": str(har)}), validation=3)
    assert samples.outputs == 6 and len(samples.train) == 9 and len(samples.test) == 6


@pytest.mark.parametrize(
    ("file", "change", "match"),
    [
        (
            "train/y_train.txt",
            lambda t: t.replace("3", "7", 1),
            r"y_train.txt:3: found '7'; allowed: a whole number from 1 to 6",
        ),
        ("train/y_train.txt", lambda t: t + "1\n", "found 13 lines; allowed: 12"),
        ("test/X_test.txt", lambda t: t.replace("e", "x", 1), r"X_test.txt:1: found something else than numbers"),
        ("test/X_test.txt", lambda t: t.replace(".", "..", 1), r"X_test.txt:1: could not convert"),
        ("test/X_test.txt", lambda t: t[:-20], r"X_test.txt:6: found 560 values; allowed: 561"),
        ("test/X_test.txt", lambda t: t.replace("e+00", "e+99", 1), r"X_test.txt:\d: found a number beyond"),
        ("test/X_test.txt", lambda t: "", "found no line"),
        ("test/subject_test.txt", lambda t: t.replace("1", "-1", 1), "found '-1'"),
    ],
)
def test_uci_har_with_a_mistake(har, file, change, match):
    path = har / "UCI HAR Dataset" / file
    path.write_text(change(path.read_text()))
    with pytest.raises(UsageError, match=match):
        uci_har.load([har])


def test_uci_har_without_a_file_names_it(har):
    (har / "UCI HAR Dataset/test/y_test.txt").unlink()
    with pytest.raises(UsageError, match=r"y_test.txt: cannot be read"):
        uci_har.load([har])


@pytest.fixture
def archive(har, tmp_path):
    return Path(shutil.make_archive(str(tmp_path / "har"), "zip", har, "UCI HAR Dataset"))


def test_the_archive_is_the_folder(har, archive):
    for one, other in zip(uci_har.load([har]), uci_har.load([archive]), strict=True):
        assert np.array_equal(one.inputs, other.inputs) and np.array_equal(one.targets, other.targets)
        assert np.array_equal(one.about["subject"], other.about["subject"])


def test_an_archive_without_a_file_or_with_too_much_is_refused(archive, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(UsageError, match=r"X_train.txt: more than 1,000 bytes"):
        patch.setattr(uci_har, "MAX_BYTES", 1000)
        uci_har.load([archive])
    with zipfile.ZipFile(archive, "w") as empty:
        empty.writestr("UCI HAR Dataset/README.txt", "")
    with pytest.raises(UsageError, match=r"har.zip/UCI HAR Dataset/train/X_train.txt: not in the archive"):
        uci_har.load([archive])
    archive.write_bytes(b"PK")
    with pytest.raises(UsageError, match=r"har.zip: not a whole zip archive"):
        uci_har.load([archive])


SERIES = """#made here
@problemName Motions
@timeStamps false
@missing false
@univariate false
@dimensions 2
@equalLength true
@seriesLength 3
@classLabel true rest walk
@data
0.5,1e-1,-2:1,2,3:walk
1,1,1:0,0,.25:rest
"""


def series(tmp_path, train=SERIES, test=SERIES):
    files = [tmp_path / "A_TRAIN.ts", tmp_path / "A_TEST.ts"]
    for file, text in zip(files, (train, test), strict=True):
        file.write_text(text)
    return files


def test_series(tmp_path):
    train, test = time_series.load(series(tmp_path))
    assert train.inputs.dtype == np.float32 and train.targets.tolist() == [1, 0] == test.targets.tolist()
    np.testing.assert_allclose(train.inputs[0], [[0.5, 0.1, -2], [1, 2, 3]])


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (":walk", ":run", r"A_TEST.ts:11: found the class 'run'; allowed: rest, walk"),
        ("1,2,3", "1,2", "found channels of 3, 2 values"),
        ("1,1,1:0,0,.25", "1,1:0,0", r"found a series of \(2, 2\); allowed: \(2, 3\)"),
        ("1,2,3", "1,nan,3", "found the value 'nan'"),
        ("1,2,3", "1,?,3", r"found the value '\?'"),
        ("1,2,3", "1,1_0,3", "found the value '1_0'"),
        ("1,2,3", "1,1e99,3", "found the value '1e99'"),
        ("@missing false", "@missing true", "found @missing true; allowed: false"),
        ("@classLabel true rest walk", "@classLabel false", "found @classLabel 'false'"),
        (
            "@classLabel true rest walk",
            "@classLabel true walk rest",
            r"series .* of classes walk, rest; allowed: as in",
        ),
        ("@data", "data", "found 'data' before @data"),
        ("0.5,1e-1,-2:1,2,3:walk\n1,1,1:0,0,.25:rest\n", "", "found no series"),
        ("0.5,1e-1,-2:1,2,3:walk", "walk", "found channels of no channel values"),
    ],
)
def test_series_with_a_mistake(tmp_path, old, new, match):
    with pytest.raises(UsageError, match=match):
        time_series.load(series(tmp_path, test=SERIES.replace(old, new)))


def test_tokens(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(100, dtype=np.uint16))
    windows, test = tokens.load([tmp_path / "a.npy"], length=8)
    assert test is None and windows.inputs.shape == (12, 8) and windows.inputs.dtype == np.int64
    assert (windows.targets == windows.inputs + 1).all() and windows.inputs[1, 0] == 8


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (np.zeros((4, 50), np.uint16), r"found uint16 \(4, 50\)"),
        (np.zeros(100), "found float64"),
        (np.zeros(100, np.int16), "found int16"),
        (np.array([None] * 100), "found object"),
        (np.zeros(16, np.uint16), "found 16 tokens; allowed: 17 to"),
        (np.full(100, 2**32 - 1, np.uint32), "found the token 4,294,967,295"),
    ],
)
def test_other_arrays_are_no_tokens(tmp_path, values, match):
    np.save(tmp_path / "a.npy", values, allow_pickle=True)
    with pytest.raises(UsageError, match=match):
        tokens.load([tmp_path / "a.npy"], length=8)


@pytest.mark.parametrize("form", ["tokens", "series", "har", "archive"])
def test_damaged_files_are_usage_errors(tmp_path, har, archive, form):
    """Bytes flipped, cut off or doubled: it is read, or one error of ours names it."""
    if form == "tokens":
        path, read = tmp_path / "a.npy", lambda: tokens.load([tmp_path / "a.npy"], length=8)
        np.save(path, np.arange(100, dtype=np.uint16))
    elif form == "series":
        files = series(tmp_path)
        path, read = files[0], lambda: time_series.load(files)
    elif form == "archive":
        path, read = archive, lambda: uci_har.load([archive])
    else:
        path, read = har / "UCI HAR Dataset/test/y_test.txt", lambda: uci_har.load([har])
    raw, rng, refused = path.read_bytes(), np.random.default_rng(2), 0
    for _ in range(12 if form in ("har", "archive") else 300):
        damaged = bytearray(raw)
        at = int(rng.integers(len(raw)))
        match rng.integers(3):
            case 0:
                damaged[at] ^= 1 << int(rng.integers(8))
            case 1:
                del damaged[at:]
            case 2:
                damaged[at:at] = bytes(rng.integers(0, 256, 9, dtype=np.uint8))
        path.write_bytes(damaged)
        try:
            read()
        except MicoError as error:
            assert path.name in str(error)
            refused += 1
    assert refused


def test_speech_commands(tmp_path):
    """Its own folders, list and noise: the list is the test part, noise is no class."""
    for label, hertz in (("yes", 300), ("no", 900)):
        for speaker in ("a1", "b2", "c3"):
            write(tmp_path / label / f"{speaker}_nohash_0.wav", tone(hertz=hertz))
    write(tmp_path / "_background_noise_" / "pink.wav", tone(seconds=0.5))
    (tmp_path / "testing_list.txt").write_text("yes/c3_nohash_0.wav\nno/c3_nohash_0.wav\n")
    (tmp_path / "validation_list.txt").write_text("yes/b2_nohash_0.wav\n")
    (tmp_path / "LICENSE").write_text("CC BY 4.0")
    train, test = audio.load([tmp_path], names="{speaker}_nohash_{take}")
    assert train.about["speaker"].tolist() == ["a1", "b2"] * 2 and test.about["speaker"].tolist() == ["c3", "c3"]
    assert train.targets.tolist() == [0, 0, 1, 1] and test.targets.tolist() == [0, 1]
    for text, match in (
        ("yes/d4_nohash_0.wav", r"testing_list.txt:1: found 'yes/d4"),
        ("", "names 0 of 6 samples; allowed: some"),
        ("../../etc/passwd", "found '../../etc/passwd'"),
    ):
        (tmp_path / "testing_list.txt").write_text(text)
        with pytest.raises(UsageError, match=match):
            audio.load([tmp_path], names="{speaker}_nohash_{take}")


def test_what_is_learnt_from_tokens_need_not_be_said():
    assert source_of("tinystories-tokens").kind == source_of({"name": "tinystories-tokens"}).kind == "next-token"
    assert source_of({"name": "tinystories-tokens", "kind": "sequence-labelling"}).kind == "sequence-labelling"
    assert source_of("digits").kind == "classification"
