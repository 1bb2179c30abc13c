"""`mico-run gc`."""

from __future__ import annotations

import argparse

from mico_runner import console
from mico_runner.cli.arguments import OK, Commands, add_command, add_outputs, positive


def add(commands: Commands) -> None:
    parser = add_command(commands, "gc", _gc, "delete old versions and cached results that no version uses")
    add_outputs(parser)
    help_ = "versions kept of each spec (default 3)"
    parser.add_argument("--keep", type=positive, default=3, metavar="N", help=help_)
    parser.add_argument("--dry-run", action="store_true", help="only say what would be deleted")


def _gc(args: argparse.Namespace) -> int:
    from mico_runner import outputs

    for path in outputs.gc(args.outputs, args.keep, args.dry_run):
        console.out(f"{'would delete' if args.dry_run else 'deleted'} {path}")
    return OK
