"""log_mel: near a plain computation in floats, the same integers everywhere, from raw samples on."""

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.fft
import torch
from torch import nn

from mico_runner import codegen
from mico_runner.errors import StepError, UsageError
from mico_runner.graph import capture
from mico_runner.models.frontends import MFCC, LogMel
from mico_runner.quant import PTQ, Executor, LayerBits, quantize_input, reference
from mico_runner.quant.qgraph import QType
from mico_runner.quant.storage import load, save
from mico_runner.targets import host_kernels

RECORDINGS = "tasks/spoken_digits/spoken_digits.npz"
RATE, FRAME, HOP, BANDS = 8000, 256, 128, 40


def plain(x, frame=FRAME, size=FRAME, hop=HOP, bands=BANDS, low=20.0):
    """Log energies of sounds (N, samples), written once more: triangles by their corners, all in float64."""

    def mel(hertz):
        return 1127.01048 * np.log(1 + np.asarray(hertz) / 700)  # as HTK has it in C: 2595 / ln 10

    floor = (frame / 4) ** 2 / 2**32
    starts = range(0, x.shape[1] - frame + 1, hop)
    window = np.sin(np.pi * np.arange(frame) / frame) ** 2
    spectra = np.stack([np.fft.rfft(x[:, i : i + frame] * window, size) for i in starts], axis=1)
    corners = np.linspace(mel(low), mel(RATE / 2), bands + 2)
    at = mel(np.fft.rfftfreq(size, 1 / RATE))
    filters = [np.interp(at, corners[i : i + 3], [0, 1, 0]) for i in range(bands)]
    return np.log((np.abs(spectra) ** 2 @ np.transpose(filters) + floor) / floor)


def quantised(module, samples, images):
    graph = capture(module, (1, samples), "net")
    return PTQ(graph, images).quantize({node.name: LayerBits(8, 8) for node in graph.weighted})


def as_real(integers):
    return (integers / 2.0**15).astype(np.float32)


def noise(count, samples, seed=0):
    """int16 sounds (count, 1, samples) from soft to loud, one of silence, the extremes."""
    rng = np.random.default_rng(seed)
    loudness = 2.0 ** rng.uniform(0, 15, (count, 1, 1))
    found = np.clip(np.rint(rng.normal(size=(count, 1, samples)) * loudness), -(2**15), 2**15 - 1).astype(np.int16)
    found[0], found[1, 0, ::2], found[1, 0, 1::2] = 0, -(2**15), 2**15 - 1
    return found


@pytest.mark.parametrize(("frame", "size", "hop", "bands"), [(256, 256, 128, 40), (200, 256, 80, 20), (49, 64, 60, 5)])
def test_the_module_is_what_numpy_computes(frame, size, hop, bands):
    x = as_real(noise(6, 1000)).astype(np.float64)
    found = LogMel(RATE, frame, hop, bands)(torch.from_numpy(x))
    np.testing.assert_allclose(found[:, 0], plain(x[:, 0], frame, size, hop, bands), atol=1e-5)
    assert not found[0].any()  # silence


def test_coefficients_are_the_cosine_transform():
    mel = LogMel(RATE, FRAME, HOP, 20)
    x = torch.from_numpy(as_real(noise(4, 700)))
    expected = scipy.fft.dct(mel(x).numpy(), norm="ortho")[..., :13]
    np.testing.assert_allclose(MFCC(mel, 13)(x).detach(), expected, atol=1e-4)


class Words(nn.Module):
    """A network that starts from raw samples; coefficients where their number is given."""

    def __init__(self, coefficients=0):
        super().__init__()
        mel = LogMel(RATE, FRAME, HOP, 16)
        self.front = MFCC(mel, coefficients) if coefficients else mel
        self.conv, self.head = nn.Conv2d(1, 4, 3, stride=2), nn.Linear(4, 5)

    def forward(self, x):
        return self.head(self.conv(self.front(x)).relu().mean((2, 3)))


@pytest.mark.parametrize("coefficients", [0, 10])
def test_a_network_takes_raw_samples(coefficients, tmp_path):
    torch.manual_seed(0)
    module, raw = Words(coefficients).eval(), noise(24, 1500)
    qgraph = quantised(module, raw.shape[-1], as_real(raw))
    assert qgraph.tensors["input"].type == QType(16, True, 2.0**-15)
    given = quantize_input(qgraph, as_real(raw))
    assert given.dtype == np.int16
    np.testing.assert_array_equal(given, raw)
    expected = reference.run(qgraph, raw)
    np.testing.assert_array_equal(Executor(qgraph).run(raw, batch_size=7), expected)
    binary = host_kernels.build_networks([qgraph], tmp_path / "many", sanitize=True)
    np.testing.assert_array_equal(host_kernels.run_networks(binary, [raw])[0], expected)
    with torch.no_grad():
        right = module(torch.from_numpy(as_real(raw))).numpy()
    error = expected * qgraph.tensors[qgraph.output].type.scale - right
    assert np.square(error).sum() < 1e-3 * np.square(right).sum()  # 30 dB
    save(qgraph, tmp_path / "net")
    np.testing.assert_array_equal(reference.run(load(tmp_path / "net"), raw), expected)


def test_a_generated_folder_reads_16_bits_a_sample(tmp_path):
    raw = noise(3, 600)
    qgraph = quantised(Words(), 600, as_real(raw))
    codegen.generate(qgraph, tmp_path)
    assert "#define NET_INPUT_BYTES 1200 " in (tmp_path / "net.h").read_text()
    for target in (["test"], []):
        subprocess.run(["make", *target], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "in.bin").write_bytes(raw.astype("<i2").tobytes())
    subprocess.run(["build/net", "in.bin", "out.bin"], cwd=tmp_path, check=True)
    found = np.fromfile(tmp_path / "out.bin", np.int32).reshape(3, -1)
    np.testing.assert_array_equal(found, reference.run(qgraph, raw))


class Mixed(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.mel, self.conv, self.function = LogMel(RATE, 64, 32, 4), nn.Conv1d(1, 2, 3), function

    def forward(self, x):
        return self.function(self, x)


@pytest.mark.parametrize("shape", [(300,), (1, 1, 300)])
def test_a_view_of_the_input_is_the_input(shape):
    raw = noise(4, 300).reshape(4, *shape)
    graph = capture(Mixed(lambda s, x: s.mel(x.reshape(-1, 1, 300))), shape, "net")
    qgraph = PTQ(graph, as_real(raw)).quantize({})
    np.testing.assert_array_equal(quantize_input(qgraph, as_real(raw)), raw)


def test_an_input_has_one_type():
    graph = capture(Mixed(lambda s, x: (s.mel(x), s.conv(x))), (1, 300), "net")
    images = as_real(noise(4, 300))
    with pytest.raises(
        StepError, match=r"input 'input' is read as integers of several types: 'log_mel' \(log_mel\): QType"
    ):
        PTQ(graph, images).quantize({"conv": LayerBits(8, 8)})


def test_elements_of_16_bits_are_not_moved(tmp_path):
    graph = capture(Mixed(lambda s, x: s.mel(x.reshape(-1, 1, 300))), (2, 15, 10), "net")
    qgraph = PTQ(graph, as_real(noise(4, 300)).reshape(4, 2, 15, 10)).quantize({})
    with pytest.raises(StepError, match="moves elements of an input of 16 bits"):
        codegen.generate(qgraph, tmp_path)


def test_a_sound_of_another_scale_is_quantised_with_it():
    """Behind an operator, the scale is what calibration finds."""
    raw = noise(16, 600)
    module = Mixed(lambda s, x: s.mel(0.5 * x))
    graph = capture(module, (1, 600), "net")
    qgraph = PTQ(graph, as_real(raw)).quantize({})
    given, (start, made) = quantize_input(qgraph, as_real(raw)), (qgraph.tensors[t].type for t in ("input", "log_mel"))
    assert (start.bits, start.scale) != (16, 2.0**-15)
    expected = module(torch.from_numpy(given * np.float32(start.scale))).numpy()
    assert np.abs(reference.run(qgraph, given) * made.scale - expected).max() < 0.01
    loud = capture(Mixed(lambda s, x: s.mel(3e4 * x)), (1, 600), "net")
    with pytest.raises(
        StepError, match=r"node 'log_mel': floor is 5.96046e-08; allowed for its input's scale, .*: \d+.\d+ .. "
    ):
        PTQ(loud, as_real(raw)).quantize({})
    rectified = capture(Mixed(lambda s, x: s.mel(0.5 * x.abs())), (1, 600), "net")
    with pytest.raises(StepError, match="node 'log_mel' reads 16 bits without a sign; allowed: sound, which has one"):
        PTQ(rectified, as_real(raw)).quantize({})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frame": 3}, "frame is 3; allowed: 4 .. 32768"),
        ({"hop": 0}, "hop is 0; allowed: from 1 on"),
        ({"bands": 0}, "bands is 0; allowed: from 1 on"),
        ({"high": 4001.0}, "high is 4001.0; allowed: above 0, up to half the rate, 4000"),
        ({"low": 4000.0}, "low is 4000.0; allowed: from 0 on, below high, 4000"),
        ({"floor": 0.0}, "floor is 0.0; allowed: above 0"),
        ({"bands": 128}, "bands is 128: number 4, counted from 0, holds none of the frequencies 31.25 Hz apart"),
    ],
)
def test_values_that_are_not_allowed(change, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        LogMel(**{"sample_rate": RATE, "frame": FRAME, "hop": HOP, "bands": BANDS} | change)


def test_what_cannot_be_captured():
    with pytest.raises(UsageError, match=r"log-mel of shape \(2, 600\) is not supported; allowed: \(1, samples\)"):
        capture(LogMel(RATE, FRAME, HOP, BANDS), (2, 600), "net")
    with pytest.raises(UsageError, match=r"coefficients is 41; allowed: 1 \.\. 40, the number of bands"):
        MFCC(LogMel(RATE, FRAME, HOP, BANDS), 41)


def front_end(raw, bits):
    """The front end alone, its output of 16 bits, or of 8 as a layer behind it reads."""
    graph = capture(nn.Sequential(LogMel(RATE, FRAME, HOP, BANDS), nn.Conv2d(1, 1, 1)), raw.shape[1:], "net")
    qgraph = PTQ(graph, as_real(raw[:256])).quantize({"1": LayerBits(8, bits)})
    front = qgraph.nodes[0]
    return replace(qgraph, nodes=(front,), outputs=(front.output,))


def off(qgraph, raw):
    """Greatest distance in steps from the plain computation, as far as the type reaches."""
    made = qgraph.tensors[qgraph.output].type
    exact = plain(raw[:, 0] / 2.0**15)[:, None] / made.scale
    return np.abs(reference.run(qgraph, raw) - exact.clip(made.qmin, made.qmax)).max()


def test_tones_are_within_a_rounding():
    """Every tenth of a frequency of the transform, at full and least amplitude: most energy is beside a band, or nothing is left."""
    hertz = np.arange(0, 4000, RATE / FRAME / 10)
    turn = 2 * np.pi * hertz[:, None] * np.arange(3 * FRAME) / RATE
    raw = np.concatenate([np.rint(a * np.sin(turn + 1)) for a in (2**15 - 1, 1)]).astype(np.int16)[:, None]
    assert off(front_end(raw, 8), raw) < 0.52


@pytest.mark.slow
def test_recordings(tmp_path):
    if not os.environ.get("MICO_DATA_MIRROR"):
        pytest.skip("MICO_DATA_MIRROR is not set: there are no recordings")
    path = Path(os.environ["MICO_DATA_MIRROR"]) / RECORDINGS
    if not path.is_file():
        pytest.skip(f"the mirror has no {RECORDINGS}")
    with np.load(path) as data:
        samples, offsets = data["samples"], data["offsets"]
    raw = np.zeros((600, 1, RATE), np.int16)
    for sound, first, end in zip(raw, offsets[:-1:5], offsets[1::5], strict=True):
        sound[0, : end - first] = samples[first:end][:RATE]
    qgraph = front_end(raw, 8)
    assert off(qgraph, raw) < 0.52
    binary = host_kernels.build_networks([qgraph], tmp_path, sanitize=True)
    np.testing.assert_array_equal(host_kernels.run_networks(binary, [raw])[0], reference.run(qgraph, raw))
