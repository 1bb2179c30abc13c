"""report.html: one page, without outside files, that shows a version. Each section appears when its artifacts are there."""

from __future__ import annotations

import json
import os
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mico_runner.data.source import own_loaders
from mico_runner.outputs import report_allocation, report_codesign, report_search, store
from mico_runner.outputs import report_calibration as calibration
from mico_runner.outputs import report_figures as figures
from mico_runner.outputs import report_predictor as predictor
from mico_runner.outputs import report_tuning as tuning
from mico_runner.outputs.files import write_text
from mico_runner.outputs.json_files import read_text
from mico_runner.outputs.report_tables import Table, bytes_text, number, table, with_shapes
from mico_runner.tasks import DEFAULT, create
from mico_runner.tasks.base import Task

QUALITY = "quality"  # in a spec; the reader hears the name of the task's measure
_COSTS = {
    "latency": "latency",
    "energy": "energy, pJ",
    "edp": "energy x latency",
    "flash_bytes": "flash, bytes",
    "ram_bytes": "RAM, bytes",
    "bops": "bit operations",
}


def write_report(version: Path, path: Path | None = None) -> Path:
    """Render a version folder to `path`; returns where it is.

    By default that is its own report.html, or, where that would have to change and may not be written, a file in the current folder.
    """
    text = render(version)
    if path is None:
        path = version / "report.html"
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return path
        if not os.access(version, os.W_OK):
            path = Path(f"{version.parent.name}-{version.name}.html")
    write_text(path, text)
    return path


def render(version: Path) -> str:
    """The page as text; the same version gives the same text."""
    environment = Environment(
        loader=PackageLoader("mico_runner.outputs", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "bytes": bytes_text}
    return environment.get_template("report.html.j2").render(Report(version).context())


class Report:
    """What the template shows, from the files of one version."""

    def __init__(self, version: Path) -> None:
        self.version = version
        self.spec_text = read_text(version / "spec.resolved.yaml")
        self.spec = yaml.safe_load(self.spec_text)
        self.manifest = store.manifest(version)
        self.metrics = store.metrics(version)

    def context(self) -> dict[str, Any]:
        return {
            "spec": self.spec,
            "spec_text": self.spec_text,
            "manifest": self.manifest,
            "asked": self.asked(),
            "tiles": self.tiles(),
            "pareto": self.pareto(),
            "front": self.front(),
            "regret": self.regret(),
            "sensitivity": self.sensitivity(),
            "bits": self.bits(),
            "allocation": self.allocation(),
            "codesign": self.codesign(),
            "latency": self.latency(),
            "calibration": self.calibration(),
            "verified": self.verified(),
            "devices": self.devices(),
            "tuning": self.tuning(),
            "measure": self.task.MEASURE.name,
            "quality": self.quality(),
            "kernels": table(self.csv("codegen", "kernels.csv")),
            "memory": self.memory(),
            "metrics": self.metrics,
            "broken_gates": self.manifest["broken_gates"],
            "skipped": {
                s: about["hint"] for s, about in self.manifest["steps"].items() if about["status"] == "skipped"
            },
            "slowest": max((about["wall_seconds"] for about in self.manifest["steps"].values()), default=0) or 1,
        }

    # Reading

    def csv(self, step: str, name: str) -> pd.DataFrame | None:
        path = self.version / "steps" / step / name
        return pd.read_csv(path) if path.is_file() else None

    def json(self, step: str, name: str) -> dict[str, Any]:
        path = self.version / "steps" / step / name
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def value(self, metric: str) -> float | None:
        return self.metrics[metric].value if metric in self.metrics else None

    @property
    def task(self) -> Task:
        """What the network is for."""
        about = (self.spec.get("datasets") or {}).get("task")
        kind = about.get("kind", DEFAULT) if isinstance(about, dict) else DEFAULT
        return create(kind, about.get("options") if isinstance(about, dict) else None)

    @property
    def unit(self) -> str:
        """Of latencies."""
        unit: str = self.json("fit", "fit.json").get("unit", "")
        return unit

    # Sections

    def asked(self) -> list[tuple[str, str]]:
        """What the spec wants, in words: (topic, text)."""
        spec = self.spec
        rows = []
        if spec.get("model"):
            rows.append(("Network", _network(spec["model"], spec.get("datasets") or {})))
        hardware = spec.get("hardware")
        if hardware:
            rows.append(("Hardware", hardware if isinstance(hardware, str) else hardware.get("name", "given inline")))
        profile = (spec.get("datasets") or {}).get("profile")
        if spec.get("proxy"):
            proxy = spec["proxy"]
            parts = [
                str(proxy[key])
                for key in ("strategy", "features", "regressor")
                if proxy.get(key) != "auto" or key == "strategy"
            ]
            rows.append(("Latency predictor", ", ".join(parts) + (f", on {', '.join(profile)}" if profile else "")))
        if spec.get("search"):
            search = spec["search"]
            space = search["space"]
            widths = f"weights {_list(space['weight_bits'])}, activations {_list(space['activation_bits'])} bits"
            rows.append(("Space", widths + (f"; pinned: {', '.join(space['pinned'])}" if space.get("pinned") else "")))
            objectives = _list([self._named(each) for each in search["objectives"]])
            rows.append(("Objectives", f"{objectives} by {search['algorithm']}, {_budget(search)}"))
            limits = [
                _constraint(self._named(name), bound, self.task.MEASURE.higher)
                for name, bound in (search.get("constraints") or {}).items()
            ]
            rows.append(("Constraints", "; ".join(limits) or "none"))
        elif spec.get("codegen") and spec["codegen"].get("bits"):
            weight, activation = spec["codegen"]["bits"]
            where = "in every layer"
            if ends := spec["codegen"].get("ends"):
                where = f"in every layer but the first and the last, which have {ends[0]} and {ends[1]}"
            rows.append(("Bits", f"{weight} for weights, {activation} for activations, {where}"))
        if finetune := spec.get("finetune"):
            rows.append(("Trained at these bits", f"{finetune['epochs']} epochs"))
        if spec.get("simulate"):
            target = spec["simulate"]["target"]
            rows.append(("Run on", target if isinstance(target, str) else ", ".join(target)))
        gates = [f"{name} {_bounds(bounds)}" for name, bounds in (spec.get("gates") or {}).items() if bounds]
        return [*rows, ("Gates", "; ".join(gates) or "none")]

    def _named(self, metric: str) -> str:
        return self.task.MEASURE.name if metric == QUALITY else metric

    def tiles(self) -> list[dict[str, str]]:
        """The headline figures: title, value, note."""
        tiles = []
        measure = self.task.MEASURE
        title = measure.name.replace("_", " ").capitalize() if measure.name.islower() else measure.name
        before, after = self.value(f"train.test_{measure.name}"), self.value(f"simulate.{measure.name}")
        if after is not None:
            drop = self.value(f"simulate.{measure.name}_drop")  # on the same images, which need not be all
            images = self.json("simulate", "simulate.json").get("images")
            note = (f"{images:,} " if images else "") + "test images, C program"
            if drop is not None:
                float_value = measure.text(measure.goodness(measure.goodness(after) + drop))
                note += f"; float {float_value}, {_signed(-drop if measure.higher else drop)} {measure.points}"
            tiles.append({"title": title, "value": measure.text(after), "note": note})
        elif before is not None:
            tiles.append({"title": title, "value": measure.text(before), "note": "test images, float network"})
        ratio, chosen = self.value("search.latency_ratio"), self._chosen()
        if ratio is not None:
            note = "of 8-bit's latency, predicted"
            if chosen is not None and "latency" in chosen:
                note += f": {number(chosen['latency'])} {self.unit}"
            coverage = self.value("evaluate.latency_coverage")
            if coverage is not None and coverage < 100:
                note += f"; {100 - coverage:.0f} % of the kernels not in the profile, not counted"
            tiles.append({"title": "Latency", "value": f"{100 * ratio:.1f} %", "note": note})
        flash, int8 = self.value("codegen.flash_bytes"), self.value("evaluate.int8.flash_bytes")
        if flash is not None:
            tables, linked = self.value("codegen.tables_bytes"), self.value("simulate.flash_bytes")
            note = "tables and code of the linked program" if linked else "tables and code, estimated"
            note = "weights and tables; no board to count code for" if flash == tables else note
            note += f"; 8-bit {bytes_text(int8)}" if int8 else ""
            tiles.append({"title": "Flash", "value": bytes_text(linked or flash), "note": note})
        arena = self.value("codegen.ram_bytes")
        if arena is not None:
            ram, stack = self.value("simulate.ram_bytes"), self.value("codegen.stack_bytes")
            note = "arena, input, output" + (" and stack" if ram or stack else "; no board to count stack for")
            tiles.append({"title": "RAM", "value": bytes_text(ram or arena), "note": note})
        errors = self._errors("mape")
        if errors:
            worst = max(errors, key=lambda kind: errors[kind])
            inside = self.value(f"proxy.{worst}.mape_in_sample")
            beside = f"; in-sample {100 * inside:.2f} %" if inside is not None else ""
            note = f"{worst}, shapes not seen in training{beside}"
            tiles.append({"title": "Latency error", "value": f"{100 * errors[worst]:.1f} %", "note": note})
        wrong = self.value("simulate.logits_mismatches")
        if wrong is not None:
            images = self.json("simulate", "simulate.json").get("images")
            note = "logits of C and integer reference" + (f", {images:,} images" if images else "")
            tiles.append({"title": "Exactness", "value": f"{number(wrong)} differ", "note": note})
        return tiles

    def pareto(self) -> Markup | None:
        front = self.csv("search", "front.csv")
        if front is None:
            return None
        objectives = self.spec["search"]["objectives"]
        cost = next((o for o in objectives if o in front and o != QUALITY), "latency")
        if cost not in front:
            return None
        evaluations, uniform = self.csv("search", "evaluations.csv"), self.csv("evaluate", "uniform.csv")
        if uniform is not None and cost not in uniform:
            uniform = None
        limits = {}
        measure = self.task.MEASURE
        before = self.value(f"train.validation_{measure.name}")
        if before is not None:
            limits[QUALITY] = (before, "float network")
        bound = (self.spec["search"].get("constraints") or {}).get(cost) or {}
        int8 = self.value(f"evaluate.int8.{cost}")
        if "max" in bound and (bound.get("relative_to") is None or int8):
            limits["cost"] = (bound["max"] * (int8 if bound.get("relative_to") else 1), "limit asked for")
        label = _COSTS[cost] + (f", {self.unit}" if cost == "latency" else "")
        joined = set(objectives) == {QUALITY, cost}
        return Markup(figures.pareto(front, evaluations, uniform, measure, cost, label, limits, joined))

    def front(self) -> Table | None:
        """The front without its bits."""
        front = self.csv("search", "front.csv")
        if front is None:
            return None
        shown = front[[c for c in front if not str(c).endswith((".w", ".a"))]]
        order = "latency" if "latency" in shown else "flash_bytes"
        return table(shown.sort_values(order) if order in shown else shown, mark="chosen")

    def regret(self) -> Table | None:
        return table(self.csv("search", "regret.csv"))

    def sensitivity(self) -> Markup | None:
        learnt = self.csv("search", "sensitivity.csv")
        return None if learnt is None else report_search.sensitivity(learnt)

    def allocation(self) -> dict[str, Any] | None:
        points, layers = self.csv("allocate", "front.csv"), self.csv("allocate", "layers.csv")
        if points is None or layers is None:
            return None
        asked = self.spec["allocate"]
        bound = asked["constraints"].get(asked["over"])
        limit = bound["max"] if bound and bound["relative_to"] else None
        return report_allocation.section(points, layers, self.csv("allocate", "trace.csv"), asked["over"], limit)

    def codesign(self) -> dict[str, Any] | None:
        cases, designs = self.csv("codesign", "cases.csv"), self.csv("codesign", "designs.csv")
        if cases is None:
            return None
        if designs is not None and "status" in designs:
            return report_codesign.designs(cases, designs)
        return report_codesign.cases(cases)

    def bits(self) -> dict[str, Any] | None:
        assignment = self.json("search", "choice.json").get("assignment") or self.json("codegen", "bits.json")
        if not assignment:
            return None
        names = list(assignment)
        weights, activations = ([float(bits[i]) for bits in assignment.values()] for i in (0, 1))
        rows = pd.DataFrame({"layer": names, "weight_bits": weights, "act_bits": activations})
        about = self._layers()
        if about is not None:
            about = about.rename(columns={"latency": f"8-bit latency, {self.unit}"})
            keep = ["layer", *(c for c in ("op", "macs", "params", f"8-bit latency, {self.unit}") if c in about)]
            rows = with_shapes(rows.merge(about[keep], on="layer", how="left"), about)
        return {"figure": Markup(figures.bits(names, weights, activations)), "table": table(rows)}

    def _layers(self) -> pd.DataFrame | None:
        """What `evaluate` says of each layer."""
        about = self.csv("evaluate", "layers.csv")
        if about is None:
            return None
        about = about.drop(columns=["layer"]) if "name" in about and "layer" in about else about
        # all layers of a Sequential may be named by numbers
        return about.rename(columns={"name": "layer"}).astype({"layer": str})

    def latency(self) -> dict[str, Any] | None:
        """Errors of the predictor by protocol, its predictions, and the network's layers."""
        protocols, layers = self.csv("fit", "protocols.csv"), self.csv("simulate", "layers.csv")
        if protocols is None and layers is None:
            return None
        section: dict[str, Any] = dict.fromkeys(
            ("errors", "points", "details", "learning", "layers", "layer_table", "networks")
        )
        if protocols is not None:
            protocols["protocol"] = protocols["protocol"].replace("in_sample", "in-sample (training rows)")
            errors = [name for name in ("mape", "p90_ape", "max_ape") if name in protocols]
            protocols[errors] *= 100  # fractions in the file
            protocols = protocols.sort_values(["kind", "strategy", "protocol"], key=_in_order, kind="stable")
            section["errors"] = table(protocols, mark_if=("protocol", "group_kfold"))
            section["points"] = self._points()
            section["details"] = self._details()
            curve = self.csv("fit", "learning_curve.csv")
            section["learning"] = Markup(predictor.learning(curve)) if curve is not None else None
        if layers is not None:
            unit = str(layers["unit"].iloc[0]) if "unit" in layers else self.unit
            simulated = "host" not in str(self.spec.get("hardware"))
            section["layers"] = Markup(figures.layer_latency(layers, unit, "simulated" if simulated else "measured"))
            if "measured" in layers:
                layers["error_percent"] = 100 * (layers["predicted"] / layers["measured"] - 1)
                layers = layers.rename(columns={"measured": "simulated"} if simulated else {})
            section["layer_table"] = table(with_shapes(layers, self._layers()))
        networks = self.csv("simulate", "rtl_predictions.csv")
        if networks is not None:
            section["networks"] = Markup(predictor.networks(networks, self.unit))
        return section

    def devices(self) -> dict[str, Any] | None:
        """What few measured networks say about all others, on devices tested as if they were new."""
        summary, embedding = self.csv("fit", "summary.csv"), self.csv("fit", "embedding.csv")
        if summary is None or embedding is None:
            return None
        return {"summary": table(summary), "embedding": Markup(predictor.embedding(embedding))}

    def calibration(self) -> dict[str, Any] | None:
        profile = self.json("calibrate", "profile.json")
        if not profile:
            return None
        return calibration.section(
            profile, self.csv("calibrate", "networks.csv"), self.csv("calibrate", "comparison.csv")
        )

    def verified(self) -> list[dict[str, Any]]:
        networks, operations = self.csv("verify", "networks.csv"), self.csv("verify", "operations.csv")
        return [] if networks is None or operations is None else calibration.verified(networks, operations)

    def tuning(self) -> dict[str, Any] | None:
        found = [self.csv("tune", f"{name}.csv") for name in ("jobs", "settings", "recurrences")]
        jobs, settings, recurrences = found
        if jobs is None or settings is None or recurrences is None:
            return None
        return tuning.section(jobs, settings, recurrences)

    def quality(self) -> dict[str, Any] | None:
        stages = [
            ("float network", "train"),
            ("8-bit everywhere", "evaluate.int8"),
            ("chosen bits", "search"),
            ("chosen bits, C program", "simulate"),
        ]
        rows = []
        measure = self.task.MEASURE
        images = (self.spec.get("simulate") or {}).get("images", "all")
        for label, prefix in stages:
            if prefix == "simulate" and images != "all":
                label += f", first {images:,} images"
            validation = self.value(f"{prefix}.validation_{measure.name}")
            test = self.value(f"{prefix}.test_{measure.name}" if prefix == "train" else f"{prefix}.{measure.name}")
            if validation is not None or test is not None:
                parts = (f"{part}, {measure.unit}".rstrip(", ") for part in ("validation", "test"))
                rows.append({"network": label, **dict(zip(parts, (validation, test), strict=True))})
        history, found = self.csv("train", "history.csv"), self.csv("simulate", "summary.csv")
        if not rows and history is None:
            return None
        return {
            "stages": table(pd.DataFrame(rows)) if rows else None,
            "title": measure.name.capitalize(),
            "training": Markup(figures.training(history, measure)) if history is not None else None,
            "summary": Markup(figures.summary(self.task, found)) if found is not None else None,
            "summary_title": self.task.TITLE,
        }

    def memory(self) -> dict[str, Any] | None:
        memory, sections = self.csv("codegen", "memory.csv"), self.csv("codegen", "sections.csv")
        if memory is None and sections is None:
            return None
        return {
            "arena": Markup(figures.arena(memory)) if memory is not None and len(memory) else None,
            "arena_table": table(memory),
            "flash": Markup(figures.flash(sections)) if sections is not None and len(sections) else None,
            "flash_table": table(sections),
        }

    def _points(self) -> Markup | None:
        points = self.csv("fit", "predictions.csv")
        if points is None:
            return None
        titles = {"group_kfold": "{}: shapes not seen", "in_sample": "{}: in-sample (training rows)"}
        panels = {}
        for kind, rows in points.groupby("kind"):
            for protocol, title in titles.items():
                if (rows["protocol"] == protocol).any():
                    panels[title.format(kind)] = rows[rows["protocol"] == protocol]
        return Markup(predictor.predicted_measured(panels, self.unit)) if panels else None

    def _details(self) -> list[dict[str, Any]]:
        """Per kind of kernel: where the errors on shapes not seen are."""
        points = self.csv("fit", "predictions.csv")
        if points is None:
            return []
        unseen = points[points["protocol"] == "group_kfold"].reset_index(drop=True)
        return [
            {
                "kind": kind,
                "figure": Markup(predictor.errors(str(kind), rows)),
                "worst": table(predictor.worst(rows)),
            }
            for kind, rows in unseen.groupby("kind")
        ]

    def _errors(self, measure: str) -> dict[str, float]:
        """kind of kernel -> error, a fraction, on shapes that the predictor has not seen."""
        parts = {name: name.split(".") for name in self.metrics}
        return {
            p[1]: self.metrics[n].value for n, p in parts.items() if len(p) == 3 and (p[0], p[2]) == ("proxy", measure)
        }

    def _chosen(self) -> dict[Hashable, Any] | None:
        front = self.csv("search", "front.csv")
        rows = [] if front is None else front[front["chosen"] == 1].to_dict("records")
        return rows[0] if rows else None


def _in_order(column: pd.Series) -> pd.Series:
    """Strategies as the spec names them, the protocol that counts first."""
    if column.name == "protocol":
        return column.map(lambda name: (name != "group_kfold", str(name)))
    return column.map({name: number for number, name in enumerate(dict.fromkeys(column))})


def _list(values: list[Any]) -> str:
    return ", ".join(str(v) for v in values)


def _network(model: dict[str, Any], datasets: dict[str, Any]) -> str:
    what = model.get("name") or Path(model.get("file") or "").name
    what += f": {model['entry']}" if model.get("entry") else ""
    what += f", weights of {Path(model['weights']).name}" if model.get("weights") else ""
    count = datasets.get("validation")
    held = f" ({count} samples held out for validation)" if count else ""
    how = "trained on" if model.get("train") else "taken as it is, for"
    return f"{what}, {how} {_data(datasets.get('task') or '')}{held}"


def _data(task: str | dict[str, Any]) -> str:
    if isinstance(task, str):
        return task
    found = next((str(task[key]) for key in ("name", *own_loaders()) if key in task), "")
    return f"{Path(found).name}, {task.get('kind', DEFAULT)}"


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _budget(search: dict[str, Any]) -> str:
    budget = search.get("budget") or {}
    parts = [f"{budget[key]:,} {key}" for key in ("evaluations", "seconds") if budget.get(key)]
    return " or ".join(parts) or "no budget"


def _constraint(name: str, bound: dict[str, Any], more_is_better: bool) -> str:
    to = bound.get("relative_to")
    if "max_drop" in bound:
        return f"{name} at most {bound['max_drop']:g} points {'below' if more_is_better else 'above'} {to or 'float'}"
    return f"{name} {_bounds({k: v for k, v in bound.items() if k in ('min', 'max')})}" + (f" × {to}" if to else "")


def _bounds(bounds: dict[str, float | None]) -> str:
    signs = {"min": "≥", "max": "≤"}
    return ", ".join(f"{signs[key]} {value:g}" for key, value in bounds.items() if value is not None)
