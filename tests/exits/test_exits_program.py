"""A network with exits: heads are attached where they belong, and the C program leaves where the reference does."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from mico_runner import codegen, graph, quant
from mico_runner.errors import StepError, UsageError
from mico_runner.exits import places
from mico_runner.exits.heads import Heads, as_scores, head
from mico_runner.graph.run import run_float, run_many
from mico_runner.quant import reference, storage
from mico_runner.quant.executor import Executor
from mico_runner.quant.exits import margins, staged, stages, taken
from mico_runner.quant.qgraph import Exit, LayerBits
from mico_runner.targets import host


class Body(nn.Module):
    """Two blocks with a branch each, so that only some tensors are necks."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.c, self.d = nn.Conv2d(4, 8, 3, 2, 1), nn.Conv2d(4, 8, 1, 2)
        self.end = nn.Linear(8, 5)

    def forward(self, x):
        x = torch.relu(self.a(x))
        x = torch.relu(self.b(x) + x)
        x = torch.relu(self.c(x) + self.d(x))
        return self.end(x.mean((2, 3)))


@pytest.fixture(scope="module")
def heads():
    torch.manual_seed(0)
    network = graph.capture(Body(), (3, 8, 8), "body")
    found = Heads(network, places.spread(network, 3), 4)
    for parameter in found.parameters():
        nn.init.normal_(parameter, std=0.7)
    return found.eval()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).random((60, 3, 8, 8), np.float32)


@pytest.fixture(scope="module")
def whole(heads, images):
    attached = heads.attached()
    return quant.PTQ(attached, images).quantize({n.name: LayerBits(8, 8) for n in attached.weighted})


def with_exits(whole, images, share=0.4):
    """Exits that about so many of the images take that come there."""
    answers = Executor(whole).run_many([quant.quantize_input(whole, images)])
    levels = [int(np.quantile(margins(each), 1 - share)) for each in answers[:-1]]
    return staged(whole, [Exit(t, m) for t, m in zip(whole.outputs[:-1], levels, strict=True)])


def test_necks_are_where_all_passes(heads):
    known = places.necks(heads.network)
    assert [heads.network.shapes[place] for place in known] == [(4, 8, 8), (4, 8, 8), (8, 4, 4)]  # no branch alone
    assert heads.places == tuple(known)[:2]  # behind the last there is next to nothing to spare
    with pytest.raises(UsageError, match=r"model.exits.at: found 'b'; allowed: .*% of the products"):
        places.checked(heads.network, ("b",))


def test_the_attached_network_computes_what_the_heads_do(heads, images):
    x = torch.from_numpy(images[:4])
    with torch.no_grad():
        wanted = heads.answers(x)
    found = run_many(heads.attached(), [images[:4]])
    for i, each in enumerate(found):
        torch.testing.assert_close(each, wanted[:, :, i], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[-1], run_float(heads.network, images[:4]))


def test_a_head_of_no_channels_is_a_linear_layer():
    assert sum(p.numel() for p in head((8, 4, 4), 0, 5).parameters()) == 45
    assert sum(p.numel() for p in head((8, 4, 4), 4, 5).parameters()) > 500


def test_probabilities_become_scores():
    scores = torch.randn(3, 5)
    torch.testing.assert_close(as_scores(scores.softmax(1)).softmax(1), scores.softmax(1))
    assert as_scores(scores) is scores


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_reference_and_executor_leave_where_the_definition_says(whole, images, share):
    graph_ = with_exits(whole, images, share)
    given = quant.quantize_input(graph_, images)
    answers = reference.run_many(replace(graph_, outputs=graph_.answers, exits=()), [given])
    wanted = []
    for row in zip(*answers, strict=True):
        early = [s for s, exit in zip(row, graph_.exits, strict=False) if np.diff(np.sort(s)[-2:])[0] >= exit.margin]
        wanted.append([*early, row[-1]][0])
    assert (reference.run(graph_, given) == np.array(wanted)).all()
    assert (Executor(graph_).run(given) == np.array(wanted)).all()


def test_stages_have_every_node_once_and_only_what_they_need(whole, images):
    found = with_exits(whole, images)
    parts = stages(found)
    assert [node for part in parts for node in part] == list(found.nodes) and len(parts) == 3
    assert not any(node.name.startswith("exit1.") for node in parts[0])
    only = staged(whole, [Exit(whole.outputs[1], 5)])
    assert not any(node.name.startswith("exit0.") for node in only.nodes)
    with pytest.raises(StepError, match=r"exit 'input'; allowed: outputs before"):
        staged(whole, [Exit("input", 1)])


def test_what_is_stored_is_what_is_read(whole, images, tmp_path):
    found = with_exits(whole, images)
    storage.save(found, tmp_path / "q")
    assert storage.load(tmp_path / "q").exits == found.exits


@pytest.mark.parametrize("runtime", ["host", "baremetal"])
def test_the_program_gives_the_references_integers(whole, images, tmp_path, runtime):
    found = with_exits(whole, images)
    codegen.generate(found, tmp_path, runtime)
    given = quant.quantize_input(found, images)
    left = taken(found.exits, reference.run_many(replace(found, outputs=found.answers, exits=()), [given]))
    assert set(left) == {0, 1, 2}, "some images take each exit"
    binary = host.build(tmp_path, cflags="-O1")
    assert (host.run(binary, given) == reference.run(found, given)).all()


def test_rows_are_refused(whole, images, tmp_path):
    with pytest.raises(StepError, match="a network with exits runs layer by layer"):
        codegen.generate(with_exits(whole, images), tmp_path, "baremetal", schedule="rows")
