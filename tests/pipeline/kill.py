"""Kill a run at random moments (SIGKILL) and see that nothing is half-written and the next run ends as if nothing had been.

As a program, on a real spec:  python tests/pipeline/kill.py SPEC [--kills 20] [--seed 0]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mico_runner.outputs import store

Command = Callable[[Path], list[str]]  # outputs folder -> command line of a run


def survive(command: Command, folder: Path, kills: int, seed: int) -> list[str]:
    """Kill `kills` runs, each after a random part of an undisturbed run's time, in one outputs folder until it has a
    version, then in a fresh one. Returns a line per kill.

    Raises AssertionError when a version is not whole, or when the run after the last kill ends with other metrics.
    """
    generator = random.Random(seed)
    started = time.perf_counter()
    _finish(command(folder / "undisturbed"))
    duration = time.perf_counter() - started
    expected = stable_metrics(folder / "undisturbed")
    lines, attempt = [], 0
    while len(lines) < kills:
        outputs = folder / f"killed{attempt}"
        moment = generator.uniform(0, duration)
        process = subprocess.Popen(command(outputs), start_new_session=True, stderr=subprocess.DEVNULL)
        try:
            code = process.wait(timeout=moment)
            assert code == 0, f"the run ended with {code} before it was killed"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            finished = [str(p.parent.relative_to(outputs / ".cache")) for p in outputs.glob(".cache/*/*/step.json")]
            lines.append(f"killed after {moment:.2f} s with {len(finished)} finished steps")
        check_versions(outputs)
        if versions(outputs) or len(lines) == kills:
            _finish(command(outputs))
            check_versions(outputs)
            assert stable_metrics(outputs) == expected, "the run after a kill ended with other metrics"
            attempt += 1
    return lines


def versions(outputs: Path) -> list[Path]:
    return [v for spec in outputs.glob("[!.]*") for v in store.versions(spec)]


def check_versions(outputs: Path) -> None:
    """Every version is whole."""
    for version in versions(outputs):
        problems = store.verify(version)
        assert not problems, f"{version}: {problems}"
    for link in outputs.glob("*/latest"):
        assert link.exists(), f"{link} leads nowhere"


def stable_metrics(outputs: Path) -> str:
    """metrics.json of the newest version without measured times, as text."""
    newest = max(versions(outputs))
    values = json.loads((newest / "metrics.json").read_text())
    return json.dumps({name: metric for name, metric in values.items() if not metric["volatile"]})


def _finish(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{command} ended with {done.returncode}: {done.stderr[-2000:]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spec", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    run = [sys.executable, "-m", "mico_runner", str(args.spec.resolve()), "--quiet", "--outputs"]
    with tempfile.TemporaryDirectory() as folder:
        for line in survive(lambda outputs: [*run, str(outputs)], Path(folder), args.kills, args.seed):
            print(line)
    print("every version was whole, and the metrics were those of an undisturbed run")


if __name__ == "__main__":
    main()
