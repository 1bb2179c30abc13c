"""Programs whose layers run row by row: the same integers, in the memory that the schedule predicts."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from codegen_graphs import OUTPUT, Network, images, inverted_network, random_network

from mico_runner import codegen
from mico_runner.codegen.lowering import lower
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.errors import UnknownName
from mico_runner.quant import reference
from mico_runner.quant.qgraph import TERNARY, QGraph, QType
from mico_runner.targets import qemu
from mico_runner.targets.host_kernels import POLICY, build_networks, run_networks

BAREMETAL = KernelPolicy.of("baremetal")
BITS = [(8, 8, 3, 18), (4, 4, 5, 21), (1, 1, 3, 19), (TERNARY, 8, 7, 24)]


def inverted_networks(seed: int) -> list[QGraph]:
    rng = np.random.default_rng(seed)
    return [inverted_network(rng, *bits) for bits in BITS]


@pytest.mark.parametrize("policy", [POLICY, BAREMETAL], ids=["host", "baremetal"])
def test_the_arena_is_what_the_schedule_predicts(policy):
    for graph in inverted_networks(0):
        layers, rows = lower(graph, policy), lower(graph, policy, "rows")
        assert rows.stages and rows.arena_bytes == rows.predicted_arena_bytes == rows.lower_bound
        assert rows.arena_bytes < 0.7 * layers.arena_bytes


def test_buffers_that_live_together_do_not_overlap():
    """But for a stage's output in its input."""
    for graph in inverted_networks(1):
        program = lower(graph, POLICY, "rows")
        for i, a in enumerate(program.memory):
            for b in program.memory[:i]:
                together = a.first_node <= b.last_node and b.first_node <= a.last_node
                apart = a.offset + a.bytes <= b.offset or b.offset + b.bytes <= a.offset
                assert not together or apart or (a.offset, a.bytes) == (b.offset, b.bytes)


@pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("make")), reason="needs gcc and make")
@pytest.mark.parametrize(
    ("policy", "seed"),
    [
        pytest.param(KernelPolicy(), 1, marks=pytest.mark.nightly),
        pytest.param(POLICY, 2, marks=pytest.mark.nightly),
        pytest.param(BAREMETAL, 3, marks=pytest.mark.nightly),
    ],
    ids=["plain", "host", "baremetal"],
)
def test_the_same_integers_row_by_row(policy, seed, tmp_path):
    """With sanitizers: each arena is exactly as large as stated."""
    assert_same(inverted_networks(seed), policy, tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(4))
def test_the_same_integers_of_random_networks(seed, tmp_path):
    rng = np.random.default_rng(100 + seed)
    networks = [random_network(rng) for _ in range(40)] + inverted_networks(200 + seed)
    assert sum(bool(lower(graph, POLICY, "rows").stages) for graph in networks) > 10
    for policy, max_macs in ((POLICY, 1.0), (BAREMETAL, 1.0), (POLICY, 1.5), (BAREMETAL, 2.5)):
        assert_same(networks, policy, tmp_path / f"{policy.tiles}{max_macs}", max_macs)


def assert_same(graphs, policy, folder, max_macs=1.0):
    rng = np.random.default_rng(7)
    inputs = [images(graph, rng) for graph in graphs]
    binary = build_networks(graphs, folder, sanitize=True, policy=policy, schedule="rows", max_macs=max_macs)
    for i, (graph, x, found) in enumerate(zip(graphs, inputs, run_networks(binary, inputs), strict=True)):
        np.testing.assert_array_equal(found, reference.run(graph, x), err_msg=f"network {i}")


@pytest.mark.parametrize("policy", [POLICY, BAREMETAL], ids=["host", "baremetal"])
def test_strips_take_less_memory_for_products_computed_twice(policy):
    for graph in inverted_networks(0):
        rows, strips = lower(graph, policy, "rows"), lower(graph, policy, "rows", 1.5)
        assert strips.arena_bytes == strips.predicted_arena_bytes == strips.lower_bound <= rows.arena_bytes
    widths = [stage.starts for graph in inverted_networks(0) for stage in lower(graph, policy, "rows", 1.5).stages]
    assert any(len(starts) > 1 for starts in widths)


@pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("make")), reason="needs gcc and make")
def test_a_layer_that_is_read_twice_and_an_output_that_is_an_image(tmp_path):
    """A sum of two branches whose windows differ; its rows go straight to the caller's output."""
    net = Network(np.random.default_rng(0), (4, 12, 9))
    kind = QType(8, False, 0.5)
    x = net.conv("x", 6, (3, 3), 8, padding=(1, 1), to=kind)
    y = net.conv(x, 6, (5, 5), 8, padding=(2, 2), to=kind)
    graph = net.done(net.add(net.conv(y, 6, (3, 3), 8, padding=(1, 1), to=kind), x, to=OUTPUT))
    program = lower(graph, POLICY, "rows")
    x = images(graph, np.random.default_rng(0))
    for max_macs in (1.0, 3.0):
        assert (len(lower(graph, KernelPolicy(), "rows", max_macs).stages[0].starts) > 1) == (max_macs > 1)
        binary = build_networks(
            [graph], tmp_path / str(max_macs), policy=KernelPolicy(), schedule="rows", max_macs=max_macs
        )
        np.testing.assert_array_equal(run_networks(binary, [x])[0], reference.run(graph, x))
    (stage,) = program.stages
    rows = {line.tensor: count for line, count in zip(stage.rows.lines, stage.rows.rows, strict=True) if not line.whole}
    assert "output" in [line.memory for line in stage.lines]
    assert list(rows.values()) == [
        3,
        5,
        3,
        1,
    ]  # the image's; the sum waits for no row that the window of five does not read


@pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("make")), reason="needs gcc and make")
def test_an_image_that_is_read_with_other_rows_is_whole(tmp_path):
    """A view of the same memory: what makes it and what reads it count other rows."""
    net = Network(np.random.default_rng(0), (4, 5, 8))
    x = net.conv("x", 4, (3, 3), 8, padding=(1, 1), to=QType(8, False, 0.5))
    y = net.conv(net.reshape(x, (4, 8, 5)), 4, (3, 3), 8, padding=(1, 1), to=QType(8, False, 0.5))
    assert_same([net.done(y)], BAREMETAL, tmp_path)


def test_an_unknown_schedule_is_refused(tmp_path):
    with pytest.raises(UnknownName, match="layers, rows"):
        codegen.generate(inverted_networks(0)[0], tmp_path, schedule="columns")


@pytest.mark.nightly
def test_on_qemu(tmp_path):
    graph = inverted_networks(5)[0]
    x = images(graph, np.random.default_rng(0), 1)
    result = codegen.generate(graph, tmp_path, "baremetal", schedule="rows")
    assert result.arena_bytes == lower(graph, BAREMETAL, "rows").predicted_arena_bytes
    assert f"ARENA_BYTES {result.arena_bytes} " in (tmp_path / f"{result.name}.h").read_text()
    machine = qemu.machine_for("cortex-m")
    found = qemu.run(qemu.build(tmp_path, machine), [x], machine)
    np.testing.assert_array_equal(found.networks[0].outputs, reference.run(graph, x))
