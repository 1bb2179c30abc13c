"""One process against two: a search on ResNet-8, a profile on RTL, an ablation of predictors; interleaved, as other work meets both then.

    python tests/bench/executor.py [search | rtl | ablation] [--rounds 1]

The search needs the mirror's network of MLPerf Tiny and CIFAR-10 sample, the ablation its profiles, the profile the tools of
`make setup-rtl`. Every run computes its step anew; metrics are compared bit for bit. Two processes cannot be faster than one where
nothing is idle: beside each time stands how much of the machine other work took meanwhile. Where that is more than a few percent, the
ratio says more about the others; CPU seconds still tell what several processes cost in addition.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tabulate import tabulate

SEARCH = """
spec_version: 1
name: search
hardware: host
datasets: {task: cifar10-sample, scale: 255, validation: 2000}
model: {file: mlperf-tiny/resnet8}
evaluate: null
search:
  space: {weight_bits: [2, 4, 8], activation_bits: [4, 8]}
  algorithm: nsga2
  objectives: [quality, flash_bytes]
  constraints: {flash_bytes: {max: 0.7, relative_to: int8}}
  budget: {evaluations: 40}
steps: [train, search]
"""
RTL = """
spec_version: 1
name: rtl
hardware: vexriscv-lite
profile:
  target: rtl
  sampler: lhs+corner
  shapes: 64
  bits: {weight: [1, 2, 4, 8], activation: [1, 2, 4, 8]}
  kernels:
    conv2d: {in_channels: [1, 4], out_channels: [2, 4], in_h: [4, 6], kernel: [1, 3], stride: [1]}
    linear: {in_channels: [8, 64], out_channels: [4, 16]}
  repeats: 1
"""
ABLATION = """
spec_version: 1
name: ablation
datasets: {profile: [mico-small/matmul-zoo]}
proxy:
  strategy: single
  features: raw
  regressor: rf
  compare: [{strategy: single, features: macs, regressor: rf}, {strategy: single, features: bops, regressor: rf},
    {strategy: single, features: cbops, regressor: rf}, {strategy: single, features: cbops+, regressor: rf},
    {strategy: two_stage, features: macs, regressor: rf}, {strategy: two_stage, features: bops, regressor: rf},
    {strategy: two_stage, features: cbops, regressor: rf}, {strategy: two_stage, features: cbops+, regressor: rf}]
  validation: {protocols: [in_sample, kfold, group_kfold], group_by: shape, folds: 5}
steps: [fit]
"""
BAR = 1.7
HEAD = ["", "1 process, s", "2 processes, s", "times faster", "CPU s of 1", "CPU s of 2", "others took at most"]
CASES = {"search": (SEARCH, "search"), "rtl": (RTL, "profile"), "ablation": (ABLATION, "fit")}


@dataclass(frozen=True)
class Ran:
    """Attributes: wall: seconds on the clock; cpu: of all its processes; others: share of the machine's processors that others took."""

    wall: float
    cpu: float
    others: float
    metrics: dict[str, object]


def busy() -> float:
    """Seconds that this machine's processors have worked, for whomever; zero where nobody says (Linux does)."""
    try:
        user, nice, system, _, _, interrupts, soft, stolen, *_ = map(int, Path("/proc/stat").read_text().split()[1:11])
    except OSError:
        return 0.0
    return (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")


def run(spec: Path, step: str, jobs: int, outputs: Path) -> Ran:
    """What the step takes, and its metrics."""
    before, started, worked = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter(), busy()
    arguments = [str(spec), "--outputs", str(outputs), "--from", step, "--jobs", str(jobs), "--quiet", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "mico_runner", *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        check=True,
    )
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    metrics = json.loads(done.stdout)["metrics"]
    others = max(busy() - worked - cpu, 0.0) / wall / (os.cpu_count() or 1)
    return Ran(wall, cpu, others, {name: metric for name, metric in metrics.items() if not metric["volatile"]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", nargs="?", choices=CASES)
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in [args.case] if args.case else CASES:
            text, step = CASES[name]
            spec = Path(folder, f"{name}.yaml")
            spec.write_text(text)
            subprocess.run(  # what comes before the step, and tools that are built once
                [sys.executable, "-m", "mico_runner", str(spec), "--outputs", folder, "--quiet"], check=True, stdout=2
            )
            found: dict[int, list[Ran]] = {1: [], 2: []}
            for _ in range(args.rounds):
                for jobs, some in found.items():
                    some.append(run(spec, step, jobs, Path(folder)))
            first = found[1][0].metrics
            assert all(ran.metrics == first for some in found.values() for ran in some), f"{name}: other metrics"
            one, two = (median(ran.wall for ran in found[jobs]) for jobs in found)
            cpu = [f"{median(ran.cpu for ran in some):.1f}" for some in found.values()]
            others = max(ran.others for some in found.values() for ran in some)
            rows.append([name, f"{one:.1f}", f"{two:.1f}", f"{one / two:.2f}", *cpu, f"{100 * others:.0f} %"])
            print(tabulate(rows, HEAD, tablefmt="github", disable_numparse=True), flush=True)
    print(f"\n{os.cpu_count()} processors; bar: {BAR} times faster, where others take nothing")


if __name__ == "__main__":
    main()
