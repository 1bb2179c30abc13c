"""The headline figures of a report."""

from __future__ import annotations

from fnmatch import fnmatchcase

from mico_runner.outputs.report.asked import bounds_text
from mico_runner.outputs.report.tables import bytes_text, number
from mico_runner.outputs.report.version import Version

MOST = 6  # figures of a spec without a network


def tiles(version: Version) -> list[dict[str, str]]:
    """The headline figures: title, value, note.

    Of a spec without a network those that its gates are on; without gates the first that can be better.
    """
    return _of_network(version) or _of_gates(version) or _first(version)


def _of_gates(version: Version) -> list[dict[str, str]]:
    found = {}
    for gate, bounds in (version.spec.get("gates") or {}).items():
        for name, metric in version.metrics.items():
            if bounds and fnmatchcase(name, gate):
                found[name] = _tile(name, metric.value, metric.unit, f"asked: {bounds_text(bounds)}")
    return list(found.values())[:MOST]


def _first(version: Version) -> list[dict[str, str]]:
    metrics = version.metrics.items()
    known = [(name, m) for name, m in metrics if m.direction != "info" and not m.volatile] or list(metrics)
    return [_tile(name, m.value, m.unit, _WHICH[m.direction]) for name, m in known[:MOST]]


_WHICH = {"lower": "lower is better", "higher": "higher is better", "info": ""}


def _tile(name: str, value: float, unit: str, note: str) -> dict[str, str]:
    step, _, rest = name.partition(".")
    shown = number(value) if unit in ("count", "ratio") else f"{number(value)} {unit}"
    return {"title": f"{step}: {rest.replace('_', ' ')}", "value": shown, "note": note}


def _of_network(version: Version) -> list[dict[str, str]]:
    found = []
    measure = version.task.MEASURE
    title = measure.name.replace("_", " ").capitalize() if measure.name.islower() else measure.name
    before, after = version.value(f"train.test_{measure.name}"), version.value(f"simulate.{measure.name}")
    if after is not None:
        drop = version.value(f"simulate.{measure.name}_drop")  # on the same images, which need not be all
        images = version.json("simulate", "simulate.json").get("images")
        note = (f"{images:,} " if images else "") + "test images, C program"
        if drop is not None:
            float_value = measure.text(measure.goodness(measure.goodness(after) + drop))
            note += f"; float {float_value}, {_signed(-drop if measure.higher else drop)} {measure.points}"
        found.append({"title": title, "value": measure.text(after), "note": note})
    elif before is not None:
        found.append({"title": title, "value": measure.text(before), "note": "test images, float network"})
    ratio, chosen = version.value("search.latency_ratio"), version.chosen
    if ratio is not None:
        note = "of 8-bit's latency, predicted"
        if chosen is not None and "latency" in chosen:
            note += f": {number(chosen['latency'])} {version.unit}"
        coverage = version.value("evaluate.latency_coverage")
        if coverage is not None and coverage < 100:
            note += f"; {100 - coverage:.0f} % of the kernels not in the profile, not counted"
        found.append({"title": "Latency", "value": f"{100 * ratio:.1f} %", "note": note})
    flash, int8 = version.value("codegen.flash_bytes"), version.value("evaluate.int8.flash_bytes")
    if flash is not None:
        tables, linked = version.value("codegen.tables_bytes"), version.value("simulate.flash_bytes")
        note = "tables and code of the linked program" if linked else "tables and code, estimated"
        note = "weights and tables; no board to count code for" if flash == tables else note
        note += f"; 8-bit {bytes_text(int8)}" if int8 else ""
        found.append({"title": "Flash", "value": bytes_text(linked or flash), "note": note})
    arena = version.value("codegen.ram_bytes")
    if arena is not None:
        ram, stack = version.value("simulate.ram_bytes"), version.value("codegen.stack_bytes")
        note = "arena, input, output" + (" and stack" if ram or stack else "; no board to count stack for")
        found.append({"title": "RAM", "value": bytes_text(ram or arena), "note": note})
    errors = _errors(version, "mape")
    if errors:
        worst = max(errors, key=lambda kind: errors[kind])
        inside = version.value(f"proxy.{worst}.mape_in_sample")
        beside = f"; in-sample {100 * inside:.2f} %" if inside is not None else ""
        note = f"{worst}, shapes not seen in training{beside}"
        found.append({"title": "Latency error", "value": f"{100 * errors[worst]:.1f} %", "note": note})
    wrong = version.value("simulate.logits_mismatches")
    if wrong is not None:
        images = version.json("simulate", "simulate.json").get("images")
        note = "logits of C and integer reference" + (f", {images:,} images" if images else "")
        found.append({"title": "Exactness", "value": f"{number(wrong)} differ", "note": note})
    return found


def _errors(version: Version, measure: str) -> dict[str, float]:
    """kind of kernel -> error, a fraction, on shapes that the predictor has not seen."""
    parts = {name: name.split(".") for name in version.metrics}
    return {
        p[1]: version.metrics[n].value for n, p in parts.items() if len(p) == 3 and (p[0], p[2]) == ("proxy", measure)
    }


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
