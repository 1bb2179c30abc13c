"""`mico-run run` and `mico-run plan`, which take the same arguments."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, TextIO

from mico_runner import api, console
from mico_runner.cli.arguments import OK, Commands, add_command, add_json, add_outputs, add_set, positive
from mico_runner.cli.loading import load
from mico_runner.errors import GateError
from mico_runner.pipeline import Options

if TYPE_CHECKING:
    from mico_runner.pipeline.planning import PlanRow
    from mico_runner.spec import Spec


def add(commands: Commands) -> None:
    run = add_command(commands, "run", _run, "run a spec; cached steps are not run again")
    run.add_argument("--explain", action="store_true", help="first say which steps run, and why")
    for parser in (run, add_command(commands, "plan", _plan, "show which steps would run, and why")):
        add_set(parser)
        add_json(parser)
        add_outputs(parser)
        parser.add_argument("spec", metavar="SPEC")
        parser.add_argument("--only", metavar="STEP", help="this step and what it needs, nothing after it")
        parser.add_argument(
            "--from", dest="from_", metavar="STEP", help="run this step and all that depend on it again"
        )
        parser.add_argument("--force", action="store_true", help="run every step again")
        help_ = "processes at once (default: the spec's executor.jobs)"
        parser.add_argument("--jobs", type=positive, metavar="N", help=help_)
        parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def _run(args: argparse.Namespace) -> int:
    from mico_runner import outputs

    loaded = load(args.spec, args.set, args.quiet)
    options = _options(args, loaded)
    if args.explain:
        with console.json_alone() if args.json else nullcontext():
            rows = api.plan(loaded, options)
        _print_plan(rows, sys.stderr if args.json else sys.stdout)
    with console.json_alone() if args.json else nullcontext():
        result = api.run(loaded, options)
    if args.json:
        metrics = {name: metric.to_json() for name, metric in result.metrics.items()}
        about = {"version": str(result.version), "statuses": result.statuses, "skipped": result.skipped}
        console.print_json({**about, "broken_gates": [vars(gate) for gate in result.broken_gates], "metrics": metrics})
    elif not args.quiet:
        for line in outputs.summary(result.metrics, result.statuses, result.skipped):
            console.out(line)
        gates = sum(gate is not None for gate in loaded.sections.gates.values())
        if gates and not args.only and not result.broken_gates:
            console.out(f"{'gates':<14}all {gates} kept" if gates > 1 else f"{'gate':<14}kept")
        console.out(f"{result.version}: report.html, metrics.json, steps/")
    for gate in result.broken_gates:
        print(f"mico-run: gate broken: {gate}", file=sys.stderr)
    return GateError.exit_code if result.broken_gates else OK


def _plan(args: argparse.Namespace) -> int:
    loaded = load(args.spec, args.set, args.quiet)
    with console.json_alone() if args.json else nullcontext():
        rows = api.plan(loaded, _options(args, loaded))
    console.print_json([vars(row) for row in rows]) if args.json else _print_plan(rows, sys.stdout)
    return OK


def _print_plan(rows: Sequence[PlanRow], stream: TextIO) -> None:
    """The steps, and what those that run took the last time."""
    table = [{"step": r.step, "action": r.action, "cost": _seconds(r.seconds), "reason": r.reason} for r in rows]
    console.print_table(table, stream)
    known = [row.seconds for row in rows if row.seconds is not None]
    if known:
        unknown = sum(row.action == "run" for row in rows) - len(known)
        more = f"; {unknown} steps never ran" if unknown > 1 else "; one step never ran" if unknown else ""
        console.out(f"{_seconds(sum(known))} by earlier runs{more}", stream)


def _seconds(seconds: float | None) -> str:
    """About so long; nothing where that is not known."""
    if seconds is None:
        return ""
    return f"~{seconds:.2g} s" if seconds < 10 else f"~{seconds:.0f} s" if seconds < 120 else f"~{seconds / 60:.0f} min"


def _options(args: argparse.Namespace, spec: Spec) -> Options:
    jobs = args.jobs or spec.sections.executor.jobs
    return Options(args.outputs, args.only, args.from_, args.force, jobs, quiet=args.quiet)
