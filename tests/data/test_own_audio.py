"""Folders of WAV files: widths, channels, rates, lengths, log-mel; what is none is named."""

import struct
import wave

import numpy as np
import pytest

from mico_runner.data import audio, wav
from mico_runner.errors import UsageError
from mico_runner.ops.bands import Bands

RATE = 8000


def tone(seconds=0.1, hertz=440.0, rate=RATE):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def write(path, sound, rate=RATE, width=2):
    """Sound (samples,) or (samples, channels) of -1 .. 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    top = 2 ** (8 * width - 1)
    values = np.clip(np.rint(np.asarray(sound, float) * top), -top, top - 1).astype(np.int64)
    raw = (values + 128).astype(np.uint8) if width == 1 else values
    sample = raw.reshape(-1, 1).astype("<i8").view(np.uint8).reshape(-1, 8)[:, :width]
    with wave.open(str(path), "wb") as file:
        file.setparams((1 if np.ndim(sound) == 1 else np.shape(sound)[1], width, rate, 0, "NONE", ""))
        file.writeframes(sample.tobytes())
    return path


@pytest.fixture
def folder(tmp_path):
    for label, hertz in (("low", 300), ("high", 1500)):
        for take in range(2):
            write(tmp_path / "sounds" / f"{label}_{take}.wav", tone(hertz=hertz + take))
    return tmp_path / "sounds"


def load(folder, **params):
    return audio.load([folder], names="{label}_{take}", **params)[0]


def test_samples_classes_and_facts(folder):
    train = load(folder)
    assert train.inputs.shape == (4, 1, 800) and train.inputs.dtype == np.float32
    assert train.targets.tolist() == [0, 0, 1, 1] and train.about["label"].tolist() == ["high", "high", "low", "low"]
    assert train.about["take"].tolist() == ["0", "1", "0", "1"]
    np.testing.assert_allclose(train.floats()[2, 0], tone(hertz=300), atol=2**-16)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_every_width_gives_its_values(tmp_path, width):
    """The least value is -1, the largest below 1, in steps of 2^(1 - bits)."""
    step = 2.0 ** (1 - 8 * width)
    path = write(tmp_path / "a.wav", [-1.0, -0.5, 0.0, step, 0.25, 1.0], width=width)
    used = max(step, 2.0**-23)
    np.testing.assert_array_equal(wav.read(path), [-1, -0.5, 0, step if width < 4 else 0, 0.25, 1 - used])
    assert wav.read(path).astype(np.float32).max() < 1


def test_channels_are_averaged(tmp_path):
    stereo = np.stack([np.full(8, 0.5), np.full(8, -0.25)], axis=1)
    np.testing.assert_array_equal(wav.read(write(tmp_path / "a.wav", stereo)), np.full(8, 0.125))


def test_the_newer_chunk_and_chunks_in_between_are_read(tmp_path):
    path = write(tmp_path / "a.wav", tone(), width=3)
    raw = path.read_bytes()
    form = struct.pack("<HHIIHHHHI", 0xFFFE, 1, RATE, 3 * RATE, 3, 24, 22, 24, 4)
    form += bytes.fromhex("0100 0000 0000 1000 8000 00aa 0038 9b71")
    between = b"LIST" + struct.pack("<I", 3) + b"abc\0"  # of odd length: filled up
    path.write_bytes(raw[:12] + b"fmt " + struct.pack("<I", 40) + form + between + raw[36:])
    np.testing.assert_allclose(wav.read(path), tone(), atol=2**-24)


def test_lengths_and_rates_are_one_or_made_one(folder):
    write(folder / "high_2.wav", tone(0.2, 1500))
    with pytest.raises(
        UsageError, match=r"high_2\.wav: found 1,600 samples; allowed: 800, as high_0\.wav, or give sec"
    ):
        load(folder)
    found = load(folder, seconds=0.15).floats()
    assert found.shape == (5, 1, 1200)
    assert not found[0, 0, 800:].any() and found[0, 0, :800].any() and found[2, 0, 800:].any()
    write(folder / "high_2.wav", tone(0.1, 1500, 16000), rate=16000)
    with pytest.raises(UsageError, match=r"high_2\.wav: found 16,000 samples a second; allowed: 8,000, as high_0\.wav"):
        load(folder)
    found = load(folder, rate=8000).floats()
    assert found.shape == (5, 1, 800)
    np.testing.assert_allclose(found[2, 0, 50:-50], tone(hertz=1500)[50:-50], atol=0.01)


@pytest.mark.parametrize("rate", [44100, 11025, 8001])
def test_the_length_after_resampling_is_known_before(folder, rate):
    train = load(folder, rate=rate)
    found = train.floats()
    assert found.shape == train.inputs.shape == (4, 1, -(-800 * rate // RATE)) and abs(found).max() < 1


def test_log_mel_is_what_its_formula_says():
    """Against sums written out: of frames, frequencies and bands one by one."""
    of = Bands(rate=8000, frame=100, hop=40, bands=6, low=50.0, high=3800.0, floor=1e-3)
    sound = np.random.default_rng(0).uniform(-1, 1, 350)
    frames = [sound[start : start + 100] for start in range(0, 251, 40)]
    mel = lambda hertz: 2595 * np.log10(1 + hertz / 700)  # noqa: E731
    edges = 700 * (10 ** (np.linspace(mel(50), mel(3800), 8) / 2595) - 1)
    found = of.of(sound)
    assert found.shape == (of.frames(350), 6) == (7, 6) and found.dtype == np.float32
    for i, frame in enumerate(frames):
        for band in range(6):
            energy = 0.0
            for k in range(65):
                hertz = k * 8000 / 128
                wave_ = np.exp(-2j * np.pi * k * np.arange(100) / 128)
                window = np.sin(np.pi * np.arange(100) / 100) ** 2
                low, peak, high = map(mel, edges[band : band + 3])
                weight = min((mel(hertz) - low) / (peak - low), (high - mel(hertz)) / (high - peak))
                energy += max(0.0, weight) * abs((frame * window * wave_).sum()) ** 2
            assert found[i, band] == pytest.approx(np.log(1 + energy / 1e-3), rel=1e-5)


def test_a_tone_is_in_its_band(folder):
    options = {"frame": 256, "hop": 128, "bands": 20}
    found = load(folder, features=options).floats()
    assert found.shape == (4, 1, 5, 20) and found.dtype == np.float32
    bands = found.mean(axis=2).argmax(axis=-1)[:, 0]
    assert bands[0] > bands[2] + 5, "1500 Hz is above 300 Hz"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"low": 3000, "high": 2000}, "low is 3000; allowed: from 0 on, below high, 2000"),
        ({"high": 5000}, "high is 5000; allowed: .* half the rate, 4000"),
        ({"bands": 200}, "bands is 200: number 0, counted from 0, holds none of the frequencies 31.25 Hz apart"),
        ({"frame": 1000}, "found a frame of 1000 samples; allowed: at most 800, the sound's"),
    ],
)
def test_features_that_cannot_be(folder, options, message):
    with pytest.raises(UsageError, match=message):
        load(folder, features={"frame": 256, "hop": 128, "bands": 20} | options)


def patched(offset, form, value):
    def change(path):
        raw = bytearray(path.read_bytes())
        struct.pack_into(form, raw, offset, value)
        path.write_bytes(raw)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.write_bytes(b""), "no WAV file: it does not begin with RIFF and WAVE"),
        (lambda p: p.write_bytes(p.read_bytes()[:30]), "cut short: its chunk 'fmt ' has 10 bytes"),
        (lambda p: p.write_bytes(p.read_bytes()[:36]), "no WAV file: it has no chunk 'fmt ' with a chunk 'data' after"),
        (lambda p: p.write_bytes(p.read_bytes()[:-2]), "found 1,600 bytes of samples by its header, 1,598 in the file"),
        (lambda p: write(p, []), "found 0 bytes of samples by its header"),
        (patched(20, "<H", 3), "found samples of format 3; allowed: 1, whole numbers"),
        (patched(34, "<H", 12), "found samples of 12 bits; allowed: 8, 16, 24, 32"),
        (patched(22, "<H", 0), "found 2 bytes for 0 channels of 16 bits"),
        (patched(22, "<H", 2), "found 2 bytes for 2 channels of 16 bits"),
        (patched(24, "<I", 0), "found 0 samples a second; allowed: 1,000 to 768,000"),
        (patched(24, "<I", 2**32 - 1), "found 4,294,967,295 samples a second"),
        (patched(40, "<I", 2**32 - 1), "found 4,294,967,295 bytes of samples by its header"),
        (patched(40, "<I", 1599), "found 1,599 bytes of samples by its header, 1,600 in the file; allowed: whole"),
        (patched(16, "<I", 2**32 - 1), "no WAV file: it has no chunk 'fmt ' with a chunk 'data' after"),
    ],
)
def test_what_is_no_sound_is_named(folder, change, message):
    change(folder / "high_0.wav")
    with pytest.raises(UsageError, match=rf"high_0\.wav: {message}"):
        load(folder)


def test_a_file_that_is_shorter_when_it_is_read(folder):
    train = load(folder)
    path = folder / "low_1.wav"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UsageError, match=r"low_1\.wav: found 1,600 bytes of samples by its header, 1,560 in the file"):
        train.floats()


def test_a_file_too_large_is_not_read(folder, monkeypatch):
    monkeypatch.setattr(wav, "MAX_BYTES", 1000)
    with pytest.raises(UsageError, match=r"high_0\.wav: found 1,644 bytes; allowed: at most 1,000"):
        load(folder)
