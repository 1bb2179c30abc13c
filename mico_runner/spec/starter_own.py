"""The sections of a first spec for a network and data of the user's own: what their files are is seen from their names and headers."""

from __future__ import annotations

import ast
import json
from pathlib import Path

from mico_runner import user_code
from mico_runner.data.files import read_text
from mico_runner.data.folders import PICTURES, SOUNDS
from mico_runner.errors import UsageError
from mico_runner.formats import READERS, ending

RECIPE = "{epochs: 20, lr: 4.0e-3, batch_size: 64, weight_decay: 1.0e-2}"


def own_model_section(wanted: str, folder: Path) -> str:
    """`model` for "net.py:Net", "net.py" of one class, "net.onnx" or "net.tflite". Raises UsageError."""
    file, _, entry = wanted.partition(":")
    path = _existing(Path(file), "--model")
    shown = _named(path, folder)
    if ending(path) in READERS.names() and not entry:
        return f"{{file: {shown}}}"
    if path.suffix != ".py":
        endings = ", ".join(f".{each}" for each in READERS.names())
        raise UsageError(
            f"--model {wanted}: allowed: a file {endings}, or .py with the name of its class or function: net.py:Net"
        )
    return f"\n  file: {shown}\n  entry: {_entry(path, entry, '--model')}\n  train: {RECIPE}"


def own_data_section(wanted: str, folder: Path, kind: str | None) -> str:
    """`datasets` of a kind of task for a folder of images or WAV files, "data.npz", "table.csv" or "data.py:load".

    The last column of a table is its target.

    Raises UsageError.
    """
    file, _, entry = wanted.partition(":")
    path = _existing(Path(file), "--data")
    shown = _named(path, folder)
    if path.is_dir():
        task = f"{_kind_of_folder(path)}: {shown}"
    elif path.suffix == ".npz":
        task = f"npz: {shown}"
    elif path.suffix == ".csv":
        head = read_text(path).split("\n", 1)[0].rstrip("\r")
        task = f"csv: {shown}, target: {json.dumps(head.split(',')[-1].strip())}"
    elif path.suffix == ".py":
        task = f"file: {shown}, entry: {_entry(path, entry, '--data')}"
    else:
        raise UsageError(
            f"--data {wanted}: allowed: a folder of images or of WAV files, .npz, .csv, .py with the name of its function"
        )
    return f"{{task: {{{task}{f', kind: {kind}' if kind else ''}}}}}"


def _existing(path: Path, option: str) -> Path:
    if not path.exists():
        raise UsageError(f"{option} {path}: no such file or folder")
    return path.resolve()


def _named(path: Path, folder: Path) -> str:
    """The path from the spec's folder if it lies below it, else absolute, as YAML takes it."""
    base = folder.resolve()
    return json.dumps(str(path.relative_to(base) if path.is_relative_to(base) else path), ensure_ascii=False)


def _entry(path: Path, entry: str, option: str) -> str:
    """The name of a class or function of a Python file, which is not run; the only one where none is given."""
    names = user_code.entries(path)  # imported ones, too
    if entry in names or (entry and user_code.EVERY_NAME in names):
        return entry
    tree = ast.parse(path.read_bytes())
    known = [node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    if not entry and len(known) == 1:
        return known[0]
    found = f"{path.name} has no {entry!r}" if entry else f"{path.name} defines {len(known)} classes and functions"
    raise UsageError(f"{option}: {found}; allowed: {path.name}:NAME, one of {', '.join(known) or 'none'}")


def _kind_of_folder(path: Path) -> str:
    """ "images" or "audio", by the first files that are one of both."""
    for file in path.rglob("*"):
        if file.suffix.lower() in SOUNDS:
            return "audio"
        if file.suffix.lower() in PICTURES:
            return "images"
    raise UsageError(
        f"--data {path}: found no image ({', '.join(PICTURES)}) and no sound ({', '.join(SOUNDS)}) in the folder"
    )
