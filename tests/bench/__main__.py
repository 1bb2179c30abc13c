"""`python -m tests.bench [names]`: runs the benchmarks and prints one table; without names, all of them."""

from __future__ import annotations

import sys

from tabulate import tabulate

from tests.bench import cortex, kernels, network, onnx_int8, quickstart, simulators, size, startup, tiles

BENCHES = {
    "int8": onnx_int8.bench,
    "quickstart": quickstart.bench,
    "network": network.bench,
    "size": size.bench,
    "startup": startup.bench,
    "simulators": simulators.bench,
    "kernels": kernels.bench,
    "pairs": kernels.pairs,
    "tiles": tiles.bench,
    "cortex": cortex.bench,
}


def main(names: list[str]) -> None:
    unknown = sorted(set(names) - set(BENCHES))
    if unknown:
        sys.exit(f"no benchmark {unknown[0]!r}; there are: {', '.join(BENCHES)}")
    rows = []
    for name in names or BENCHES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows += BENCHES[name]()
    print(tabulate(rows, headers=["what", "figure", "unit", "beside", "figure", "ratio"], floatfmt=",.4g", intfmt=","))


if __name__ == "__main__":
    main(sys.argv[1:])
