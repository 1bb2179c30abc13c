"""Building and running on the host: results, caching, and every way in which a program can fail."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from mico_runner import codegen
from mico_runner.errors import StepError, StepSkipped
from mico_runner.kernel_table import KINDS
from mico_runner.quant import reference
from mico_runner.targets import host
from mico_runner.targets.host_kernels import build_networks, run_networks, time_kernels
from mico_runner.targets.one_kernel import single_layer

needs_gcc = pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("make")), reason="needs gcc and make")
FAST = "-O1"


def graph(seed: int = 0):
    rng = np.random.default_rng(seed)
    sizes = {"in_channels": 2, "out_channels": 3, "in_h": 5, "in_w": 6, "kernel_h": 3, "kernel_w": 2}
    return single_layer("conv2d", **sizes, weight_bits=5, act_bits=6, rng=rng)


def some_images(count: int = 4) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 64, (count, 2, 5, 6))


@pytest.fixture
def folder(tmp_path):
    codegen.generate(graph(), tmp_path / "c")
    return tmp_path / "c"


def replace_main(folder, body: str) -> None:
    """Put a `main` there that misbehaves."""
    (folder / "boards" / "host.c").write_text(f"#include <stdio.h>\n#include <stdlib.h>\n{body}\n")


@needs_gcc
@pytest.mark.parametrize("sanitize", [False, True])
def test_logits_are_those_of_the_reference(folder, sanitize):
    found = host.run(host.build(folder, sanitize=sanitize, cflags=FAST), some_images())
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, reference.run(graph(), some_images()))


@needs_gcc
def test_no_image_at_all(folder):
    assert host.run(host.build(folder, cflags=FAST), some_images(0)).shape == (0, 3, 3, 5)


@needs_gcc
def test_an_unchanged_program_is_not_built_again_and_a_changed_one_is(folder, tmp_path):
    first = host.build(folder, tmp_path / "builds", cflags=FAST)
    stamp = first.stat().st_mtime_ns
    assert host.build(folder, tmp_path / "builds", cflags=FAST) == first and first.stat().st_mtime_ns == stamp
    others = {
        host.build(folder, tmp_path / "builds", cflags="-O2"),
        host.build(folder, tmp_path / "builds", sanitize=True),
    }
    codegen.generate(graph(seed=7), folder)  # other weights under the same names
    os.utime(folder / "conv2d_weights.c", (0, 0))  # older than the binary, as after an unpacked archive
    changed = host.build(folder, tmp_path / "builds", cflags=FAST)
    assert len({first, changed, *others}) == 4
    np.testing.assert_array_equal(host.run(changed, some_images()), reference.run(graph(seed=7), some_images()))
    assert not list((tmp_path / "builds").glob(".*"))


@needs_gcc
@pytest.mark.parametrize(
    "damage", [lambda content: content[:-1], lambda content: bytes(len(content)), lambda content: b""]
)
def test_a_damaged_build_is_made_anew(folder, tmp_path, damage):
    built = host.build(folder, tmp_path / "builds", cflags=FAST)
    built.write_bytes(damage(built.read_bytes()))
    again = host.build(folder, tmp_path / "builds", cflags=FAST)
    np.testing.assert_array_equal(host.run(again, some_images()), reference.run(graph(), some_images()))


@needs_gcc
def test_layer_times_are_per_node(folder):
    times = host.time_layers(host.build(folder, timing=True, cflags=FAST), some_images(), repeats=3)
    assert [t.layer for t in times] == ["conv2d"] and times[0].ns > 0


@needs_gcc
def test_the_plain_program_holds_no_clock(folder):
    assert b"clock_gettime" not in host.build(folder, cflags=FAST).read_bytes()
    assert b"clock_gettime" in host.build(folder, timing=True, cflags=FAST).read_bytes()


@pytest.mark.parametrize("tool", ["gcc", "make"])
def test_a_missing_tool_skips_the_step_and_says_what_to_install(folder, tool, tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    for present in {"gcc", "make"} - {tool}:
        (tmp_path / "bin" / present).write_text("#!/bin/sh\n")
        (tmp_path / "bin" / present).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(StepSkipped, match=rf"needs {tool}, .*apt-get install gcc make"):
        host.build(folder)


@needs_gcc
def test_a_compile_error_shows_the_compilers_words_and_leaves_nothing(folder):
    replace_main(folder, "int main(void) { return undeclared; }")
    with pytest.raises(StepError, match=r"(?s)the C compiler failed.*undeclared") as error:
        host.build(folder)
    assert len(str(error.value).splitlines()) <= 17
    assert not list((folder / "build").iterdir())


@needs_gcc
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("int main(void) { abort(); }", "was ended by SIGABRT"),
        ('int main(void) { fprintf(stderr, "no luck\\n"); return 3; }', r"(?s)failed with exit code 3.*no luck"),
        ("int main(void) { return 0; }", "wrote no file as logits.bin instead of 720 bytes"),
        (
            'int main(int argc, char **argv) { FILE *f = fopen(argv[argc - 1], "w"); fputc(1, f); fclose(f); return 0; }',
            "wrote 1 bytes as logits.bin instead of 720 bytes",
        ),
        ("int main(void) { for (;;) {} }", "did not end within 1 s and was stopped"),
    ],
)
def test_a_program_that_fails_is_an_error(folder, body, message):
    replace_main(folder, body)
    with pytest.raises(StepError, match=message):
        host.run(host.build(folder, cflags="-O0"), some_images(), timeout_s=1)


@needs_gcc
def test_sanitizers_end_a_program_that_leaves_its_arena(folder):
    source = folder / "conv2d.c"
    text = source.read_text()
    source.write_text(text.replace("(arena + 0)", "(arena + 64)"))
    assert source.read_text() != text
    with pytest.raises(StepError, match="AddressSanitizer"):
        host.run(host.build(folder, sanitize=True), some_images())


@needs_gcc
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.full((1, 2, 5, 6), 64), "hold 64 .. 64, the network's input type allows 0 .. 63"),
        (np.full((1, 2, 5, 6), -1), "hold -1"),
        (np.zeros((1, 5, 6, 2), int), r"shape \(5, 6, 2\), the network reads \(2, 5, 6\)"),
    ],
)
def test_images_that_the_network_cannot_read(folder, images, message):
    with pytest.raises(ValueError, match=message):
        host.run(host.build(folder, cflags=FAST), images)


@needs_gcc
def test_a_folder_without_a_network(tmp_path):
    with pytest.raises(StepError, match="run codegen first"):
        host.build(tmp_path)


@needs_gcc
def test_single_layers_of_every_kind_run_and_are_timed(tmp_path):
    rng = np.random.default_rng(0)
    shape = {"in_channels": 4, "in_h": 6, "in_w": 5, "kernel_h": 2, "kernel_w": 3}
    layers = {
        "conv2d": {**shape, "out_channels": 8, "stride": 2, "groups": 4, "weight_bits": 1.5},
        "depthwise": {**shape, "weight_bits": 4},
        "max_pool2d": shape,
        "avg_pool2d": {**shape, "act_bits": 3},
        "add": {"in_channels": 4, "in_h": 6, "in_w": 5},
        "requant": {"in_channels": 4, "in_h": 6, "in_w": 5},
        "linear": {"in_channels": 30, "out_channels": 7, "batch": 3, "weight_bits": 1},
        "table": {"in_channels": 4, "in_h": 6, "in_w": 5},
    }
    assert set(layers) == set(KINDS)
    graphs = [single_layer(kind, **sizes, rng=rng) for kind, sizes in layers.items()]
    inputs = [rng.integers(0, g.tensors["x"].type.qmax + 1, (2, *g.tensors["x"].shape)) for g in graphs]
    for g, x, found in zip(graphs, inputs, run_networks(build_networks(graphs, tmp_path / "c"), inputs), strict=True):
        np.testing.assert_array_equal(found, reference.run(g, x))
    times = time_kernels(graphs, repeats=3, sample_ns=1000)
    assert len(times) == len(graphs)
    assert all(t.median_ns > 0 and t.spread_ns >= 0 for t in times)


@pytest.mark.parametrize(
    ("kind", "batch", "message"), [("softmax", 1, "no kernel of kind"), ("conv2d", 2, "not a batch of 2")]
)
def test_a_kernel_that_does_not_exist(kind, batch, message):
    with pytest.raises(ValueError, match=message):
        single_layer(kind, in_channels=4, batch=batch, rng=np.random.default_rng(0))
