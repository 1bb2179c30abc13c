"""Weights in files of a user's own."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from mico_runner.errors import UsageError
from mico_runner.models import weights


def network(width=4):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Linear(width, 2))


def saved(folder, form, state):
    file = folder / f"w.{form}"
    if form == "safetensors":
        pytest.importorskip("safetensors.torch").save_file(state, file)
    elif form == "npz":
        np.savez(file, **{name: value.numpy() for name, value in state.items()})
    else:
        torch.save(state, file)
    return file


@pytest.mark.parametrize("form", ["pt", "pth", "safetensors", "npz"])
def test_all_forms_give_the_same_weights(tmp_path, form):
    state = {name: value + 1 for name, value in network().state_dict().items()}
    found = network()
    weights.load(found, saved(tmp_path, form, state))
    assert all(torch.equal(found.state_dict()[name], value) for name, value in state.items())


@pytest.mark.parametrize("inside", ["state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "model."])
def test_checkpoints_of_trainers_are_understood(tmp_path, inside, prefix):
    state = {f"{prefix}{name}": value + 1 for name, value in network().state_dict().items()}
    found = network()
    weights.load(found, saved(tmp_path, "ckpt", {"epoch": 3, inside: state}))
    assert torch.equal(found[0].weight, network()[0].weight + 1)


def test_what_does_not_fit_is_listed(tmp_path):
    state = network(5).state_dict()
    state["2.bais"] = state.pop("2.bias")
    with pytest.raises(UsageError) as error:
        weights.load(network(), saved(tmp_path, "pt", state))
    text = str(error.value)
    assert "weights 1 missing: 2.bias" in text
    assert "1 that the network lacks: 2.bais" in text
    assert "of another shape: 0.weight (5, 3) instead of (4, 3)" in text
    assert text.endswith("did you mean '2.bais'?")


def test_nothing_is_changed_by_weights_that_do_not_fit(tmp_path):
    found = network()
    with pytest.raises(UsageError):
        weights.load(found, saved(tmp_path, "pt", network(5).state_dict()))
    assert all(torch.equal(a, b) for a, b in zip(found.parameters(), network().parameters(), strict=True))


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return exec, ("raise SystemExit('code of the file was run')",)


@pytest.mark.parametrize("content", [network(), Trap(), {"state_dict": Trap()}], ids=["module", "code", "inside"])
def test_no_code_of_a_file_is_run(tmp_path, content):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(UsageError, match=r"could run code; save the weights alone: torch.save\(model.state_dict"):
        weights.load(network(), tmp_path / "w.pt")


def test_objects_in_arrays_are_not_read(tmp_path):
    np.savez(tmp_path / "w.npz", a=np.array([Trap()], dtype=object))
    with pytest.raises(UsageError, match="plain arrays"):
        weights.load(network(), tmp_path / "w.npz")


@pytest.mark.parametrize("content", [[1, 2], {"a": 3}, {}, torch.zeros(3)], ids=str)
def test_what_holds_no_tensors_by_name_is_said(tmp_path, content):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(UsageError, match="allowed: the tensors of a state_dict by name"):
        weights.load(network(), tmp_path / "w.pt")


@pytest.mark.parametrize("form", ["pt", "safetensors", "npz"])
def test_a_damaged_file_is_one_error(tmp_path, form):
    whole = saved(tmp_path, form, network().state_dict()).read_bytes()
    draw = random.Random(0)
    file = tmp_path / f"damaged.{form}"
    for _ in range(60):
        damaged = bytearray(whole[: draw.randrange(len(whole))] if draw.random() < 0.5 else whole)
        for _ in range(draw.randrange(4)):
            if damaged:
                damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        file.write_bytes(bytes(damaged))
        try:
            weights.load(network(), file)
        except UsageError as error:
            assert str(file) in str(error)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda value: value.to(torch.int8), "0.weight int8"),
        (lambda value: value.to(torch.complex64), "0.weight complex64"),
        (lambda value: value.to("meta"), "0.weight on the device 'meta'"),
        (lambda value: value.to_sparse(), "0.weight float32 (sparse_coo)"),
    ],
)
def test_tensors_without_floating_point_values_are_refused(tmp_path, change, says):
    state = network().state_dict()
    state["0.weight"] = change(state["0.weight"])
    with pytest.raises(UsageError) as error:
        weights.load(network(), saved(tmp_path, "pt", state))
    assert f"weights 1 that are no floating-point values: {says}" in str(error.value)


@pytest.mark.parametrize("kind", ["f2", "f8", ">f4"])
def test_arrays_of_any_width_and_byte_order_are_read(tmp_path, kind):
    state = {name: value.half().float() for name, value in network().state_dict().items()}
    np.savez(tmp_path / "w.npz", **{name: value.numpy().astype(kind) for name, value in state.items()})
    found = network()
    weights.load(found, tmp_path / "w.npz")
    assert all(torch.equal(found.state_dict()[name], value) for name, value in state.items() if value.ndim)


@pytest.mark.parametrize("text", [b"hello", b"", b"\0"], ids=["text", "empty", "zero"])
def test_another_file_is_no_file_of_torch(tmp_path, text):
    (tmp_path / "w.pt").write_bytes(text)
    with pytest.raises(UsageError, match=r"w.pt: (not a complete file of torch.save|holds more than weights).* "):
        weights.load(network(), tmp_path / "w.pt")


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_a_module_of_torch_jit_is_no_weights(tmp_path):
    torch.jit.trace(network().eval(), torch.zeros(1, 3)).save(tmp_path / "w.pt")
    with pytest.raises(UsageError, match=r"holds a module of torch.jit, which is code; save the weights alone"):
        weights.load(network(), tmp_path / "w.pt")
