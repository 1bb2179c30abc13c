"""`mico-run diff`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from mico_runner import console
from mico_runner.cli.arguments import OK, REGRESSION, Commands, add_command, add_outputs


def add(commands: Commands) -> None:
    help_ = "compare two versions, or one with its baseline; exit code 1 on a regression"
    parser = add_command(commands, "diff", _diff, help_)
    add_outputs(parser)
    parser.add_argument("versions", nargs="+", action=_OneOrTwo, metavar="VERSION")
    help_ = "e.g. 'proxy.*.mape>+2%%'; repeatable"
    parser.add_argument("--fail-on", action="append", default=[], metavar="RULE", help=help_)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print a GitHub table")
    help_ = "keep the (newer) version as outputs/baselines/NAME"
    parser.add_argument("--save-baseline", action="store_true", help=help_)


class _OneOrTwo(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option_string: Any = None) -> None:
        if len(values) > 2:
            parser.error(f"one or two versions, not {len(values)}")
        namespace.versions = values


def _diff(args: argparse.Namespace) -> int:
    from mico_runner import outputs

    newer = outputs.resolve(args.versions[-1], args.outputs)
    baseline = args.outputs / "baselines" / newer.parent.name
    if len(args.versions) == 1 and args.save_baseline:
        return _save_baseline(newer, baseline)
    older = outputs.resolve(args.versions[0] if len(args.versions) == 2 else str(baseline), args.outputs)
    diff = outputs.diff(older, newer, args.fail_on)
    console.out(diff.to_json() if args.json else diff.to_markdown() if args.markdown else diff.to_table())
    if args.save_baseline:
        _save_baseline(newer, baseline)
    return REGRESSION if diff.regressions else OK


def _save_baseline(version: Path, folder: Path) -> int:
    from mico_runner import outputs

    outputs.save_baseline(version, folder)
    print(f"{version} saved as {folder}", file=sys.stderr)
    return OK
