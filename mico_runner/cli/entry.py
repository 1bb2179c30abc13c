"""The entry point of mico-run: finds the command, runs it, and makes of every error a line and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from mico_runner import console
from mico_runner.cli import completion, diff, export, gc, init, names, report, run, sweep, validate, versions
from mico_runner.cli.arguments import FAILED, INTERRUPTED, OK, USAGE
from mico_runner.errors import MicoError, did_you_mean
from mico_runner.signals import Interrupts, as_interrupts
from mico_runner.version import VERSION

COMMANDS = (run, sweep, validate, diff, versions, report, export, names, init, gc, completion)  # in the order of --help

_GREETING = """\
Mixed-precision neural networks on real hardware, from one YAML spec. To begin:

  mico-run quickstart                         a tour of a minute: a small network, bits per layer, C code, a report
  mico-run init --hardware cortex-m3          a first spec to change: your chip, your network, your data
  mico-run list                               the chips, networks, data sets and algorithms that a spec can name

mico-run --help lists the commands."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (0 done, 1 regression, 2 usage, 3 gate, 4 failed step, 130 interrupted)."""
    console.prepare()
    try:
        with as_interrupts() as interrupts:
            return _main(sys.argv[1:] if argv is None else argv, interrupts)
    except KeyboardInterrupt:
        return _interrupted()
    finally:
        console.hang_up()


def _main(argv: Sequence[str], interrupts: Interrupts) -> int:
    # Before numpy is there: threads slow the many small factorisations down, and change the last bits of sums.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    arguments = list(argv)
    whole, verbs = parser()
    if not arguments:
        console.out(_GREETING)
        return OK
    if arguments[0] not in (*verbs, "-h", "--help", "--version"):
        if _is_a_slip(arguments[0], verbs):
            return _complain(f"unknown command {arguments[0]!r}{did_you_mean(arguments[0], verbs)} or a spec", USAGE)
        arguments.insert(0, "run")
    try:
        args = whole.parse_args(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        code: int = args.command(args)
        console.flush()
        return code
    except BrokenPipeError:  # who read the messages of a run has left
        return _interrupted()
    except Exception as error:
        if interrupts.seen:  # a library that calls us back made another error of it
            return _interrupted()
        code = error.exit_code if isinstance(error, MicoError) else FAILED
        if args.debug:
            traceback.print_exc()
            return code
        if isinstance(error, MicoError):
            return _complain(str(error), code)
        if isinstance(error, OSError) and error.filename:  # no space, no permission, ...
            return _complain(f"{error.filename}: {error.strerror}", code)
        return _complain(f"{type(error).__name__}: {error} (unexpected; --debug shows where)", code)


def _is_a_slip(word: str, verbs: Sequence[str]) -> bool:
    """Whether a first word that is no command was meant as one, not as a spec."""
    return (
        not word.startswith("-") and "." not in word and not os.path.exists(word) and len(did_you_mean(word, verbs)) > 1
    )


def _interrupted() -> int:
    return _complain("interrupted; the same command goes on where it stopped", INTERRUPTED)


def _complain(message: str, code: int) -> int:
    console.complain(message)
    return code


def parser() -> tuple[argparse.ArgumentParser, list[str]]:
    """The parser, and the names of its commands."""
    parser = argparse.ArgumentParser(
        prog="mico-run",
        description="Mixed-precision neural networks on real hardware, from one YAML spec.",
        epilog="mico-run SPEC is short for mico-run run SPEC. Exit codes: 0 done, 1 regression, 2 invalid spec or usage, "
        "3 gate broken, 4 a step failed, 130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"mico-run {VERSION}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in COMMANDS:
        module.add(commands)
    return parser, list(commands.choices)
