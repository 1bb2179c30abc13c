"""Decoders for one token at a time: step t is row t of the whole sequence, in the reference and in C."""

import shutil
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from mico_runner.codegen import generate_networks
from mico_runner.codegen.lowering import lower
from mico_runner.codegen.policy import KernelPolicy
from mico_runner.errors import UsageError
from mico_runner.graph import capture
from mico_runner.models.llama import Llama, LlamaSizes
from mico_runner.models.vit import Attention
from mico_runner.quant import PTQ, Executor, reference
from mico_runner.quant.one_token import one_token
from mico_runner.quant.qgraph import LayerBits
from mico_runner.sections import ActivationOptions
from mico_runner.targets import program, protocol, qemu
from mico_runner.targets.host_kernels import build_networks, run_many

TOKENS = 7


def decoder(seed, ternary=False):
    torch.manual_seed(seed)
    made = Llama(LlamaSizes(8, 12, 2, 4, 2, 20, TOKENS), ternary=ternary).eval()
    with torch.no_grad():
        for weight in made.parameters():
            weight += torch.randn_like(weight) / 3
    return made


CASES = ((0, False, (8, 8), 8), (1, True, (1.5, 8), 8), (2, False, (3, 5), 4))


@cache
def case(seed, ternary, bits, kv_bits):
    """A whole network and the one for one token, four sequences and their rows."""
    graph = capture(decoder(seed, ternary), (TOKENS,), f"decoder{seed}", whole=(0,))
    x = np.random.default_rng(seed).integers(0, 20, (4, TOKENS))
    ptq = PTQ(graph, x, activations=ActivationOptions(kv_bits=kv_bits))
    whole = ptq.quantize({node.name: LayerBits(*bits) for node in graph.weighted})
    rows = Executor(whole).run(reference.quantize_input(whole, x))
    steps = [x.reshape(-1, 1).astype(np.uint8), np.tile(np.arange(TOKENS, dtype=np.uint8), 4)[:, None]]
    return whole, one_token(whole), x.astype(np.uint8), steps, rows


@pytest.fixture(scope="module", params=CASES)
def networks(request):
    return case(*request.param)


def test_a_step_gives_its_row_of_the_whole(networks):
    whole, single, x, steps, rows = networks
    np.testing.assert_array_equal(reference.run(whole, x), rows)
    found = reference.run_many(single, steps)[0]
    assert found.shape == (4 * TOKENS, 1, 20)
    np.testing.assert_array_equal(found.reshape(rows.shape), rows)


def test_c_keeps_keys_and_values_from_token_to_token(tmp_path):
    cases = [case(*each) for each in CASES]
    binary = build_networks(
        [graph for whole, single, *_ in cases for graph in (whole, single)], tmp_path, sanitize=True
    )
    found = run_many(binary, [given for _, _, x, steps, _ in cases for given in ([x], steps)])
    for i, (*_, rows) in enumerate(cases):
        np.testing.assert_array_equal(found[2 * i][0], rows)
        np.testing.assert_array_equal(found[2 * i + 1][0].reshape(rows.shape), rows)


@pytest.mark.nightly
@pytest.mark.parametrize("on", ["rv32", "cortex-m55"])
def test_boards_give_the_integers_of_the_whole(tmp_path, on):
    """A sequence at once, and token by token."""
    machine = qemu.machine(on)
    if not all(map(shutil.which, (machine.gcc, machine.qemu, "make"))):
        pytest.skip(f"needs {machine.gcc} and {machine.qemu} (make setup-qemu)")
    cases = [case(*each) for each in CASES]
    graphs = [graph for whole, single, *_ in cases for graph in (whole, single)]
    names = [replace(graph, name=f"network{i}") for i, graph in enumerate(graphs)]
    generate_networks(names, tmp_path, KernelPolicy.of("baremetal", on if on == "cortex-m55" else None))
    elf = qemu.build(tmp_path, on)
    networks = program.describe(elf.parent.parent)["networks"]
    given = [inputs for _, _, x, steps, _ in cases for inputs in ([x], steps)]
    content = protocol.encode(networks, given)
    words = qemu.execute(machine, elf, np.uint32(len(content)).tobytes() + content)
    runs, _ = protocol.parse(words, networks, [len(inputs[0]) for inputs in given], elf.name, stack=True)
    for i, (*_, rows) in enumerate(cases):
        for found in runs[2 * i : 2 * i + 2]:
            np.testing.assert_array_equal(found.outputs.reshape(rows.shape), rows)


def test_what_is_kept_lies_behind_the_plan(networks):
    program = lower(networks[1], KernelPolicy())
    kept = [p for p in program.memory if p.tensor.endswith(("_keys", "_values"))]
    assert len(kept) == 4 and sum(p.bytes for p in kept) == 4 * TOKENS * 4 <= program.kept_bytes
    others = [p for p in program.memory if p not in kept]
    assert (
        max(p.offset + p.bytes for p in others)
        <= min(p.offset for p in kept)
        == program.arena_bytes - program.kept_bytes
    )


def test_the_past_does_not_depend_on_the_future(networks):
    whole, _, x, _, rows = networks
    changed = x.copy()
    changed[:, 4:] = (changed[:, 4:] + 7) % 20
    found = Executor(whole).run(changed)
    np.testing.assert_array_equal(found[:, :4], rows[:, :4])
    assert (found[:, 4:] != rows[:, 4:]).any()


def test_a_network_whose_tokens_meet_elsewhere_is_refused():
    graph = capture(torch.nn.Sequential(torch.nn.Embedding(9, 8), Attention(8, 2)), (5,), "encoder", whole=(0,))
    whole = PTQ(graph, np.arange(10).reshape(2, 5) % 9).quantize({n.name: LayerBits(8, 8) for n in graph.weighted})
    with pytest.raises(UsageError, match=r"network 'encoder': (node|tensor)"):
        one_token(whole)


def test_gradients_of_rope_and_attention_are_those_of_plain_torch():
    from mico_runner.ops.attention import _attention, causal_attention
    from mico_runner.ops.rope import _turned, rope

    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 5, width, requires_grad=True) for width in (8, 4, 4))
    ours = causal_attention(rope(q, 2, 1e4), rope(k, 2, 1e4), v, 4, 2)
    plain = _attention(_turned(q, 2, 1e4, 1.0), _turned(k, 2, 1e4, 1.0), v, 4, 2)
    for found, expected in zip(*(torch.autograd.grad((y**2).sum(), (q, k, v)) for y in (ours, plain)), strict=True):
        torch.testing.assert_close(found, expected)
