"""`mico-run init`."""

from __future__ import annotations

import argparse
from pathlib import Path

from mico_runner import console
from mico_runner.cli.arguments import OK, Commands, add_command
from mico_runner.errors import UsageError


def add(commands: Commands) -> None:
    parser = add_command(commands, "init", _init, "write a first spec")
    parser.add_argument("--hardware", required=True, metavar="NAME", help="see mico-run list hardware")
    parser.add_argument("--name", metavar="NAME", help="name of the spec (default: my-HARDWARE)")
    parser.add_argument("--model", metavar="FILE[:ENTRY]", help="network of your own: .py, .onnx, .tflite")
    help_ = "data of your own: folder of images or sounds, .npz, .csv, .py:ENTRY"
    parser.add_argument("--data", metavar="PATH", help=help_)
    parser.add_argument("-o", "--output", metavar="FILE", help="default: NAME.yaml")


def _init(args: argparse.Namespace) -> int:
    from mico_runner.spec.starter import starter

    name = args.name or f"my-{args.hardware}"
    path = Path(args.output or f"{name}.yaml")
    text = starter(args.hardware, name, path.parent, args.model, args.data)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} exists already; choose another name with -o") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
    console.out(f"{path} written; next: mico-run {path}")
    return OK
