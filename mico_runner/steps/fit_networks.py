"""What `fit` does with a predictor of whole networks: tests it on devices as if they were new, and predicts what they have not measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mico_runner.errors import UsageError
from mico_runner.sections import Proxy
from mico_runner.steps.base import StepContext

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from mico_runner.data.network_table import NetworkTable, Split
    from mico_runner.proxy.strategies.network_transfer import NetworkTransfer


def run(ctx: StepContext, section: Proxy, name: str) -> None:
    """Artifacts: tests.csv, summary.csv, chosen.csv, embedding.csv, and predictions.csv where a target has not measured all networks."""
    from mico_runner.data import network_table
    from mico_runner.proxy.model import make
    from mico_runner.proxy.networks import validate as networks

    table = network_table.load_networks(name)
    estimator: NetworkTransfer = make(
        section.strategy, section.features, section.regressor, section.params, section.seed
    )
    samples = (estimator.samples,) if isinstance(estimator.samples, int) else tuple(estimator.samples)
    options = networks.Options(samples, estimator.choose, estimator.source_rows, estimator.draws, section.seed)
    splits = splits_of(table, estimator)
    outcome = networks.validate(table, splits, options)
    summary = networks.summary(outcome.tests)
    tables = {"tests": outcome.tests, "summary": summary, "chosen": outcome.chosen, "embedding": outcome.embedding}
    for file, rows in tables.items():
        rows.to_csv(ctx.dir / f"{file}.csv", index=False, float_format="%.6g")
    for row in summary.to_dict("records"):
        metric = f"proxy.networks.{row['split']}"
        count = row["samples"]
        ctx.metric(f"{metric}.spearman_{count}", row["spearman"], "correlation", "higher", tolerance=0.005)
        ctx.metric(f"{metric}.spearman_{count}_low", row["low"], "correlation")
        ctx.metric(f"{metric}.spearman_{count}_high", row["high"], "correlation")
        ctx.metric(f"{metric}.mape_{count}", row["mape"], "ratio", "lower", tolerance=0.005)
        ctx.metric(f"{metric}.coverage_{count}", row["coverage"], "ratio")
        ctx.log(
            f"{row['split']}, {count} networks measured: rank correlation {row['spearman']:.3f} "
            f"({row['low']:.3f} to {row['high']:.3f}), error {100 * row['mape']:.1f} %, median {100 * row['median']:.1f} %, "
            f"90 % intervals hold {100 * row['coverage']:.0f} %"
        )
    for count, rows in summary.groupby("samples"):
        mean = networks.geometric_mean(rows["spearman"].tolist())
        ctx.metric(f"proxy.networks.spearman_{count!s}", mean, "correlation", "higher", tolerance=0.005)
    predicted = _unmeasured(table, splits, estimator)
    if predicted is not None:
        predicted.to_csv(ctx.dir / "predictions.csv", index=False, float_format="%.6g")


def splits_of(table: NetworkTable, estimator: NetworkTransfer) -> Mapping[str, Split]:
    """The splits that the parameters name. Raises UsageError: none, one that there is not, or both ways to name them."""
    from mico_runner.data.network_table import Split

    if estimator.splits is not None:
        if estimator.sources is not None or estimator.targets is not None:
            raise UsageError("proxy.params: found splits beside sources or targets; allowed: one of the two ways")
        unknown = [name for name in estimator.splits if name not in table.splits]
        if unknown:
            known = ", ".join(table.splits) or "none, name sources and targets"
            raise UsageError(f"proxy.params.splits: found {unknown[0]!r}; allowed: {known}")
        return {name: table.splits[name] for name in estimator.splits}
    if not estimator.sources or not estimator.targets:
        raise UsageError("proxy.params: allowed: sources and targets, lists of devices, or splits of the data set")
    both = sorted(set(estimator.sources) & set(estimator.targets))
    if both:
        raise UsageError(f"proxy.params.targets: found {both[0]!r}, which is a source; allowed: other devices")
    return {"own": Split(tuple(estimator.sources), tuple(estimator.targets))}


def _unmeasured(table: NetworkTable, splits: Mapping[str, Split], estimator: NetworkTransfer) -> pd.DataFrame | None:
    """What the targets have not measured, predicted from all that they have: split, target, network, predicted, lower, upper."""
    import numpy as np
    import pandas as pd
    from sklearn.base import clone

    ops = pd.DataFrame(table.architecture, columns=[f"op{n}" for n in range(table.architecture.shape[1])])
    found = []
    for name, split in splits.items():
        known = {device: table.measured(device) for device in split.sources} | table.computed
        for device in split.targets:
            latency = table.measured(device)
            rest = np.flatnonzero(np.isnan(latency))
            if not len(rest):
                continue
            fitted = clone(estimator).set_params(sources=list(known)).fit(ops.assign(**known), latency)
            lower, upper = fitted.interval(ops.iloc[rest])
            about = {"split": name, "target": device, "network": rest, "predicted": fitted.predict(ops.iloc[rest])}
            found.append(pd.DataFrame(about | {"lower": lower, "upper": upper}))
    return pd.concat(found, ignore_index=True) if found else None
