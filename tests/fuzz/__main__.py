"""Cases per kernel and target, a table, exit 1 at a mismatch: `python -m tests.fuzz --help`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
from tabulate import tabulate

from mico_runner.errors import StepSkipped
from mico_runner.targets import qemu
from tests.fuzz.cases import Case, Setting, random_case, settings
from tests.fuzz.driver import Function, run
from tests.fuzz.operators import fuzz_operators

BATCH = 3000  # cases of one run
FAILURES_SHOWN = 5
KERNELS = {
    "fullcfu-dot": "_dot"
}  # target -> which kernels run there: the others are those of `full`, and the core is the same


@cache
def survey() -> tuple[dict[str, set[Function]], dict[str, list[Setting]]]:
    """For each function all that its cases call, and settings that lead to it: two cases of every setting are lowered, of other shapes."""
    rng = np.random.default_rng(0)
    functions: dict[str, set[Function]] = {}
    found: dict[str, list[Setting]] = {}
    for setting in [*settings(), *settings()]:
        case = random_case(setting, rng)
        name = case.calls[-1].function
        functions.setdefault(name, set()).update(Function.of(call) for call in case.calls)
        found.setdefault(name, []).append(setting)
    return functions, found


def fuzz(target: str, per_kernel: int, seed: int, folder: Path, only: str = "") -> tuple[Counter, list[str]]:
    """Cases run by kernel (that of a case's last call), and a line for each case that differs."""
    rng = np.random.default_rng([seed, sum(target.encode())])
    called, leading = survey()
    done: Counter = Counter()
    failures: list[str] = []
    names = [name for name in sorted(leading) if only in name and KERNELS.get(target, "") in name]
    functions = sorted(set().union(*(called[name] for name in names)))
    due = dict.fromkeys(names, per_kernel)
    cases: list[Case] = []
    while due:
        while due and len(cases) < BATCH:
            rarest = min(due, key=lambda name: len(leading[name]))  # what its settings give besides counts for others
            setting = leading[rarest][rng.integers(len(leading[rarest]))]
            case = random_case(setting, rng, due)
            if case is None or not {Function.of(call) for call in case.calls} <= set(functions):
                continue
            cases.append(case)
            name = case.calls[-1].function
            due[name] -= 1
            if not due[name]:
                del due[name]
        for case, found in zip(cases, run(cases, functions, target, folder), strict=True):
            done[case.calls[-1].function] += 1
            if not np.array_equal(found, case.expected):
                at = int(np.flatnonzero(found != case.expected)[0])
                failures.append(
                    f"{case.calls[-1].function}: {case.text}: element {at} is {found[at]}, not {case.expected[at]}"
                )
        cases = []
        print(f"{target}: {sum(done.values())} cases, {len(failures)} differ", file=sys.stderr, flush=True)
    return done, failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", type=int, default=10000, help="cases per kernel on the host, under sanitizers")
    parser.add_argument("--simd", type=int, default=2000, help="the same, compiled for AVX2 and for this processor")
    parser.add_argument("--qemu", type=int, default=500, help="on each machine of QEMU")
    parser.add_argument(
        "--rtl", type=int, default=100, help="on the RTL of VexRiscv Full, Ibex, and (its kernels) the dot-product unit"
    )
    parser.add_argument("--operators", type=int, default=3, help="rounds of each registered operator on the host")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="kernels whose name contains this")
    options = parser.parse_args()
    counts: dict[str, Counter] = {}
    failures: list[str] = []
    wanted = {
        "host": options.host,
        "avx2": options.simd,
        "native": options.simd,
        "rv32": options.qemu,
        **dict.fromkeys((name for name in qemu.MACHINES if name.startswith("cortex-")), options.qemu),
        "full": options.rtl,
        "fullcfu-dot": options.rtl,
        "ibex": options.rtl,
    }
    with tempfile.TemporaryDirectory(prefix="mico-fuzz-") as folder:
        for target, per_kernel in wanted.items():
            started = time.monotonic()
            try:
                counts[target], found = (
                    fuzz(target, per_kernel, options.seed, Path(folder), options.only) if per_kernel else ({}, [])
                )
            except StepSkipped as missing:
                print(f"{target}: skipped, {missing}", file=sys.stderr)
                continue
            failures += found
            print(f"{target}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        if options.operators:
            counts["operators"], found = fuzz_operators(options.operators, options.seed, Path(folder), (), options.only)
            failures += found
    kernels = sorted({kernel for done in counts.values() for kernel in done})
    rows = [[kernel, *(counts[t].get(kernel, 0) for t in counts)] for kernel in kernels]
    print(tabulate(rows, headers=["kernel", *counts], intfmt=","))
    print(f"{sum(sum(done.values()) for done in counts.values()):,} cases, {len(failures)} mismatches")
    print("\n".join(failures[:FAILURES_SHOWN]))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
