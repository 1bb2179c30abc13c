"""A network of a user's own from its file to C, and what is said before anything trains when that cannot be."""

import json

import numpy as np
import pytest
import torch
import yaml

from mico_runner import cli, data, graph, spec
from mico_runner.data.dataset import Split
from mico_runner.models import frontends, user_file
from mico_runner.quant import storage

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.conv = nn.Conv2d(1, width, 3, 2, bias=False)
        self.head = nn.Linear(width * 9, 10)

    def forward(self, x):
        return self.head(nn.functional.silu(self.conv(x)).flatten(1))

class Odd(Net):
    def forward(self, x):
        x = torch.cumprod(x, 2)
        x = torch.erfinv(x)
        return super().forward(torch.cumprod(x, 2))

class Few(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(64, 5))
"""
SPEC = {
    "spec_version": 1,
    "name": "own",
    "datasets": {"task": "digits", "validation": 200},
    "model": {"file": "net.py", "entry": "Net", "train": {"epochs": 2, "lr": 0.01}},
    "codegen": {},
    "simulate": {"images": 50},
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "net.py").write_text(NET, encoding="utf-8")
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(SPEC, sort_keys=False), encoding="utf-8")
    return tmp_path


def run(folder, *sets, command="run"):
    overrides = [part for change in sets for part in ("--set", change)]
    return cli.main([command, str(folder / "own.yaml"), *overrides, "--outputs", str(folder / "out")])


def metrics(folder):
    content = json.loads((folder / "out/own/latest/metrics.json").read_text(encoding="utf-8"))
    return {name: metric["value"] for name, metric in content.get("metrics", content).items()}


def test_int8_and_c_need_neither_hardware_nor_search(folder, capsys):
    assert run(folder) == 0, capsys.readouterr().err
    found = metrics(folder)
    assert found["simulate.logits_mismatches"] == 0
    assert found["simulate.accuracy"] > 60
    outputs = np.load(folder / "out/own/latest/steps/train/test_outputs.npy")
    right = outputs.argmax(axis=1) == data.load_data("digits").test.targets
    assert right.mean() * 100 == found["train.test_accuracy"]
    drop = right[:50].mean() * 100 - found["simulate.accuracy"]  # of the same images
    assert found["simulate.accuracy_drop"] == drop
    assert abs(found["evaluate.int8.validation_accuracy"] - found["train.validation_accuracy"]) < 3
    page = (folder / "out/own/latest/report.html").read_text(encoding="utf-8")
    for words in (
        "net.py: Net, trained on digits (200 samples held out for validation)",
        "8 for weights, 8 for activations, in every layer",
        f"50 test images, C program; float {100 * right[:50].mean():.2f} %",
        "chosen bits, C program, first 50 images",
    ):
        assert words in page


def test_weights_are_taken_as_they_are(folder, capsys):
    torch.manual_seed(5)
    model = user_file.build(folder / "net.py", "Net", {"width": 4})
    torch.save({"state_dict": model.state_dict()}, folder / "w.pt")
    changes = ["model.train=null", "model.params.width=4", "model.weights=w.pt", "gates=null", "codegen.bits=[4, 8]"]
    assert run(folder, *changes) == 0, capsys.readouterr().err
    step = folder / "out/own/latest/steps"
    with np.load(step / "train/model.npz") as found:
        assert all(np.array_equal(found[name], value) for name, value in model.state_dict().items())
    weighted = [node for node in storage.load(step / "codegen/qgraph").nodes if "weight" in node.constants]
    assert len(weighted) == 2
    assert all(-8 <= node.constants["weight"].min() < -3 < 3 < node.constants["weight"].max() <= 7 for node in weighted)
    assert metrics(folder)["simulate.logits_mismatches"] == 0


@pytest.mark.slow
def test_one_c_file_for_platformio(folder, capsys):
    """And the program is still built and run as any other."""
    changes = ["model.train.epochs=1", "gates=null", "codegen.bundle=single", "codegen.package=platformio"]
    assert run(folder, *changes) == 0, capsys.readouterr().err
    written = folder / "out/own/latest/steps/codegen/c"
    assert sorted(path.name for path in (written / "src").iterdir()) == ["own.c", "own.h"]
    assert (written / "library.json").is_file()
    assert metrics(folder)["simulate.logits_mismatches"] == 0


def test_all_that_is_missing_is_said_before_anything_trains(folder, capsys):
    assert run(folder, "model.entry=Odd") == 2
    text = capsys.readouterr().err
    assert "3 calls cannot be expressed" in text
    lines = NET.splitlines()
    for line, call in (
        (lines.index("        x = torch.cumprod(x, 2)") + 1, "cumprod"),
        (lines.index("        x = torch.erfinv(x)") + 1, "erfinv"),
    ):
        assert f"net.py:{line}: node '{call}'" in text
    assert not (folder / "out/own").exists()


def test_outputs_that_are_no_classes_are_refused(folder, capsys):
    assert run(folder, "model.entry=Few", command="plan") == 2
    assert "the network returns (N, 5); allowed: (N, 10) or more" in capsys.readouterr().err


def test_another_input_than_the_data_s_is_refused(folder, capsys):
    assert run(folder, "model.input=[1, 8, 9]", command="plan") == 2
    assert "(1, 8, 9) is the network's input, (1, 8, 8) that of data set 'digits'" in capsys.readouterr().err


def test_a_network_is_captured_once_for_the_same_files(folder, capsys):
    for said in (True, False):
        assert run(folder, command="plan") == 0
        assert ("capturing the network" in capsys.readouterr().err) == said
    text = (folder / "net.py").read_text(encoding="utf-8")
    (folder / "net.py").write_text(text.replace("silu", "gelu"), encoding="utf-8")
    assert run(folder, command="plan") == 0
    assert "capturing the network" in capsys.readouterr().err


def test_comments_and_what_the_entry_does_not_use_are_no_input(folder):
    before = train_reads(folder)
    (folder / "net.py").write_text(f"# a comment\n{NET}\nclass Unused: pass\n", encoding="utf-8")
    assert train_reads(folder) == before


def test_the_file_its_modules_and_the_weights_are_inputs(folder):
    (folder / "parts.py").write_text("WIDTH = 8\n", encoding="utf-8")
    (folder / "net.py").write_text(
        "from parts import WIDTH\n" + NET.replace("width=8", "width=WIDTH"), encoding="utf-8"
    )
    seen = [train_reads(folder)]
    (folder / "parts.py").write_text("WIDTH = 6\n", encoding="utf-8")
    seen.append(train_reads(folder))
    (folder / "net.py").write_text(
        (folder / "net.py").read_text(encoding="utf-8").replace("silu", "gelu"), encoding="utf-8"
    )
    seen.append(train_reads(folder))
    for width in (1, 2):
        model = user_file.build(folder / "net.py", "Net", {})
        torch.nn.init.constant_(model.head.bias, width)
        torch.save(model.state_dict(), folder / "w.pt")
        seen.append(train_reads(folder, "model.weights=w.pt"))
    assert len({json.dumps(each, sort_keys=True) for each in seen}) == len(seen)


def train_reads(folder, *sets):
    """Inputs of the train step."""
    from mico_runner.frozen_data import build, plain
    from mico_runner.sections import Sections
    from mico_runner.steps.inputs import model_inputs

    return plain(model_inputs(build(Sections, spec.load(folder / "own.yaml", sets).data)))


def test_validate_runs_no_code_of_the_user(folder):
    (folder / "net.py").write_text(NET + "\nopen('was_run', 'w')\n", encoding="utf-8")
    assert cli.main(["validate", str(folder / "own.yaml")]) == 0
    assert not (folder / "was_run").exists()


def test_the_resolved_spec_runs_again_from_anywhere(folder, tmp_path, monkeypatch):
    data = spec.load(folder / "own.yaml").data
    (tmp_path / "elsewhere").mkdir()
    again = tmp_path / "elsewhere/again.yaml"
    again.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    assert spec.load(again).data == data


def test_pixels_enter_as_the_spec_says(folder):
    images = np.array([0, 51, 255], np.uint8).reshape(1, 3, 1)
    assert Split(images, np.zeros(1), 255.0).floats().ravel().tolist() == [0, 51, 255]
    assert run(folder, "datasets.scale=2", command="plan") == 0


def test_pixels_are_normalised_within_the_network_that_is_deployed(folder, tmp_path):
    assert run(folder, "datasets.mean=[0.5]", "datasets.std=[0.25]") == 0
    found = metrics(folder)
    assert found["simulate.logits_mismatches"] == 0
    assert found["simulate.accuracy"] > 60
    header = next((folder / "out/own/latest/").rglob("own.h")).read_text(encoding="utf-8")
    assert f"unsigned 8 bits: height, width, channels; real = {1 / 255!r} * integer" in header


def test_the_first_step_normalises_each_channel():
    module = torch.nn.Conv2d(3, 4, 3, padding=1)
    x = torch.rand(2, 3, 8, 8)
    mean, std = (0.5, 0.25, 0.0), (0.5, 1.0, 2.0)
    plain = module((x - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1))
    frontends.normalise(module, mean, std)
    assert torch.allclose(module(x), plain, atol=1e-6)
    assert list(module.state_dict()) == ["weight", "bias"]
    captured = graph.capture(module, (3, 8, 8), "net")
    assert [node.op for node in captured.nodes] == ["affine", "conv2d"]


@pytest.mark.parametrize(
    ("values", "says"),
    [("datasets.mean=[0.1,0.2]", "datasets.mean: found 2 values; allowed: 1, one per channel of")],
)
def test_what_cannot_be_normalised_is_one_line(folder, capsys, values, says):
    assert run(folder, values, command="plan") == 2
    assert says in capsys.readouterr().err


PACKED = """
from net import Net as Plain

class Packed(Plain):
    def forward(self, x):
        return {"logits": super().forward(x)}

class Auxiliary(Plain):
    def forward(self, x):
        y = super().forward(x)
        return (y, y) if self.training else y

class Frozen(Plain):
    def __init__(self):
        super().__init__()
        self.requires_grad_(False)

class Detached(Plain):
    def forward(self, x):
        return super().forward(x).detach()

class Stops(Plain):
    def forward(self, x):
        raise SystemExit(7)

class Branches(Plain):
    def forward(self, x):
        return super().forward(x if x.sum() > 0 else -x)
"""


@pytest.fixture
def packed(folder):
    (folder / "packed.py").write_text(PACKED, encoding="utf-8")
    return folder


@pytest.mark.parametrize("recipe", ["null", "{epochs: 1, lr: 0.01}"])
def test_a_network_may_pack_its_only_output(packed, capsys, recipe):
    changes = ["model.file=packed.py", "model.entry=Packed", f"model.train={recipe}", "gates=null", "simulate=null"]
    assert run(packed, *changes) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("Auxiliary", "in training mode the network returns Tensor, Tensor; allowed: one tensor"),
        ("Frozen", "the network has no parameter that requires a gradient"),
        ("Detached", "the network cannot be trained, its first step fails: RuntimeError"),
        ("Stops", "cannot trace it: SystemExit: 7"),
        ("Branches", "its forward asks for the value of a tensor"),
    ],
)
def test_a_network_that_cannot_be_trained_or_traced_is_refused_before(packed, capsys, entry, says):
    assert run(packed, "model.file=packed.py", f"model.entry={entry}", command="plan") == 2
    text = capsys.readouterr().err
    assert says in text
    if "trace it" in text:
        line = PACKED.splitlines().index(f"class {entry}(Plain):") + 3
        assert f"packed.py:{line}: " in text


def test_a_file_that_imports_all_names_may_hold_any_entry(folder, capsys):
    (folder / "all.py").write_text("from net import *\n", encoding="utf-8")
    assert run(folder, "model.file=all.py", command="plan") == 0, capsys.readouterr().err


def test_a_module_beside_it_that_is_no_python_is_named(folder, capsys):
    (folder / "all.py").write_text("from other import Net\n", encoding="utf-8")
    (folder / "other.py").write_text("x = 1\ndef (", encoding="utf-8")
    assert run(folder, "model.file=all.py", command="plan") == 2
    assert "other.py:2: this is no Python: invalid syntax" in capsys.readouterr().err


def test_a_file_named_as_a_library_that_it_imports(folder, capsys):
    (folder / "torch.py").write_text(NET, encoding="utf-8")
    assert run(folder, "model.file=torch.py", command="plan") == 2
    assert "torch.py:3: running this file failed: ImportError" in capsys.readouterr().err


def test_what_the_file_prints_is_not_in_the_json(folder, capfd):
    (folder / "net.py").write_text(NET + "print('hello')\n", encoding="utf-8")
    overrides = ["--json", "--outputs", str(folder / "out")]
    assert cli.main(["plan", str(folder / "own.yaml"), *overrides]) == 0
    printed = capfd.readouterr()
    assert [row["action"] for row in json.loads(printed.out)] == ["run"] * 4
    assert "hello" in printed.err


def onnx_file(folder, shape):
    """A linear layer on all pixels."""
    onnx = pytest.importorskip("onnx")
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [make.make_node("Flatten", ["x"], ["f"]), make.make_node("MatMul", ["f", "w"], ["y"])]
    ends = [make.make_tensor_value_info(name, kind, sizes) for name, sizes in (("x", shape), ("y", ["N", 10]))]
    held = onnx.numpy_helper.from_array(np.ones((64, 10), np.float32), "w")
    graph = make.make_graph(nodes, "g", ends[:1], ends[1:], [held])
    onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8), folder / "net.onnx")
    return ["model.file=net.onnx", "model.entry=null", "model.train=null"]


@pytest.mark.parametrize(
    ("shape", "given", "says"),
    [
        (
            ["N", 1, "H", 8],
            "null",
            "sizes behind the batch must be fixed; name them: `input: [channels, height, width]`",
        ),
        (["N", 1, "H", 8], "[1, 8, 8]", None),
        (["N", 1, 8, 8], "[1, 8, 8]", None),
        (["N", 1, 8, 8], "[1, 8, 9]", "the input shape [1, 8, 9] does not fit it"),
        (["N", 8, 8, 1], "null", "they must be the same; channels come first"),
    ],
)
def test_sizes_that_a_file_leaves_open_are_named_in_the_spec(folder, capsys, shape, given, says):
    code = run(folder, *onnx_file(folder, shape), f"model.input={given}", command="plan")
    text = capsys.readouterr().err
    assert code == (2 if says else 0), text
    assert (says or "") in text
