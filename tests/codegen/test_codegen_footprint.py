"""Flash and RAM: what is counted is what is emitted, and what is estimated is what is linked."""

import shutil

import numpy as np
import pytest
import torch
import yaml

from mico_runner import codegen, graph, paths
from mico_runner.codegen import description, emit, footprint
from mico_runner.codegen.deployment import Deployment
from mico_runner.codegen.footprint import BOARDS
from mico_runner.errors import UnknownName
from mico_runner.graph import costs
from mico_runner.models import MODELS
from mico_runner.quant import PTQ, LayerBits
from mico_runner.targets import code_size, program, qemu, rtl

TARGETS = [("host", None, "two_rows"), ("baremetal", "cortex-m3", "two_rows")]
TARGETS += [("baremetal", core, scratch) for core, scratch in (("full", "tables"), ("fullcfu-dot", "two_rows"))]
CORES = {"cortex-m": "cortex-m3", "rv32": "ibex", "rtl": "full"}
CORES |= {board: board for board in emit.ARM_TARGETS if board != "cortex-m"}


class Everything(torch.nn.Module):
    """Every operator that there is: pools, a sum, a concatenation, ReLUs that stand alone, depthwise, grouped, dilated layers."""

    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Conv2d(2, 8, 3, padding=1)
        self.deep, self.wide = (
            torch.nn.Conv2d(8, 8, 3, padding=1, groups=8),
            torch.nn.Conv2d(8, 8, 3, padding=2, dilation=2),
        )
        self.some, self.last = torch.nn.Conv2d(16, 6, 1, groups=2), torch.nn.Linear(6 * 2 * 2, 5)

    def forward(self, x):
        x = torch.max_pool2d(torch.relu(self.stem(x)), 2)
        x = torch.relu(torch.cat([self.deep(x) + x, self.wide(x)], dim=1))
        return self.last(torch.nn.functional.avg_pool2d(self.some(x), 2).flatten(1))


def quantiser(seed=0):
    torch.manual_seed(seed)
    network = graph.capture(Everything(), (2, 8, 8), "everything")
    return network, PTQ(network, np.random.default_rng(seed).random((16, 2, 8, 8), dtype=np.float32))


def mixed(network, rng):
    weights, activations = (1, 1.5, 2, 3, 4, 5, 6, 7, 8), (1, 2, 3, 4, 5, 6, 7, 8)
    return {n.name: LayerBits(float(rng.choice(weights)), int(rng.choice(activations))) for n in network.weighted}


@pytest.mark.parametrize("runtime, core, scratch", TARGETS)
def test_flash_that_is_counted_is_emitted(runtime, core, scratch):
    network, ptq = quantiser()
    rng = np.random.default_rng(1)
    for _ in range(6):
        bits = mixed(network, rng)
        program = Deployment(runtime, core, scratch, None).lower(ptq.quantize(bits))
        assert sum(description.sections(program).values()) == costs.model_bytes(network, bits)
        for call in program.calls:
            if call.weights:  # each layer's, too
                node = next(n for n in network.weighted if n.name == call.node)
                assert sum(table.nbytes for table in call.constants.values()) == costs.node_bytes(
                    node, bits[call.node].weight
                )


def test_without_a_board_flash_is_the_tables():
    network, ptq = quantiser()
    deployed = ptq.quantize(mixed(network, np.random.default_rng(2)))
    needs = Deployment("host", None, "two_rows", None).needs(deployed)
    assert needs.flash == needs.tables and needs.stack == 0
    assert needs.ram == needs.arena + needs.input + needs.output and needs.output == 4 * 5 and needs.input == 2 * 8 * 8


@pytest.mark.parametrize("board", BOARDS)
def test_more_than_the_tables_and_never_less_than_what_every_program_has(board):
    network, ptq = quantiser()
    deployment = Deployment("baremetal", CORES[board], "two_rows", board)
    int8 = ptq.quantize({n.name: LayerBits(8, 8) for n in network.weighted})
    rng = np.random.default_rng(3)
    for _ in range(4):
        needs = deployment.needs(ptq.quantize(mixed(network, rng)))
        assert needs.flash > needs.tables + deployment.least_code(int8) - 1
        assert needs.stack > 0


def test_a_kernel_that_was_not_measured_is_said(monkeypatch):
    known = footprint._measured("rv32")
    monkeypatch.setattr(footprint, "_measured", lambda board: known._replace(functions={}))
    _, ptq = quantiser()
    program = Deployment("baremetal", "ibex", "two_rows", None).lower(
        ptq.quantize({n.name: LayerBits(8, 8) for n in ptq.graph.weighted})
    )
    with pytest.raises(UnknownName, match=r"kernel in hardware/programs/rv32.yaml"):
        footprint.estimate(program, "rv32")


def _recorded(board):
    return yaml.safe_load((paths.shipped("hardware") / "programs" / f"{board}.yaml").read_text(encoding="utf-8"))


def _needs_tools(board):
    if shutil.which(BOARDS[board].gcc) is None:
        pytest.skip(f"{BOARDS[board].gcc} is not installed: {rtl.INSTALL if board == 'rtl' else qemu.INSTALL}")
    recorded = _recorded(board)
    if recorded["compiler"] != code_size.version(board):
        pytest.skip(f"figures are of {recorded['compiler']}, installed is {code_size.version(board)}")
    return recorded


@pytest.mark.slow
@pytest.mark.parametrize("board", BOARDS)
def test_estimates_are_what_is_linked(board, tmp_path):
    """Within one per cent, and rather too much."""
    _needs_tools(board)
    torch.manual_seed(1)
    lenet = graph.capture(MODELS.get("lenet")((1, 28, 28), 10), (1, 28, 28), "lenet")
    pairs = [(lenet, PTQ(lenet, np.random.default_rng(0).random((8, 1, 28, 28), dtype=np.float32))), quantiser()]
    rng = np.random.default_rng(4)
    for number, (network, ptq) in enumerate(pairs):
        some = {n.name: LayerBits(*(float(rng.choice([2, 4])), int(rng.choice([2, 8])))) for n in network.weighted}
        deployed = ptq.quantize(some)
        deployment = Deployment("baremetal", CORES[board], "two_rows", board)
        found = deployment.footprint(deployment.lower(deployed))
        codegen.generate(deployed, tmp_path / str(number), runtime="baremetal", core=CORES[board])
        if board == "rtl":
            image = rtl.build(tmp_path / str(number))
            flash, stack = image.stat().st_size, rtl.stack_bound(image).bytes
        else:
            machine = next(name for name, m in qemu.MACHINES.items() if m.folder == board)
            elf = qemu.build(tmp_path / str(number), machine)
            flash, stack = program.flash_bytes(elf, board), qemu.stack_bound(elf, machine).bytes
        assert flash <= found.flash <= 1.01 * flash + BOARDS[board].page
        assert stack <= found.stack <= stack + 64


@pytest.mark.parametrize("board", BOARDS)
def test_figures_are_of_the_present_kernels(board, tmp_path):
    assert _recorded(board)["kernels"] == code_size.kernels(board, tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("board", BOARDS)
def test_kernels_measured_again_have_the_same_figures(board, tmp_path):
    recorded = _needs_tools(board)
    found = code_size.measure(board, tmp_path)
    assert yaml.safe_load(code_size.text(board, found, recorded["kernels"])) == recorded
