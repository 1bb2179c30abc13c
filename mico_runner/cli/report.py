"""`mico-run report`."""

from __future__ import annotations

import argparse
from pathlib import Path

from mico_runner import console
from mico_runner.cli.arguments import OK, Commands, add_command, add_outputs


def add(commands: Commands) -> None:
    parser = add_command(commands, "report", _report, "write report.html of a version again")
    add_outputs(parser)
    parser.add_argument("version", metavar="VERSION")
    help_ = "default: report.html in the version's folder"
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help=help_)


def _report(args: argparse.Namespace) -> int:
    from mico_runner import outputs

    console.out(str(outputs.write_report(outputs.resolve(args.version, args.outputs), args.output)))
    return OK
