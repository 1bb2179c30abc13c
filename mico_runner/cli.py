"""mico-run: one YAML spec in, a versioned result out. This file parses arguments, calls the library and prints."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mico_runner import console
from mico_runner.errors import GateError, MicoError, UsageError, did_you_mean
from mico_runner.signals import Interrupts, as_interrupts

if TYPE_CHECKING:
    from mico_runner.pipeline import Options
    from mico_runner.spec import Spec
    from mico_runner.yaml_schema import Problem

OK, REGRESSION, USAGE, FAILED, INTERRUPTED = 0, 1, 2, 4, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (0 done, 1 regression, 2 usage, 3 gate, 4 failed step, 130 interrupted)."""
    console.prepare()
    try:
        with as_interrupts() as interrupts:
            return _main(sys.argv[1:] if argv is None else argv, interrupts)
    except KeyboardInterrupt:
        return _interrupted()
    finally:
        console.hang_up()


def _main(argv: Sequence[str], interrupts: Interrupts) -> int:
    # Before numpy is there: threads slow the many small factorisations down, and change the last bits of sums.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    arguments = list(argv)
    parser, verbs = _parser()
    if arguments and arguments[0] not in (*verbs, "-h", "--help", "--version"):
        if _is_a_slip(arguments[0], verbs):
            return _complain(f"unknown command {arguments[0]!r}{did_you_mean(arguments[0], verbs)} or a spec", USAGE)
        arguments.insert(0, "run")
    try:
        args = parser.parse_args(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        code: int = args.command(args)
        console.flush()
        return code
    except BrokenPipeError:  # who read the messages of a run has left
        return _interrupted()
    except Exception as error:
        if interrupts.seen:  # a library that calls us back made another error of it
            return _interrupted()
        code = error.exit_code if isinstance(error, MicoError) else FAILED
        if args.debug:
            traceback.print_exc()
            return code
        if isinstance(error, MicoError):
            return _complain(str(error), code)
        if isinstance(error, OSError) and error.filename:  # no space, no permission, ...
            return _complain(f"{error.filename}: {error.strerror}", code)
        return _complain(f"{type(error).__name__}: {error} (unexpected; --debug shows where)", code)


def _is_a_slip(word: str, verbs: Sequence[str]) -> bool:
    """Whether a first word that is no command was meant as one, not as a spec."""
    return (
        not word.startswith("-") and "." not in word and not os.path.exists(word) and len(did_you_mean(word, verbs)) > 1
    )


def _interrupted() -> int:
    return _complain("interrupted; the same command goes on where it stopped", INTERRUPTED)


def _complain(message: str, code: int) -> int:
    console.complain(message)
    return code


def _run(args: argparse.Namespace) -> int:
    from mico_runner import pipeline

    loaded = _load(args.spec, args.set, args.quiet)
    options = _options(args, loaded)
    if args.explain:
        with _json_alone() if args.json else nullcontext():
            rows = [vars(row) for row in pipeline.plan(loaded.data, options)]
        console.print_table(rows, sys.stderr if args.json else sys.stdout)
    with _json_alone() if args.json else nullcontext():
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


@contextmanager
def _json_alone() -> Iterator[None]:
    """Whatever libraries write on the standard output, in Python or in C, goes to the error stream instead."""
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


def _plan(args: argparse.Namespace) -> int:
    from mico_runner import pipeline

    loaded = _load(args.spec, args.set, args.quiet)
    with _json_alone() if args.json else nullcontext():
        rows = [vars(row) for row in pipeline.plan(loaded.data, _options(args, loaded))]
    console.print_json(rows) if args.json else console.print_table(rows)
    return OK


def _load(path: str, overrides: Sequence[str], quiet: bool = False) -> Spec:
    """The spec; what looks wrong in the files that it names is printed, and is no error."""
    from mico_runner import spec

    loaded = spec.load(path, overrides)
    for warning in () if quiet else dict.fromkeys(map(str, loaded.warnings)):
        print(f"mico-run: warning: {warning}", file=sys.stderr)
    return loaded


def _options(args: argparse.Namespace, spec: Spec) -> Options:
    from mico_runner.pipeline import Options

    jobs = args.jobs or spec.data["executor"]["jobs"]
    return Options(args.outputs, args.only, args.from_, args.force, jobs, args.quiet)


def _validate(args: argparse.Namespace) -> int:
    from mico_runner import spec

    found: dict[str, list[Problem]] = {}
    for path in args.specs:
        try:
            _load(path, args.set)
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


def _report(args: argparse.Namespace) -> int:
    from mico_runner import outputs

    console.out(str(outputs.write_report(outputs.resolve(args.version, args.outputs), args.output)))
    return OK


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


def _init(args: argparse.Namespace) -> int:
    from mico_runner.spec.starter import starter

    name = args.name or f"my-{args.hardware}"
    path = Path(args.output or f"{name}.yaml")
    text = starter(args.hardware, name, path.parent, args.model, args.data)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} exists already; choose another name with -o") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
    console.out(f"{path} written; next: mico-run {path}")
    return OK


def _schema(args: argparse.Namespace) -> int:
    from mico_runner import spec

    console.print_json(spec.schema())
    return OK


def _gc(args: argparse.Namespace) -> int:
    from mico_runner import outputs

    for path in outputs.gc(args.outputs, args.keep, args.dry_run):
        console.out(f"{'would delete' if args.dry_run else 'deleted'} {path}")
    return OK


def _folder(text: str) -> Path:
    if os.path.exists(text) and not os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no folder")
    return Path(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def _parser() -> tuple[argparse.ArgumentParser, list[str]]:
    """The parser, and the names of its commands."""
    parser = argparse.ArgumentParser(
        prog="mico-run",
        description="Mixed-precision neural networks on real hardware, from one YAML spec.",
        epilog="mico-run SPEC is short for mico-run run SPEC. Exit codes: 0 done, 1 regression, 2 invalid spec or usage, "
        "3 gate broken, 4 a step failed, 130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"mico-run {_version()}")
    every = argparse.ArgumentParser(add_help=False)
    every.add_argument("--debug", action="store_true", help="show the traceback of an error")
    as_json = argparse.ArgumentParser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="print JSON")
    stored = argparse.ArgumentParser(add_help=False)
    stored.add_argument("--outputs", type=_folder, default=Path("outputs"), metavar="DIR", help="root of all results")
    changed = argparse.ArgumentParser(add_help=False)
    help_ = "override a key of the spec; repeatable"
    changed.add_argument("--set", action="append", default=[], metavar="A.B=VALUE", help=help_)
    running = argparse.ArgumentParser(add_help=False, parents=[changed, as_json, stored])
    running.add_argument("spec", metavar="SPEC")
    running.add_argument("--only", metavar="STEP", help="this step and what it needs, nothing after it")
    running.add_argument("--from", dest="from_", metavar="STEP", help="run this step and all that depend on it again")
    running.add_argument("--force", action="store_true", help="run every step again")
    running.add_argument(
        "--jobs", type=_positive, metavar="N", help="threads of torch (default: the spec's executor.jobs)"
    )
    running.add_argument("--quiet", action="store_true", help="print nothing but errors")
    explained = argparse.ArgumentParser(add_help=False)
    explained.add_argument("--explain", action="store_true", help="first say which steps run, and why")

    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, command: Any, help_: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help_, description=help_, parents=[every, *parents])
        sub.set_defaults(command=command)
        return sub

    add("run", _run, "run a spec; cached steps are not run again", running, explained)
    add("plan", _plan, "show which steps would run, and why", running)
    add("validate", _validate, "check specs; all errors at once", changed, as_json).add_argument(
        "specs", nargs="+", metavar="SPEC"
    )
    diff = add("diff", _diff, "compare two versions, or one with its baseline; exit code 1 on a regression", stored)
    diff.add_argument("versions", nargs="+", action=_OneOrTwo, metavar="VERSION")
    diff.add_argument(
        "--fail-on", action="append", default=[], metavar="RULE", help="e.g. 'proxy.*.mape>+2%%'; repeatable"
    )
    form = diff.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print a GitHub table")
    diff.add_argument("--save-baseline", action="store_true", help="keep the (newer) version as outputs/baselines/NAME")
    report = add("report", _report, "write report.html of a version again", stored)
    report.add_argument("version", metavar="VERSION")
    report.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="default: report.html in the version's folder"
    )
    add("list", _list, "list what a spec can name", as_json).add_argument("kind", nargs="?", metavar="KIND")
    init = add("init", _init, "write a first spec")
    init.add_argument("--hardware", required=True, metavar="NAME", help="see mico-run list hardware")
    init.add_argument("--name", metavar="NAME", help="name of the spec (default: my-HARDWARE)")
    init.add_argument("--model", metavar="FILE[:ENTRY]", help="network of your own: .py, .onnx, .tflite")
    init.add_argument(
        "--data", metavar="PATH", help="data of your own: folder of images or sounds, .npz, .csv, .py:ENTRY"
    )
    init.add_argument("-o", "--output", metavar="FILE", help="default: NAME.yaml")
    add("schema", _schema, "print the JSON Schema of specs, for editors")
    gc = add("gc", _gc, "delete old versions and cached results that no version uses", stored)
    gc.add_argument("--keep", type=_positive, default=3, metavar="N", help="versions kept of each spec (default 3)")
    gc.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
    return parser, list(commands.choices)


class _OneOrTwo(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option_string: Any = None) -> None:
        if len(values) > 2:
            parser.error(f"one or two versions, not {len(values)}")
        namespace.versions = values


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("mico-runner")
    except PackageNotFoundError:
        return "(not installed)"
