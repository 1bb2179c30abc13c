"""What `mico-run` does, as functions: the command line calls these, and so may a notebook or a script.

    import mico_runner as mico

    spec = mico.load("quickstart", ["seed=2"])            # checked, all keys filled in
    for row in mico.plan(spec):                           # what would run, why, and what it took the last time
        print(row.step, row.action, row.reason)
    result = mico.run(spec, mico.Options(quiet=True))     # a new version in outputs/
    print(result.metrics["search.latency_ratio"].value, result.broken_gates)
    print(mico.diff("quickstart/v0001", result.version).to_table())

A version is a folder, or what `mico-run` calls it: "quickstart/v0002", "quickstart" (the newest), "latest". Errors are those of
`mico_runner.errors`: `MicoError` with the `exit_code` that `mico-run` would end with.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mico_runner.pipeline import Options

__all__ = ["Options", "compare", "diff", "history", "load", "metrics", "plan", "run"]

if TYPE_CHECKING:
    from mico_runner.outputs.comparison import Diff
    from mico_runner.outputs.version_columns import SideBySide
    from mico_runner.outputs.version_history import History
    from mico_runner.pipeline.planning import PlanRow
    from mico_runner.pipeline.running import RunResult
    from mico_runner.spec import Spec
    from mico_runner.steps.base import Metric

OUTPUTS = Path("outputs")  # root of all results


def load(path: str | Path, overrides: Iterable[str] = ()) -> Spec:
    """Read and check a spec.

    Args:
        path: of a file, or the name of a shipped one.
        overrides: "a.b=value" each, as `--set` takes them.

    Raises SpecErrors: all that is wrong at once, each with its file, line and column.
    """
    from mico_runner import spec

    return spec.load(path, overrides)


def plan(spec: Spec, options: Options | None = None) -> list[PlanRow]:
    """What `run` would do with each step, why, and what it took the last time. Runs nothing. Raises UsageError."""
    from mico_runner import pipeline

    return pipeline.plan(spec.data, options)


def run(spec: Spec, options: Options | None = None) -> RunResult:
    """Run a spec: cached steps are not run again. A broken gate is no error, but in the result.

    Raises StepError when a step fails, UsageError before anything runs.
    """
    from mico_runner import pipeline

    return pipeline.run(spec.data, options)


def metrics(version: str | Path, outputs: Path = OUTPUTS) -> dict[str, Metric]:
    """The metrics of a version by their names. Raises UsageError for a version that there is not, or that is damaged."""
    from mico_runner.outputs import store

    return store.metrics(store.resolve(str(version), outputs))


def diff(
    a: str | Path | None,
    b: str | Path,
    fail_on: Sequence[str] | None = None,
    runs: int | None = None,
    outputs: Path = OUTPUTS,
) -> Diff:
    """Compare version `b` with `a`.

    Args:
        a: None for the baseline of `b`.
        fail_on: rules such as "search.latency>+2%"; None: those of the spec of `b`.
        runs: newest runs of one state that stand for each side; None: as the spec of `b` says.

    Raises UsageError for versions that cannot be compared.
    """
    from mico_runner import outputs as results

    newer = results.resolve(str(b), outputs)
    older = results.baseline_of(newer, outputs) if a is None else results.resolve(str(a), outputs)
    return results.diff(older, newer, fail_on, runs)


def compare(
    versions: Sequence[str | Path], patterns: Sequence[str] = (), everything: bool = False, outputs: Path = OUTPUTS
) -> SideBySide:
    """Metrics of several versions, a column each: those that differ, those that match a pattern, or everything. Raises UsageError."""
    from mico_runner import outputs as results

    folders = [results.resolve(str(version), outputs) for version in versions]
    names = [f"{folder.parent.name}/{folder.name}" for folder in folders]
    return results.side_by_side(folders, names, patterns, everything)


def compare_page(
    versions: Sequence[str | Path],
    path: Path,
    patterns: Sequence[str] = (),
    everything: bool = False,
    outputs: Path = OUTPUTS,
) -> SideBySide:
    """Write the page that shows versions side by side, and return what `compare` does. Raises UsageError."""
    from mico_runner import outputs as results

    found = compare(versions, patterns, everything, outputs)
    results.write_comparison([results.resolve(str(version), outputs) for version in versions], found, path)
    return found


def history(name: str, patterns: Sequence[str] = (), last: int | None = None, outputs: Path = OUTPUTS) -> History:
    """Metrics of a spec in its versions, of the newest `last` ones. Raises UsageError."""
    from mico_runner import outputs as results

    return results.history(outputs / name, patterns, last)
