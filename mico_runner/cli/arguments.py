"""Arguments that several commands take, and the codes that they end with."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from mico_runner.errors import UsageError

OK, REGRESSION, USAGE, FAILED, INTERRUPTED = 0, 1, 2, 4, 130

Command: TypeAlias = Callable[[argparse.Namespace], int]
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_command(commands: Commands, name: str, command: Command, help_: str) -> argparse.ArgumentParser:
    """A command, with the argument that all of them take."""
    parser = commands.add_parser(name, help=help_, description=help_)
    parser.set_defaults(command=command)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_outputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--outputs", type=_folder, default=Path("outputs"), metavar="DIR", help="root of all results")


def add_set(parser: argparse.ArgumentParser) -> None:
    help_ = "override a key of the spec; repeatable"
    parser.add_argument("--set", action="append", default=[], metavar="A.B=VALUE", help=help_)


def _folder(text: str) -> Path:
    if os.path.exists(text) and not os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no folder")
    return Path(text)


def positive(text: str) -> int:
    """Raises argparse.ArgumentTypeError for what is no whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def write(path: Path, text: str) -> None:
    """A file that an option names. Raises UsageError when it cannot be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
