"""`python docs/memory.py`: the least memory of networks by every kind of schedule; its output is the table of docs/results/memory.md."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from mico_runner import formats
from mico_runner.codegen.schedule.network import Network, of_graph
from mico_runner.codegen.schedule.path import Planner
from mico_runner.graph import capture
from mico_runner.models import MODELS
from mico_runner.models.mcunet import VARIANTS

LIMITS = (1.1, 1.25)


def networks() -> Iterator[tuple[str, Network]]:
    """Those of the table, by name; files where the data mirror has them."""
    zoo = [("mobilenet-v2", 224, {"width": 1.0}), ("mobilenet-v2", 144, {"width": 0.35})]
    zoo += [("mcunet", VARIANTS[variant][1], {"variant": variant}) for variant in VARIANTS]
    for model, side, params in zoo:
        module = MODELS.get(model)((3, side, side), 1000, **params).eval()
        name = f"`{model}` {next(iter(params.values()))}, {side} x {side}"
        yield name, of_graph(capture(module, (3, side, side), model))
    if mirror := os.environ.get("MICO_DATA_MIRROR"):
        for file in ("vww.tflite", "mcunetv2_large.tflite"):
            found = formats.read(Path(mirror) / "networks/mcunet" / file)
            yield f"`{file}`", of_graph(capture(found.module, found.input_shapes[0], file))


def main() -> None:
    limits = "".join(f" strips, at most {limit:g} |" for limit in LIMITS)
    print(f"| network | layers | rows |{limits} patches, at most {LIMITS[-1]:g} | seconds |")
    print("|---|---|---|" + "---|" * (len(LIMITS) + 2))
    for name, network in networks():
        begun = time.process_time()
        planner = Planner(network)
        found = [planner.least(limit, kinds=("rows", "strips")) for limit in (1.0, *LIMITS)]
        seconds = time.process_time() - begun
        patches = Planner(network).least(LIMITS[-1], kinds=("patches",))
        cells = [planner.whole(), *found, patches]
        texts = [f"{s.ram / 1024:.1f}" + (f" ({s.macs:.2f})" if s.macs > 1 else "") for s in cells]
        print(f"| {name} | {' | '.join(texts)} | {seconds:.1f} |")


if __name__ == "__main__":
    main()
