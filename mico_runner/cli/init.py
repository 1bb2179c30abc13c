"""`mico-run init`."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from mico_runner import console
from mico_runner.amounts import SIZE, SIZE_TEXT
from mico_runner.cli.arguments import OK, Commands, add_command
from mico_runner.errors import UsageError


def add(commands: Commands) -> None:
    parser = add_command(commands, "init", _init, "write a first spec")
    parser.add_argument("--hardware", metavar="NAME", help="the chip; see mico-run list hardware")
    help_ = "name of the spec (default: that of the file that -o names, else my-HARDWARE)"
    parser.add_argument("--name", metavar="NAME", help=help_)
    parser.add_argument("--model", metavar="FILE[:ENTRY]", help="network of your own: .py, .onnx, .tflite")
    help_ = "data of your own: folder of images or sounds, .npz, .csv, .py:ENTRY"
    parser.add_argument("--data", metavar="PATH", help=help_)
    parser.add_argument("--kind", metavar="TASK", help="what that data is for, by default classification")
    for memory in ("flash", "ram"):
        help_ = f"limit of {memory}, such as 24KiB"
        parser.add_argument(f"--{memory}", type=_size, metavar="SIZE", help=help_)
    parser.add_argument("-o", "--output", metavar="FILE", help="default: NAME.yaml")


def _size(text: str) -> str:
    if not re.fullmatch(SIZE, text):
        raise argparse.ArgumentTypeError(f"{text!r} is not {SIZE_TEXT}")
    return text


def _init(args: argparse.Namespace) -> int:
    from mico_runner.spec.known import device_templates
    from mico_runner.spec.starter import starter

    if args.hardware is None:
        chips = ", ".join(device_templates())
        raise UsageError(f"init needs --hardware NAME, the chip that the network is for; allowed: {chips}")
    name = args.name or (Path(args.output).stem if args.output else f"my-{args.hardware}")
    path = Path(args.output or f"{name}.yaml")
    text = starter(args.hardware, name, path.parent, args.model, args.data, args.kind, args.flash, args.ram)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} exists already; choose another name with -o") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
    console.out(f"{path} written; next: mico-run {path}")
    return OK
