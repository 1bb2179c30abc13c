"""`mico-run history` and `mico-run compare`: several versions at a time."""

from __future__ import annotations

import argparse
from pathlib import Path

from mico_runner import api, console
from mico_runner.cli.arguments import OK, Commands, add_command, add_json, add_outputs, positive, write


def add(commands: Commands) -> None:
    history = add_command(commands, "history", _history, "show how metrics of a spec went from version to version")
    history.add_argument("name", metavar="NAME", help="of the spec")
    history.add_argument("--last", type=positive, metavar="N", help="the newest N versions")
    history.add_argument("--svg", type=Path, metavar="FILE", help="draw it, too")
    add_json(history)
    compare = add_command(
        commands, "compare", _compare, "show several versions side by side; the best values have a star"
    )
    compare.add_argument("versions", nargs="+", metavar="VERSION")
    compare.add_argument(
        "--all", action="store_true", help="metrics that are alike, and those without a better side, too"
    )
    compare.add_argument(
        "--html", type=Path, metavar="FILE", help="write a page, too, with the fronts and the bits of each layer"
    )
    form = compare.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print a GitHub table")
    for parser in (history, compare):
        add_outputs(parser)
        help_ = "a name, which may hold *; repeatable"
        parser.add_argument("--metric", action="append", default=[], metavar="PATTERN", help=help_)


def _history(args: argparse.Namespace) -> int:
    found = api.history(args.name, args.metric, args.last, args.outputs)
    if args.svg:
        write(args.svg, found.to_svg())
    console.out(found.to_json() if args.json else found.to_table())
    return OK


def _compare(args: argparse.Namespace) -> int:
    if args.html:
        found = api.compare_page(args.versions, args.html, args.metric, args.all, args.outputs)
    else:
        found = api.compare(args.versions, args.metric, args.all, args.outputs)
    console.out(found.to_json() if args.json else found.to_table("github" if args.markdown else "simple"))
    return OK
