"""`mico-run run` and `mico-run plan`, which take the same arguments."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

from mico_runner import console
from mico_runner.cli.arguments import OK, Commands, add_command, add_json, add_outputs, add_set, positive
from mico_runner.cli.loading import load
from mico_runner.errors import GateError

if TYPE_CHECKING:
    from mico_runner.pipeline import Options
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
        help_ = "threads of torch (default: the spec's executor.jobs)"
        parser.add_argument("--jobs", type=positive, metavar="N", help=help_)
        parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def _run(args: argparse.Namespace) -> int:
    from mico_runner import pipeline

    loaded = load(args.spec, args.set, args.quiet)
    options = _options(args, loaded)
    if args.explain:
        with console.json_alone() if args.json else nullcontext():
            rows = [vars(row) for row in pipeline.plan(loaded.data, options)]
        console.print_table(rows, sys.stderr if args.json else sys.stdout)
    with console.json_alone() if args.json else nullcontext():
        result = pipeline.run(loaded.data, options)
    if args.json:
        metrics = {name: metric.to_json() for name, metric in result.metrics.items()}
        about = {"version": str(result.version), "statuses": result.statuses, "skipped": result.skipped}
        console.print_json({**about, "broken_gates": [vars(gate) for gate in result.broken_gates], "metrics": metrics})
    elif not args.quiet:
        console.print_table(
            [
                {"step": s, "status": f"{status} {result.skipped.get(s, '')}".strip()}
                for s, status in result.statuses.items()
            ]
        )
        console.out()
        console.print_table(
            [{"metric": n, "value": f"{m.value:.6g}", "unit": m.unit} for n, m in result.metrics.items()]
        )
        gates = sum(bounds is not None for bounds in loaded.data["gates"].values())
        if gates and not args.only and not result.broken_gates:
            console.out(f"\nall {gates} gates kept" if gates > 1 else "\nthe gate is kept")
        console.out(f"\n{result.version}: report.html, metrics.json, steps/")
    for gate in result.broken_gates:
        print(f"mico-run: gate broken: {gate}", file=sys.stderr)
    return GateError.exit_code if result.broken_gates else OK


def _plan(args: argparse.Namespace) -> int:
    from mico_runner import pipeline

    loaded = load(args.spec, args.set, args.quiet)
    with console.json_alone() if args.json else nullcontext():
        rows = [vars(row) for row in pipeline.plan(loaded.data, _options(args, loaded))]
    console.print_json(rows) if args.json else console.print_table(rows)
    return OK


def _options(args: argparse.Namespace, spec: Spec) -> Options:
    from mico_runner.pipeline import Options

    jobs = args.jobs or spec.data["executor"]["jobs"]
    return Options(args.outputs, args.only, args.from_, args.force, jobs, args.quiet)
