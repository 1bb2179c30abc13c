"""filter: attention to those keys alone that pass rounds of scores of few bits; of all settings the one of the least work."""

from __future__ import annotations

from itertools import pairwise, product
from typing import TYPE_CHECKING

from mico_runner.sections import Filter as Section
from mico_runner.sections import Sections
from mico_runner.steps import register
from mico_runner.steps.base import Inputs, Step, StepContext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mico_runner.data.dataset import Split
    from mico_runner.quant.filtering import Kept
    from mico_runner.quant.qgraph import QGraph
    from mico_runner.tasks.base import Task

PERCENT = 100


@register("filter", section="filter", needs=["train"], order=58)
class Filter(Step):
    """Try all rounds of a decoder's attention, and take those of the fewest products of bits that keep the loss."""

    def inputs(self, spec: Sections) -> Inputs:
        from mico_runner.steps.inputs import data_inputs, present

        codegen = present(spec.codegen)
        return {
            "filter": spec.filter,
            "bits": [codegen.bits, codegen.ends],
            "quantization": spec.quantization,
            "data": data_inputs(spec),
            "validation": spec.datasets.validation,
            "seed": spec.seed,
        }

    def run(self, ctx: StepContext) -> None:
        import pandas as pd

        from mico_runner.errors import StepError
        from mico_runner.quant import filtering, storage
        from mico_runner.steps.inputs import present
        from mico_runner.steps.network import assignment_of, load_data, quantiser, trained_graph

        section = present(ctx.spec.filter)
        samples = load_data(ctx.spec)
        network = trained_graph(ctx, samples)
        plain = quantiser(ctx.spec, network, samples).quantize(assignment_of(ctx, network))
        layers = filtering.layers(plain)
        if not layers:
            raise StepError(f"network {network.name!r} has no causal attention whose keys could be filtered")
        part = samples.validation.first(section.samples)
        before, _ = _tried(plain, samples.task, part)
        rows = []
        settings = _settings(section)
        for rounds in ctx.progress(settings, total=len(settings), desc="settings"):
            loss, kept = _tried(filtering.with_filters(plain, dict.fromkeys(layers, rounds)), samples.task, part)
            products = sum(k.bit_products for k in kept) / sum(k.plain_bit_products for k in kept)
            text = " ".join(f"{bits}:{place}" for bits, place in rounds)
            rows.append(
                {
                    "rounds": text,
                    "rise": PERCENT * (loss / before - 1),
                    "density": _density(kept),
                    "bit_products": products,
                }
            )
        table = pd.DataFrame(rows)
        good = table[table["rise"] <= section.rise]
        if good.empty:
            raise StepError(
                f"all {len(table)} settings raise the loss by more than {section.rise} %; try lower filter.places"
            )
        chosen = int(good.index[int(good["bit_products"].to_numpy().argmin())])
        table["chosen"] = (table.index == chosen).astype(int)
        table.to_csv(ctx.dir / "settings.csv", index=False, float_format="%.6g")
        ctx.metric("filter.settings", len(table), "count")
        deployed = filtering.with_filters(plain, dict.fromkeys(layers, settings[chosen]))
        storage.save(deployed, ctx.dir / "qgraph")
        before, _ = _tried(plain, samples.task, samples.test)
        loss, kept = _tried(deployed, samples.task, samples.test)
        _report(ctx, section, table["rounds"][chosen], PERCENT * (loss / before - 1), kept)


def _settings(section: Section) -> list[tuple[tuple[int, int], ...]]:
    """Every sequence of rounds with rising bits."""
    one = list(product(sorted(section.bits), section.places))
    found: list[tuple[tuple[int, int], ...]] = []
    for count in range(1, section.rounds + 1):
        found += [rounds for rounds in product(one, repeat=count) if all(a[0] < b[0] for a, b in pairwise(rounds))]
    return found


AT_ONCE = 8  # samples, whose masks of all pairs of tokens are in memory


def _tried(graph: QGraph, task: Task, samples: Split) -> tuple[float, list[Kept]]:
    """The loss of a network on some samples, and the keys that its layers score."""
    import numpy as np

    from mico_runner import quant
    from mico_runner.quant import filtering
    from mico_runner.steps.network import dequantised

    parts = [filtering.run(graph, quant.quantize_input(graph, p.floats())) for p in samples.parts(AT_ONCE)]
    outputs = dequantised(graph, np.concatenate([output for output, _ in parts]))
    return task.measured_loss(outputs, samples), [
        _joined(each) for each in zip(*(kept for _, kept in parts), strict=True)
    ]


def _joined(parts: Sequence[Kept]) -> Kept:
    from dataclasses import replace

    import numpy as np

    return replace(parts[0], keys=np.concatenate([part.keys for part in parts], axis=1))


def _density(kept: list[Kept]) -> float:
    return float(sum(k.keys[-1].sum() for k in kept) / sum(k.keys[0].sum() for k in kept))


def _report(ctx: StepContext, section: Section, rounds: str, rise: float, kept: list[Kept]) -> None:
    """Metrics of the test part, and density.csv."""
    import numpy as np
    import pandas as pd

    from mico_runner.accelerators import filtered

    rows = [
        {"layer": k.layer, "head": head, "density": share}
        for k in kept
        for head, share in enumerate(k.density.tolist())
    ]
    pd.DataFrame(rows).to_csv(ctx.dir / "density.csv", index=False, float_format="%.6g")
    fewer = 1 / _density(kept)
    ctx.metric("filter.loss_rise", rise, "%", "lower", 0.1)
    ctx.metric("filter.fewer_full_products", fewer, "ratio", "higher", "2%")
    products = sum(k.bit_products for k in kept) / sum(k.plain_bit_products for k in kept)
    ctx.metric("filter.bit_products_ratio", products, "ratio", "lower", "2%")
    taken = plain = 0.0
    for k in kept:
        work = [k.width * keys.ravel() for keys in k.keys]  # a query after another, scores and values alike in the last
        filtering = np.ceil(sum(work[:-1]) / section.units.filter)
        taken += filtered.cycles(filtering, np.ceil(2 * work[-1] / section.units.attend))
        plain += float(np.ceil(2 * work[0] / section.units.attend).sum())
    ctx.metric("filter.cycles_ratio", taken / plain, "ratio", "lower", "2%")
    ctx.log(
        f"rounds {rounds}: {fewer:.2f} times fewer full products, loss {rise:+.3f} %; {products:.1%} of the products of bits,"
        f" {taken / plain:.1%} of the cycles of the attention unit alone"
    )
