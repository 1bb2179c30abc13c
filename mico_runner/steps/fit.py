"""fit: the latency predictor, and its error on shapes that it has not seen."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mico_runner.proxy import predicts_networks
from mico_runner.sections import LearningCurve, Predictor, Proxy, Sections, Validation
from mico_runner.steps import fit_networks, register
from mico_runner.steps.base import Inputs, Step, StepContext

if TYPE_CHECKING:
    import pandas as pd

    from mico_runner.proxy.crossval import Validation as Validated

ENOUGH = 0.5  # share of the variance of log latency on unseen shapes: below it a predictor is said not to be trusted


@dataclass(frozen=True)
class _Validate:
    """How well a predictor does; `each` calls a function for every fold."""

    table: pd.DataFrame
    options: Validation
    seed: int
    each: Callable[..., Iterable[Any]]

    def __call__(self, candidate: Predictor) -> Validated:
        from mico_runner import proxy

        return proxy.validate(
            self.table,
            strategy=candidate.strategy,
            features=candidate.features,
            regressor=candidate.regressor,
            params=candidate.params,
            protocols=self.options.protocols,
            group_by=self.options.group_by,
            folds=self.options.folds,
            seed=self.seed,
            each=self.each,
        )


@register("fit", section="proxy", optional_needs=["profile"], order=30)
class Fit(Step):
    """Fit the latency predictor to a kernel profile and validate it."""

    VERSION = 16

    def inputs(self, spec: Sections) -> Inputs:
        from mico_runner.steps.inputs import network_profile_inputs, present, profile_inputs

        inputs = network_profile_inputs if predicts_networks(present(spec.proxy).strategy) else profile_inputs
        return {"proxy": spec.proxy, "profile": inputs(spec.datasets.profile)}

    def run(self, ctx: StepContext) -> None:
        import json

        import pandas as pd

        from mico_runner import data, proxy
        from mico_runner.proxy.crossval import learnable
        from mico_runner.proxy.plausible import doubts
        from mico_runner.steps.inputs import present

        section = present(ctx.spec.proxy)
        if predicts_networks(section.strategy):
            fit_networks.run(ctx, section, ctx.spec.datasets.profile[0])
            return
        validation = section.validation
        if ctx.has("profile"):
            names = [str(path) for path in sorted(ctx.upstream("profile").glob("*.csv"))]
        else:
            names = list(ctx.spec.datasets.profile)
        table = data.load_profile(names)
        unit = table.attrs["unit"]
        for warning in table.attrs["warnings"]:
            ctx.log(f"warning: {warning}")
        main = Predictor(section.strategy, section.features, section.regressor, section.params)
        candidates = [main, *(other for other in section.compare if other != main)]
        protocols, predictions = [], []
        alone = len(candidates) == 1
        validate = _Validate(table, validation, section.seed, ctx.map if alone else map)
        validated = (map if alone else ctx.map)(validate, candidates)
        progress = ctx.progress(validated, total=len(candidates), desc="validate")
        for candidate, (rows, points) in zip(candidates, progress, strict=True):
            protocols.append(rows.assign(strategy=_label(candidate)))
            ctx.log(f"{_label(candidate)}: {_errors(rows)}")
            predictions.append(points)
        unseen = "group_kfold" in validation.protocols
        everything = pd.concat(protocols, ignore_index=True)
        everything.to_csv(ctx.dir / "protocols.csv", index=False)
        predictions[0].to_csv(ctx.dir / "predictions.csv", index=False)
        if unseen:
            _by_part(ctx, predictions[0].assign(dataset=table["dataset"].to_numpy()[predictions[0]["row"]]))
        model = proxy.fit(
            table,
            strategy=section.strategy,
            features=section.features,
            regressor=section.regressor,
            params=section.params,
            seed=section.seed,
            calibration=predictions[0] if unseen else None,
        )
        model.save(ctx.dir / "model")
        about = {"unit": unit, "dataset": names, "strategy": section.strategy, "rows": len(table)}
        (ctx.dir / "fit.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
        if section.learning_curve:
            self._learning_curve(ctx, section, section.learning_curve, table)
        for kind, found in doubts(table).items():
            for sentence in found.sentences:
                ctx.log(f"this profile looks wrong: {sentence}")
            ctx.metric(f"proxy.{kind}.shapes", found.shapes, "count")
            ctx.metric(f"proxy.{kind}.outliers", found.outliers, "ratio", "lower")
        by_structure = learnable(table, validation.group_by, validation.folds) if unseen else {}
        learns = proxy.STRATEGIES.get(section.strategy).LEARNS
        suffix = {"group_kfold": "", "in_sample": "_in_sample", "kfold": "_rowwise"}
        row: Any
        for row in protocols[0].itertuples():
            name = f"proxy.{row.kind}.mape{suffix.get(row.protocol, '_' + row.protocol)}"
            better = "info" if row.protocol == "in_sample" else "lower"
            ctx.metric(name, row.mape, "ratio", better, tolerance=0.005)
            if row.protocol == "group_kfold":
                _rank_correlations(ctx, row)
                ctx.metric(f"proxy.{row.kind}.coverage", row.coverage, "ratio", "info")  # of the 90 % intervals
                structure = by_structure[row.kind]
                _explained(ctx, row, structure if learns else max(structure, row.explained))

    def _learning_curve(self, ctx: StepContext, section: Proxy, options: LearningCurve, table: pd.DataFrame) -> None:
        """Error against the number of profiled rows, by sampling, per kind of kernel."""
        import pandas as pd

        from mico_runner.proxy.learning import learning_curve, rows_needed
        from mico_runner.proxy.model import make
        from mico_runner.validation.protocols import group_ids

        estimator = make(section.strategy, section.features, section.regressor, section.params, section.seed)
        curves = []
        for kind, rows in table.groupby("kind"):
            if len(set(group_ids(rows))) < 2:
                ctx.log(f"{kind}: a learning curve keeps shapes apart for testing; one shape has none")
                continue
            latency = rows["latency"].to_numpy(float)
            curve = learning_curve(estimator, rows, latency, options.rows, options.repeats, section.seed)
            curves.append(curve.assign(kind=kind))
            for sampler in ("lhs", "adaptive"):
                part = rows_needed(curve, sampler)
                if part != part:
                    ctx.log(
                        f"{kind}: {sampler} sampling never is as good as random sampling with {curve['rows'].max()} rows"
                    )
                else:
                    ctx.metric(f"proxy.{kind}.rows_needed_{sampler}", part, "ratio", "lower", tolerance=0.1)
        if curves:
            pd.concat(curves).to_csv(ctx.dir / "learning_curve.csv", index=False)


def _by_part(ctx: StepContext, predictions: pd.DataFrame) -> None:
    """parts.csv, and a metric per data set where a kind of kernel has several: the pooled error hides the smaller one."""
    from pathlib import Path

    from mico_runner.proxy.crossval import by_part

    parts = by_part(predictions)
    parts.to_csv(ctx.dir / "parts.csv", index=False, float_format="%.6g")
    families = parts[parts["by"] == "family"]
    for kind, rows in families.groupby("kind"):
        if len(rows) < 2:
            continue
        for row in rows.to_dict("records"):
            family = re.sub("[^A-Za-z0-9_-]", "-", Path(row["part"]).name)
            ctx.metric(f"proxy.{kind}.mape_{family}", row["mape"], "ratio", "lower", tolerance=0.005)
            ctx.metric(f"proxy.{kind}.coverage_{family}", row["coverage"], "ratio")
            ctx.log(
                f"{kind}, {row['part']}: {row['shapes']} unseen shapes, error {100 * row['mape']:.2f} %, "
                f"90 % intervals hold {100 * row['coverage']:.0f} %"
            )


def _rank_correlations(ctx: StepContext, row: Any) -> None:
    if row.spearman != row.spearman:
        ctx.log(
            f"{row.kind}: all measured or all predicted latencies are equal, so they have no ranks: spearman and kendall are left out"
        )
        return
    ctx.metric(f"proxy.{row.kind}.spearman", row.spearman, "correlation", "higher", tolerance=0.01)
    ctx.metric(f"proxy.{row.kind}.kendall", row.kendall, "correlation", "higher", tolerance=0.02)


def _explained(ctx: StepContext, row: Any, by_structure: float) -> None:
    """What the predictor explains of the log latencies of unseen shapes, and what costs that grow with the work do (`structural`)."""
    ctx.metric(f"proxy.{row.kind}.explained", row.explained, "ratio")
    ctx.metric(f"proxy.{row.kind}.learnable", by_structure, "ratio")
    if row.explained >= ENOUGH:
        return
    text = (
        f"{row.kind}: {row.strategy} explains {100 * max(row.explained, 0):.0f} % of how latencies of unseen shapes differ, from "
        f"{row.groups} shapes: its predictions of a network are not to be trusted"
    )
    better = f"; strategy structural explains {100 * by_structure:.0f} %"
    ctx.log(
        text
        + (better if by_structure >= ENOUGH else "; no sum of costs does either: look for a mistake in the profile")
    )


def _label(candidate: Predictor) -> str:
    """Strategy with what was chosen for it: "two_stage cbops+ xgb"."""
    chosen = [name for name in (candidate.features, candidate.regressor) if name != "auto"]
    chosen += [f"{key}={value}" for key, value in candidate.params.items() if not isinstance(value, (dict, list))]
    return " ".join([candidate.strategy, *chosen])


def _errors(protocols: pd.DataFrame) -> str:
    """The errors of one predictor in a line, those on unseen shapes first."""
    words = {"group_kfold": "on unseen shapes", "kfold": "row-wise", "in_sample": "in-sample"}
    ordered = sorted(protocols["protocol"].unique(), key=lambda name: [*words, name].index(name))
    parts = []
    for protocol in ordered:
        rows = protocols[protocols["protocol"] == protocol]
        errors = ", ".join(f"{row.kind} {100 * row.mape:.2f} %" for row in rows.itertuples())
        parts.append(f"{words.get(protocol, protocol)} {errors}")
    return "; ".join(parts)
