"""What steps give to `ctx.map` can be done by any process: it is copied, and gives what it gives here."""

import pickle
import shutil

import numpy as np
import pytest

from mico_runner import codegen, outputs, spec
from mico_runner.executor import Here, Mapper
from mico_runner.executor.slots import ALONE
from mico_runner.outputs import store
from mico_runner.pipeline import Options, running
from mico_runner.quant import reference
from mico_runner.steps import qemu as on_qemu
from mico_runner.steps import simulate
from mico_runner.targets import host, qemu
from mico_runner.targets.one_kernel import single_layer

LENET = "codesign.networks={lenet: {input: [1, 28, 28], classes: 10}}"
SMALL = {
    "mappings": ("mapper-proofs", [LENET, "codesign.mappings={budgets: [20, 40]}"]),
    "designs": (
        "codesign-resnet18-gemmini",
        [
            LENET,
            "codesign.vary=null",
            "codesign.vary={parameters.rows: [8, 16]}",
            "codesign.bits={weight_bits: [4, 8], activation_bits: [8], noise_of: [4, 8]}",
            "codesign.evaluations=100",
        ],
    ),
}


def elsewhere(mapped):
    """A map whose function and items are those of another process; notes what it was asked."""

    def call(self, function, items, here=False):
        items = list(items)
        mapped.append((type(function).__name__, len(items)))
        copied = pickle.loads(pickle.dumps(function))
        return (pickle.loads(pickle.dumps(copied(pickle.loads(pickle.dumps(item))))) for item in items)

    return call


@pytest.mark.parametrize(("kind", "function"), [("mappings", "_Proof"), ("designs", "_Solve")])
def test_batches_of_a_codesign_can_be_done_elsewhere(kind, function, tmp_path, monkeypatch):
    name, changes = SMALL[kind]
    data = spec.load(name, ["codesign.networks=null", "gates=null", *changes]).data
    monkeypatch.setattr(outputs, "write_report", lambda version: (version / "report.html").write_text("report"))
    found = []
    for run in ("here", "there"):
        mapped = []
        if run == "there":
            monkeypatch.setattr(Mapper, "__call__", elsewhere(mapped))
        version = running.run(data, Options(tmp_path / run, quiet=True)).version
        found.append({name: m.to_json() for name, m in store.metrics(version).items() if not m.volatile})
    assert found[0] == found[1]
    assert {called for called, _ in mapped} == {function} and all(count > 1 for _, count in mapped)


@pytest.fixture
def program():
    """A network of one layer, and images for it."""
    rng = np.random.default_rng(3)
    graph = single_layer("linear", in_channels=5, out_channels=3, weight_bits=4, act_bits=8, rng=rng)
    return graph, rng.integers(0, 256, (7, *graph.tensors[graph.input].shape))


def test_images_of_a_program_in_parts_give_what_they_give_together(program, tmp_path):
    graph, images = program
    codegen.generate(graph, tmp_path / "c")
    run = pickle.loads(pickle.dumps(simulate._CAndReference((host.build(tmp_path / "c", cflags="-O0"),), graph)))
    found, expected = (np.concatenate(of) for of in zip(run(images[:4]), run(images[4:]), strict=True))
    assert (found == reference.run(graph, images)).all() and (expected == found).all()


@pytest.mark.skipif(not shutil.which("qemu-system-riscv32"), reason="needs make setup-qemu")
@pytest.mark.skipif(not shutil.which("riscv64-unknown-elf-gcc"), reason="needs make setup-qemu")
def test_images_on_qemu_in_parts_take_what_they_take_together(program, tmp_path):
    graph, images = program
    codegen.generate(graph, tmp_path / "c", runtime="baremetal")
    run = pickle.loads(pickle.dumps(on_qemu._OnQemu(qemu.build(tmp_path / "c", "rv32"), "rv32", graph)))
    whole, parts = run(images), [run(images[:4]), run(images[4:])]
    for field in ("outputs", "expected", "instructions"):
        assert (np.concatenate([getattr(part, field) for part in parts]) == getattr(whole, field)).all()
    assert max(part.stack_bytes for part in parts) == whole.stack_bytes


def test_a_map_of_files_of_this_machine_stays_on_it():
    with Here() as workers:
        assert list(Mapper(workers, 1, print)(abs, [-1, 2], here=True)) == [1, 2]
    assert list(Mapper(ALONE, 1, print)(abs, [-1, 2], here=True)) == [1, 2]
