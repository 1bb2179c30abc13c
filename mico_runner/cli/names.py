"""`mico-run list` and `mico-run schema`: what a spec can say."""

from __future__ import annotations

import argparse

from mico_runner import console
from mico_runner.cli.arguments import OK, Commands, add_command, add_json


def add(commands: Commands) -> None:
    parser = add_command(commands, "list", _list, "list what a spec can name")
    add_json(parser)
    parser.add_argument("kind", nargs="?", metavar="KIND")
    add_command(commands, "schema", _schema, "print the JSON Schema of specs, for editors")


def _list(args: argparse.Namespace) -> int:
    from mico_runner.spec.known import kinds, known

    found = {kind: known(kind) for kind in kinds(args.kind)}
    if args.json:
        console.print_json(found)
        return OK
    for kind, rows in found.items():
        console.out(f"{kind}\n" if len(found) == 1 else f"\n{kind}\n")
        console.print_table(rows)
    return OK


def _schema(_: argparse.Namespace) -> int:
    from mico_runner import spec

    console.print_json(spec.schema())
    return OK
