"""`mico-run validate`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from mico_runner import console
from mico_runner.cli.arguments import OK, USAGE, Commands, add_command, add_json, add_set
from mico_runner.cli.loading import load

if TYPE_CHECKING:
    from mico_runner.yaml_schema import Problem


def add(commands: Commands) -> None:
    parser = add_command(commands, "validate", _validate, "check specs; all errors at once")
    add_set(parser)
    add_json(parser)
    parser.add_argument("specs", nargs="+", metavar="SPEC")


def _validate(args: argparse.Namespace) -> int:
    from mico_runner import spec

    found: dict[str, list[Problem]] = {}
    for path in args.specs:
        try:
            if load(path, args.set).data["matrix"] is not None:  # each cell is to be right as well
                spec.sweep(path, args.set)
            found[path] = []
        except spec.SpecErrors as error:
            found[path] = error.problems
    if args.json:
        console.print_json({path: [problem.to_json() for problem in problems] for path, problems in found.items()})
    else:
        for path, problems in found.items():
            if problems:
                print("\n".join(dict.fromkeys(map(str, problems))), file=sys.stderr)
            else:
                console.out(f"{path}: ok")
    return USAGE if any(found.values()) else OK
