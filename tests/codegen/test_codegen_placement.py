"""Where arena and input lie on a core with a small cache: what is read again and again evicts little else."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from test_codegen_output import small_network

from mico_runner import codegen
from mico_runner.codegen import placement
from mico_runner.codegen.layout import Layout
from mico_runner.codegen.lowering import lower
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.codegen.program import Program
from mico_runner.quant.qgraph import QGraph
from mico_runner.targets import rtl
from mico_runner.targets.one_kernel import single_layer

POLICY = KernelPolicy.of("baremetal", "full")
NM = "riscv64-unknown-elf-nm"
needs_gcc = pytest.mark.skipif(
    not all(map(shutil.which, (rtl.GCC, NM, "make"))), reason="needs a RISC-V gcc and make (make setup-rtl)"
)
needs_rtl = pytest.mark.skipif(
    not all(map(shutil.which, ("verilator", rtl.GCC, "g++", "make")))
    or importlib.util.find_spec("pythondata_cpu_vexriscv") is None,
    reason="needs verilator, a RISC-V gcc and pythondata-cpu-vexriscv (make setup-rtl)",
)
LAYERS = [
    {"kind": "conv2d", "in_channels": 1, "out_channels": 6, "in_h": 32, "in_w": 32, "kernel_h": 5, "kernel_w": 5},
    {"kind": "conv2d", "in_channels": 6, "out_channels": 16, "in_h": 14, "in_w": 14, "kernel_h": 5, "kernel_w": 5},
    {"kind": "linear", "batch": 16, "in_channels": 64, "out_channels": 32},
    {"kind": "depthwise", "in_channels": 8, "in_h": 12, "in_w": 12, "kernel_h": 3, "kernel_w": 3},
    {"kind": "max_pool2d", "in_channels": 6, "in_h": 28, "in_w": 28, "kernel_h": 2, "kernel_w": 2, "stride": 2},
]


def networks(weight_bits: int = 8, act_bits: int = 8) -> list[QGraph]:
    rng = np.random.default_rng(0)
    graphs = []
    for i, layer in enumerate(LAYERS):
        bits = {} if "pool" in layer["kind"] else {"weight_bits": weight_bits, "act_bits": act_bits}
        graphs.append(replace(single_layer(rng=rng, **layer, **bits), name=f"kernel{i}"))
    return graphs


def programs(graphs: list[QGraph]) -> list[Program]:
    return [lower(graph, POLICY) for graph in graphs]


def sets(address: int, size: int) -> set[int]:
    return {line % placement.SETS for line in range(address // placement.LINE, -(-(address + size) // placement.LINE))}


@needs_gcc
def test_constants_lie_where_they_are_taken_to_lie(tmp_path):
    made = codegen.generate_networks(networks(), tmp_path, POLICY)
    elf = rtl.build(tmp_path).with_suffix(".elf")
    lines = subprocess.run([NM, "-S", elf], capture_output=True, text=True, check=True).stdout.splitlines()
    symbols = [line.split() for line in lines if len(line.split()) == 4]
    found = {(int(address, 16), int(size, 16)) for address, size, *_ in symbols}
    tables = placement.addresses(made)
    (start,) = {int(a, 16) for a, _, _, name in symbols if name == "kernel0_conv2d_weight"}
    start -= tables[0]["conv2d"][-1][0]
    assert start % placement.CACHE == 0
    expected = {(start + address, size) for calls in tables for parts in calls.values() for address, size in parts}
    assert expected <= found


def test_scratch_shares_no_line_with_weights_or_stack_where_there_is_room():
    for program in programs(networks()[:1]):
        (place,), (tables,) = placement.places([program]), placement.addresses([program])
        offset = next(p.offset for p in program.memory if p.tensor.endswith("scratch"))
        constants = set().union(*(sets(*part) for part in tables["conv2d"]))
        stack = sets(-placement.STACK - place.stack, placement.STACK)
        assert all(offset % placement.LINE == 0 and 0 <= offset < placement.CACHE for offset in place)
        assert not constants & stack
        assert not (constants | stack) & sets(place.arena + offset, program.calls[0].scratch_bytes)


def test_two_lines_of_a_set_evict_each_other_as_often_as_the_rarer_is_touched():
    often, rare, alone = (np.zeros(placement.SETS) for _ in range(3))
    often[3], rare[3], alone[5] = 10, 2, 100
    assert placement._evictions([often, rare, alone]) == 2 * 2


@needs_rtl
def test_a_kernel_takes_the_same_time_wherever_its_constants_lie(tmp_path):
    graphs = networks(2, 4)
    cycles = []
    for order in (graphs, graphs[::-1]):
        folder = tmp_path / order[0].name
        codegen.generate_networks(order, folder, POLICY)
        images = [np.ones((1, *graph.tensors[graph.input].shape), int) for graph in order]
        runs = rtl.run(rtl.build(folder), images, on="full")
        cycles.append({graph.name: run.cycles[0].sum() for graph, run in zip(order, runs, strict=True)})
    for name, found in cycles[0].items():
        assert cycles[1][name] == pytest.approx(found, rel=0.02)


@pytest.mark.parametrize("inside", [False, True])
def test_a_patch_shares_no_line_with_the_weights_that_are_read_beside_it(inside):
    """Both advance by a byte per tap: once they share a line, they do to the end."""
    rng = np.random.default_rng(0)
    for inputs in (84, 256, 520, 636, 1000):
        graph = single_layer("linear", in_channels=inputs, out_channels=10, weight_bits=8, act_bits=8, rng=rng)
        program = lower(graph, POLICY)
        (call,) = program.calls
        if inside:  # not in one piece, so that it is gathered
            program = replace(program, calls=[replace(call, fields={**call.fields, "zero_copy": 0})])
        (place,), (tables,) = placement.places([program]), placement.addresses([program])
        scratch = place.arena + next(p.offset for p in program.memory if p.tensor.endswith("scratch"))
        patch = scratch if inside else place.input
        address, _ = tables[call.name][-1]
        for row in range(10):
            apart = (patch - address - 4 * call.weights.words.shape[1] * row) % placement.CACHE
            assert placement.LINE <= apart <= placement.CACHE - placement.LINE


@needs_gcc
def test_constants_of_one_file_lie_where_those_of_many_do(tmp_path):
    graph = small_network("small")
    codegen.generate(graph, tmp_path, runtime="baremetal", layout=Layout("single"))
    elf = rtl.build(tmp_path).with_suffix(".elf")
    lines = subprocess.run([NM, "-S", elf], capture_output=True, text=True, check=True).stdout.splitlines()
    found = {(int(line.split()[0], 16), int(line.split()[1], 16)) for line in lines if len(line.split()) == 4}
    (tables,) = placement.addresses([lower(graph, KernelPolicy.of("baremetal"))])
    parts = [part for call in tables.values() for part in call]
    (start,) = {a for a, size in found if size == parts[0][1] and a and a % placement.CACHE == 0}
    assert {(start + address, size) for address, size in parts} <= found
