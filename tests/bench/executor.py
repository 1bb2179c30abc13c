"""One process against two: a search on ResNet-8, a profile on RTL, an ablation of predictors; interleaved, as other work meets both then.

    python tests/bench/executor.py [search | rtl | ablation] [--rounds 1]

The search needs the mirror's network of MLPerf Tiny and CIFAR-10 sample, the ablation its profiles, the profile the tools of
`make setup-rtl`. Every run computes its step anew; metrics are compared bit for bit. Two processes cannot be faster than one where
nothing is idle: the load of the machine is said.
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
CASES = {"search": (SEARCH, "search"), "rtl": (RTL, "profile"), "ablation": (ABLATION, "fit")}


def run(spec: Path, step: str, jobs: int, outputs: Path) -> tuple[float, float, dict[str, object]]:
    """Seconds on the clock and of the processors that the step takes, all processes together, and its metrics."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
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
    return wall, cpu, {name: metric for name, metric in metrics.items() if not metric["volatile"]}


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
            found: dict[int, list[tuple[float, float, dict[str, object]]]] = {1: [], 2: []}
            for _ in range(args.rounds):
                for jobs, some in found.items():
                    some.append(run(spec, step, jobs, Path(folder)))
            first = found[1][0][2]
            assert all(metrics == first for some in found.values() for *_, metrics in some), f"{name}: other metrics"
            (one, cpu1), (two, cpu2) = (
                [median(values) for values in list(zip(*found[j], strict=True))[:2]] for j in found
            )
            rows.append([name, f"{one:.1f}", f"{two:.1f}", f"{one / two:.2f}", f"{cpu1:.1f}", f"{cpu2:.1f}"])
    head = ["", "1 process, s", "2 processes, s", "times faster", "CPU s of 1", "CPU s of 2"]
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[1]:.1f} over five minutes\n")
    print(tabulate(rows, head, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
