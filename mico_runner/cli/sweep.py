"""`mico-run sweep`: a spec at every combination of the values of some keys."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from mico_runner import console
from mico_runner.cli.arguments import OK, Commands, add_command, add_json, add_outputs, add_set, positive


def add(commands: Commands) -> None:
    help_ = "run a spec's matrix: every combination, what they share once, one table"
    parser = add_command(commands, "sweep", _sweep, help_)
    add_set(parser)
    add_json(parser)
    add_outputs(parser)
    parser.add_argument("spec", metavar="SPEC")
    parser.add_argument(
        "--over", action="append", default=[], metavar="A.B=V,V", help="an axis; whole numbers as 0..9; repeatable"
    )
    parser.add_argument("--dry-run", action="store_true", help="only show the shared plan and what it costs")
    parser.add_argument("--force", action="store_true", help="run every step again")
    parser.add_argument("--from", dest="from_", metavar="STEP", help="run this step and all that depend on it again")
    parser.add_argument(
        "--jobs", type=positive, metavar="N", help="processes at once (default: the spec's executor.jobs)"
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def _sweep(args: argparse.Namespace) -> int:
    """The command; returns the exit code: 0, 3 when a cell broke a gate, 4 when one failed."""
    from mico_runner import spec
    from mico_runner.outputs.sweep_version import complaints
    from mico_runner.pipeline import Options
    from mico_runner.pipeline.sweeping import SweepPlan

    found = spec.sweep(args.spec, args.set, args.over)
    warnings = (str(warning) for cell in found.cells for warning in cell.spec.warnings)
    for warning in () if args.quiet else dict.fromkeys(warnings):
        print(f"mico-run: warning: {warning}", file=sys.stderr)
    options = Options(args.outputs, None, args.from_, args.force, args.jobs, quiet=args.quiet)
    plan = SweepPlan(found.base.data, list(found.axes), found.cells, options)
    if args.dry_run:
        _show(plan, args.json)
        return OK
    result = plan.run()
    if args.json:
        about = {"version": str(result.version), "failed": result.failed, "broken_gates": result.broken}
        console.print_json(about | {"cells": len(plan.cells)})
    elif not args.quiet:
        console.out((result.version / "table.md").read_text(encoding="utf-8"))
        files = ", ".join(sorted(file.name for file in result.version.iterdir()))
        console.out(f"{result.version}: {files}")
    for complaint in complaints(result.cells):
        console.complain(complaint)
    return result.exit_code


def _show(plan: Any, as_json: bool) -> None:
    rows = plan.rows()
    if as_json:
        console.print_json({"cells": list(plan.cells), "steps": [vars(row) for row in rows]})
        return
    shown = [{**vars(row), "seconds": "not known" if row.seconds is None else f"{row.seconds:.1f}"} for row in rows]
    console.print_table([{**row, "cpu seconds each": row.pop("seconds")} for row in shown])
    known = sum(row.run * row.seconds for row in rows if row.seconds is not None)
    lacking = [row.step for row in rows if row.run and row.seconds is None]
    total = f"{len(plan.cells)} cells, {sum(row.run for row in rows)} steps to run"
    total += f", about {known:.0f} s of processor time by earlier runs" if known else ""
    total += f"; not known, as they never ran: {', '.join(lacking)}" if lacking else ""
    console.out(f"\n{total}")
