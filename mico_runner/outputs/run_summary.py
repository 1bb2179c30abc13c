"""A finished run in ten lines: what was done, the figures that one looks for first, and where the rest is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from mico_runner.steps.base import Metric

MOST = 10  # lines, with the one on the gates and the one on the version that the caller adds


def summary(metrics: Mapping[str, Metric], statuses: Mapping[str, str], skipped: Mapping[str, str]) -> list[str]:
    """At most eight lines.

    Args:
        statuses: step -> "run", "cached" or "skipped"; skipped: step -> why.
    """
    lines = [_steps(statuses), *(f"skipped: {step}: {why}" for step, why in skipped.items())]
    if len(lines) > 3:
        lines[2:] = [f"skipped: {len(lines) - 2} more steps, see report.html"]
    room = MOST - 2 - len(lines)
    figures = _figures(metrics) or _first(metrics, room)
    return lines + [f"{name:<12}  {text}" for name, text in figures[:room]]


def _steps(statuses: Mapping[str, str]) -> str:
    count = Counter(statuses.values())
    words = {"run": "run", "cached": "from the cache", "skipped": "skipped"}
    said = ", ".join(f"{count[status]} {word}" for status, word in words.items() if count[status])
    return f"{'steps':<14}{said}"


def _figures(metrics: Mapping[str, Metric]) -> list[tuple[str, str]]:
    """Of a network on a device: quality, latency, energy, memory, the latency's error, exactness."""

    def at(name: str) -> Metric | None:
        return metrics.get(name)

    found = list(_quality(metrics))
    if ratio := at("search.latency_ratio"):
        found.append(
            ("latency", f"{100 * ratio.value:.1f} % of 8-bit's, predicted: {_text(metrics['search.latency'])}")
        )
    if ratio := at("search.energy_ratio"):
        found.append(("energy", f"{100 * ratio.value:.1f} % of 8-bit's"))
    for memory in ("flash", "ram"):
        size, int8 = at(f"codegen.{memory}_bytes"), at(f"evaluate.int8.{memory}_bytes")
        if size:
            found.append((memory, f"{size.value:,} bytes" + (f"; 8-bit {int8.value:,}" if int8 else "")))
    errors = [m.value for name, m in metrics.items() if name.startswith("proxy.") and name.endswith(".mape")]
    if errors:
        found.append(("prediction", f"{100 * max(errors):.1f} % off on kernel shapes that were not learned from"))
    if wrong := at("simulate.logits_mismatches"):
        found.append(("exactness", f"{wrong.value:,} images differ between C and the integer reference"))
    return found


def _quality(metrics: Mapping[str, Metric]) -> list[tuple[str, str]]:
    """The measure of the task, as the program has it beside the network in floats."""
    before = "train.test_"
    for name, value in metrics.items():
        measure = name.removeprefix(before)
        if name.startswith(before):
            after = metrics.get(f"simulate.{measure}")
            label = measure.replace("_", " ")
            return [(label, f"{_text(after)}; float {_text(value)}" if after else f"{_text(value)}, float")]
    return []


def _first(metrics: Mapping[str, Metric], most: int) -> list[tuple[str, str]]:
    """The first metrics that have a better side, else of all, and how many more there are."""
    chosen = {n: m for n, m in metrics.items() if m.direction != "info"} or dict(metrics)
    lines = [(name, _text(metric)) for name, metric in chosen.items()]
    if len(metrics) <= most and len(lines) == len(metrics):
        return lines
    shown = lines[: most - 1]
    return [*shown, (f"{len(metrics) - len(shown)} more", "metrics in metrics.json")]


def _text(metric: Metric) -> str:
    value = f"{metric.value:,}" if isinstance(metric.value, int) else f"{metric.value:,.6g}"
    return f"{value} {metric.unit}".strip()
