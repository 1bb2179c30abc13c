"""codesign over the engines of an FPGA: the least latency of each network, with all layers at one pair of bits and with bits free."""

from __future__ import annotations

from itertools import product
from time import process_time

import pandas as pd

from mico_runner.codesign import engines
from mico_runner.errors import StepError
from mico_runner.graph.ir import Graph
from mico_runner.hardware import Hardware
from mico_runner.search import allocation
from mico_runner.sections import Codesign, Engines, ShapedNetwork
from mico_runner.steps.base import StepContext
from mico_runner.steps.codesign_certificate import write_certificate
from mico_runner.steps.inputs import device_of
from mico_runner.steps.network import kernels, uniform

FREE = "free"


def captured(name: str, about: ShapedNetwork) -> Graph:
    """A network of the zoo by its shapes; its weights do not matter."""
    from mico_runner import graph
    from mico_runner.models import MODELS

    model = MODELS.get(name)(about.input, about.classes, **about.params)
    return graph.capture(model, about.input, name)


def run(ctx: StepContext, section: Codesign, choices: Engines) -> None:
    """engines.csv, cases.csv, certificate.json, and metrics of each network."""
    device, tried = device_of(ctx.spec), section.bits
    reference = tried.noise_of
    free = tuple(product(tried.weight_bits, tried.activation_bits))
    cases, rows, slowest = [], [], 0.0
    for name, about in section.networks.items():
        network = captured(name, about)
        table = kernels(network, uniform(network, *reference), device.batch)
        each = sum(map(allocation.noise, reference))
        for which, pairs in (("uniform", (reference,)), (FREE, free)):
            start = process_time()
            of = engines.Choices(choices.channels, choices.filters, choices.pixels, choices.weight_kib, pairs)
            noise = {pair: sum(map(allocation.noise, pair)) for pair in pairs}
            found = engines.engines(table, device, of, noise)
            best = engines.solve(found, device, each * len(table))
            if best is None:
                raise StepError(f"{name}: no engines keep the blocks of {device.name} and the limit of noise")
            seconds = process_time() - start
            slowest = max(slowest, seconds)
            chosen = [
                {"network": name, "bits": which, "engine": engine.name, "layers": len(engine.layers)}
                | {key: int(value) for key, value in engine.options.iloc[option].items()}
                | {"cycles": engine.cycles[option]}
                | dict(zip(engines.RESOURCES, engine.use[option], strict=True))
                for engine, option in zip(found, best.choice, strict=True)
            ]
            rows += chosen
            space = 1
            for engine in found:
                space *= len(engine.options)
            case = {"network": name, "bits": which, "value": best.value, "bound": best.bound, "gap": best.gap}
            cases.append(case | {"designs": space, **_totals(chosen, device, best.value)})
            ctx.metric(f"codesign.{name}.{which}.cycles", best.value, "cycles", "lower", tolerance="1%")
            ctx.log(f"{name}, bits {which}: {best.value:,.0f} cycles, gap {100 * best.gap:g} %, of {space:.3g} designs")
    pd.DataFrame(rows).to_csv(ctx.dir / "engines.csv", index=False)
    write_certificate(ctx, pd.DataFrame(cases), slowest)


def _totals(rows: list[dict[str, object]], device: Hardware, cycles: float) -> dict[str, float]:
    """Blocks in all, and images per second where the device has a clock."""
    table = pd.DataFrame(rows)
    totals = {name: float(table[name].sum()) for name in engines.RESOURCES}
    return totals | ({"images_per_second": device.batch * device.clock_hz / cycles} if device.clock_hz else {})
