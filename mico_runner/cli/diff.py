"""`mico-run diff`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mico_runner import api, console
from mico_runner.cli.arguments import OK, REGRESSION, Commands, add_command, add_outputs, positive, write
from mico_runner.errors import UsageError

BASELINE, LAST = "baseline", "last"


def add(commands: Commands) -> None:
    help_ = "compare two versions, or one with its baseline; exit code 1 on a regression"
    parser = add_command(commands, "diff", _diff, help_)
    add_outputs(parser)
    parser.add_argument("versions", nargs="+", metavar="VERSION", help="A and B, or B alone")
    help_ = "with B alone: its baseline (default), the version before it, or the one of this number"
    parser.add_argument("--against", type=_against, metavar=f"{BASELINE}|{LAST}|N", help=help_)
    parser.add_argument("--all", action="store_true", help="show what did not change, too")
    help_ = "instead of the spec's diff.fail_on, e.g. 'proxy.*.mape>+2%%'; repeatable"
    parser.add_argument("--fail-on", action="append", metavar="RULE", help=help_)
    help_ = "newest runs of one state that stand for each side (default: the spec's diff.runs)"
    parser.add_argument("--runs", type=positive, metavar="N", help=help_)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print a GitHub table")
    form.add_argument("--github", action="store_true", help="print annotations of GitHub Actions above the table")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit's XML, too")
    parser.add_argument("--save-baseline", action="store_true", help="keep B as outputs/baselines/NAME")
    help_ = "with --save-baseline: for processors like B's alone"
    parser.add_argument("--platform", action="store_true", help=help_)


def _against(text: str) -> str:
    return text if text in (BASELINE, LAST) else str(positive(text))


def _diff(args: argparse.Namespace) -> int:
    from mico_runner import outputs

    if len(args.versions) > 2:
        raise UsageError(f"diff compares one or two versions, not {len(args.versions)}; see mico-run compare")
    if len(args.versions) == 2 and args.against:
        raise UsageError("--against says what one version is compared with; there are two")
    if args.platform and not args.save_baseline:
        raise UsageError("--platform says where --save-baseline keeps a version; it is missing")
    newer = outputs.resolve(args.versions[-1], args.outputs)
    if len(args.versions) == 1 and args.save_baseline and not args.against:
        return _save_baseline(newer, args)
    diff = api.diff(_older(newer, args), newer, args.fail_on, args.runs, args.outputs)
    name = newer.parent.name
    if args.github:
        console.out(diff.to_github(name))
    console.out(
        diff.to_json() if args.json else diff.to_markdown(args.all) if args.markdown else diff.to_table(args.all)
    )
    if args.junit:
        write(args.junit, diff.to_junit(name))
    if args.save_baseline:
        _save_baseline(newer, args)
    return REGRESSION if diff.regressions else OK


def _older(newer: Path, args: argparse.Namespace) -> Path | None:
    """The other side; None: the baseline."""
    from mico_runner import outputs

    if len(args.versions) == 2:
        return outputs.resolve(args.versions[0], args.outputs)
    if args.against in (None, BASELINE):
        return None
    known = outputs.versions(newer.parent)
    if args.against != LAST:
        return outputs.resolve(str(newer.parent / f"v{int(args.against):04d}"), args.outputs)
    before = [version for version in known if int(version.name[1:]) < int(newer.name[1:])] if newer in known else []
    if not before:
        raise UsageError(f"there is no version of {newer.parent.name} before {newer.name}")
    return before[-1]


def _save_baseline(version: Path, args: argparse.Namespace) -> int:
    from mico_runner import outputs

    folder = outputs.save_baseline(version, args.outputs, args.platform, args.runs)
    print(f"{version} saved as {folder}", file=sys.stderr)
    return OK
