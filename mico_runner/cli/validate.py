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
    parser = add_command(commands, "validate", _validate, "check specs and files of latency curves; all errors at once")
    add_set(parser)
    add_json(parser)
    parser.add_argument("specs", nargs="+", metavar="SPEC")


def _validate(args: argparse.Namespace) -> int:
    found = {path: _problems(path, args.set) for path in args.specs}
    if args.json:
        console.print_json({path: [problem.to_json() for problem in problems] for path, problems in found.items()})
    else:
        for path, problems in found.items():
            if problems:
                print("\n".join(dict.fromkeys(map(str, problems))), file=sys.stderr)
            else:
                console.out(f"{path}: ok")
    return USAGE if any(found.values()) else OK


def _problems(path: str, overrides: list[str]) -> list[Problem]:
    from mico_runner import spec

    try:
        if load(path, overrides).data["matrix"] is not None:  # each cell is to be right as well
            spec.sweep(path, overrides)
    except spec.SpecErrors as error:
        return error.problems if overrides or not _holds_curves(path) else _problems_of_curves(path)
    return []


def _holds_curves(path: str) -> bool:
    """Whether what is no right spec is a file of a device's curves."""
    from pathlib import Path

    from mico_runner import yaml_source

    try:
        data = yaml_source.read(Path(path)).data
    except yaml_source.YamlError:
        return False
    return isinstance(data, dict) and "precisions" in data


def _problems_of_curves(path: str) -> list[Problem]:
    from pathlib import Path

    from mico_runner.calibration import device_curves
    from mico_runner.yaml_schema import SchemaErrors

    try:
        device_curves.load(Path(path))
    except SchemaErrors as error:
        return error.problems
    return []
