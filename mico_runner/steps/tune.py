"""tune: batch size and power limit of trainings that recur, on recorded trainings or on one that runs here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mico_runner.sections import OwnTraining, Sections
from mico_runner.sections import Tune as Section
from mico_runner.steps import register
from mico_runner.steps.base import Inputs, Step, StepContext

if TYPE_CHECKING:
    from mico_runner.tune.base import Price
    from mico_runner.tune.oracle import Expected
    from mico_runner.tune.running import History
    from mico_runner.tune.trace import TraceJob


NEAR, HALF = 1.05, 0.5  # of the oracle's cost; of the other policy's regret: what the counts are of


@register("tune", section="tune", order=37)
class Tune(Step):
    """The cheapest batch size and power limit of a recurring training, found while it recurs."""

    VERSION = 1

    def inputs(self, spec: Sections) -> Inputs:
        from pathlib import Path

        from mico_runner import machine
        from mico_runner.data import catalog
        from mico_runner.steps.inputs import called, own_files, present

        section = present(spec.tune)
        found: Inputs = {"tune": section, "seed": spec.seed}
        found["traces"] = {name: catalog.fingerprint(name) for name in section.traces}
        found["files"] = [[own_files(Path(path)) for path in (each.runs, each.power)] for each in section.files]
        if section.training:
            found |= {
                "training": called(Path(section.training.file), section.training.entry),
                "machine": machine.describe(),
            }
        return found

    def run(self, ctx: StepContext) -> None:
        from mico_runner.steps.inputs import present

        section = present(ctx.spec.tune)
        if section.jobs:
            _recorded(ctx, section)
        if section.training:
            _measured(ctx, section, section.training)


@dataclass(frozen=True)
class _Repeat:
    """One repetition of a job under a policy: what other processes compute."""

    job: TraceJob
    price: Price
    runs: int
    seed: int

    def __call__(self, task: tuple[str, int]) -> History:
        """The policy's name, and which repetition it is."""
        import numpy as np

        from mico_runner.tune import POLICIES
        from mico_runner.tune.running import recur

        name, repeat = task
        policy = POLICIES.get(name)(self.job.choices, self.runs, np.random.default_rng([self.seed, repeat, 1]))
        return recur(self.job, policy, self.price, self.runs, np.random.default_rng([self.seed, repeat, 2]))


def _recorded(ctx: StepContext, section: Section) -> None:
    import numpy as np
    import pandas as pd

    from mico_runner.tune import oracle
    from mico_runner.tune.base import Price
    from mico_runner.tune.trace import TraceJob, Wanted

    names = [section.policy, *(name for name in section.compare if name != section.policy)]
    rows, settings, recurrences = [], [], []
    for trace in _traces(section):
        for one in ctx.progress(section.jobs, desc=f"tune {trace.name}"):
            wanted = Wanted(one.dataset, one.network, one.optimizer, one.target, one.max_epochs, one.batch)
            job = TraceJob(trace, wanted)
            price = Price(section.eta, job.choices.max_power)
            expected = oracle.expectations(job)
            best = oracle.best(expected, price)
            least = price(best.spent)
            of_batch = {s.batch: price(s.spent) for s in sorted(expected, key=lambda s: -price(s.spent))}
            prefix = f"tune.{trace.name}.{one.name}"
            settings += _settings(trace.name, one.name, expected, price)
            default = next(s for s in expected if (s.batch, s.limit) == (one.batch, max(job.rates[one.batch])))
            saving = 1 - min(s.spent.joules for s in expected) / default.spent.joules
            ctx.metric(f"{prefix}.energy_saving", saving, "ratio", "higher", "0.1%")
            ctx.metric(f"{prefix}.oracle_cost", least, "J", "lower", "0.1%")
            ctx.metric(f"{prefix}.default_ratio", price(default.spent) / least, "ratio")
            ctx.metric(f"{prefix}.front_points", len(oracle.front(expected)), "count")
            tasks = [(name, repeat) for name in names for repeat in range(section.seeds)]
            repeated = _Repeat(job, price, section.budget.runs, ctx.seed)
            found: dict[str, list[Any]] = {name: [] for name in names}
            for (name, repeat), history in zip(tasks, ctx.map(repeated, tasks), strict=True):
                costs = history.costs() / least
                final = of_batch[history.batch] / least
                found[name].append((costs.sum() - len(costs), final))
                recurrences += [
                    {
                        "trace": trace.name,
                        "job": one.name,
                        "policy": name,
                        "seed": repeat,
                        "recurrence": i,
                        "cost": cost,
                    }
                    for i, cost in enumerate(costs)
                ]
            for name, results in found.items():
                regret, final = np.median(np.array(results), axis=0)
                at = prefix if name == section.policy else f"{prefix}.{name}"
                ctx.metric(f"{at}.regret", regret, "runs of the oracle", "lower", 0.5)
                ctx.metric(f"{at}.final_ratio", final, "ratio", "lower", 0.02)
                row = {"trace": trace.name, "job": one.name, "policy": name, "regret": regret, "final_ratio": final}
                rows.append({**row, "batch": best.batch, "limit": best.limit, "energy_saving": saving})
            ctx.log(f"{trace.name} {one.name}: oracle batch {best.batch}, {best.limit:g} W; {_words(rows, names)}")
    table = pd.DataFrame(rows)
    table.to_csv(ctx.dir / "jobs.csv", index=False, float_format="%.6g")
    pd.DataFrame(settings).to_csv(ctx.dir / "settings.csv", index=False, float_format="%.6g")
    pd.DataFrame(recurrences).to_csv(ctx.dir / "recurrences.csv", index=False, float_format="%.6g")
    _summary(ctx, table, names)


def _words(rows: list[dict[str, object]], names: list[str]) -> str:
    return ", ".join(
        f"{row['policy']} regret {row['regret']:.2f}, final {row['final_ratio']:.3f}" for row in rows[-len(names) :]
    )


def _summary(ctx: StepContext, table: Any, names: list[str]) -> None:
    """Over all jobs: how many end near the oracle, and regrets beside each other policy's."""
    import numpy as np

    of = {name: table[table["policy"] == name] for name in names}
    mine = of[names[0]]
    ctx.metric("tune.jobs", len(mine), "count")
    ctx.metric("tune.near_oracle", int((mine["final_ratio"] <= NEAR).sum()), "count", "higher")
    for name in names[1:]:
        ratios = mine["regret"].to_numpy() / of[name]["regret"].to_numpy()
        ctx.metric(f"tune.regret_over_{name}", float(np.median(ratios)), "ratio", "lower", 0.05)
        ctx.metric(f"tune.worst_regret_over_{name}", float(ratios.max()), "ratio", "lower", 0.1)
        ctx.metric(f"tune.half_of_{name}", int((ratios <= HALF).sum()), "count", "higher")
        total = float(mine["regret"].sum() / of[name]["regret"].sum())
        ctx.metric(f"tune.total_regret_over_{name}", total, "ratio", "lower", 0.05)


def _traces(section: Section) -> list[Any]:
    from pathlib import Path

    from mico_runner.data.training_traces import load_trace, read_trace

    own = [read_trace(each.name, Path(each.runs), Path(each.power)) for each in section.files]
    return [load_trace(name) for name in section.traces] + own


def _settings(trace: str, job: str, expected: tuple[Expected, ...], price: Price) -> list[dict[str, object]]:
    from mico_runner.tune import oracle

    front, best = set(oracle.front(expected)), oracle.best(expected, price)
    return [
        {
            "trace": trace,
            "job": job,
            "batch": s.batch,
            "limit": s.limit,
            "seconds": s.spent.seconds,
            "joules": s.spent.joules,
            "cost": price(s.spent),
            "front": int(s in front),
            "best": int(s == best),
        }
        for s in expected
    ]


def _measured(ctx: StepContext, section: Section, wanted: OwnTraining) -> None:
    from dataclasses import asdict
    from pathlib import Path

    import numpy as np
    import pandas as pd

    from mico_runner import user_code
    from mico_runner.tune import POLICIES, meters
    from mico_runner.tune.base import Choices, Price
    from mico_runner.tune.running import recur
    from mico_runner.tune.training import TrainingJob

    meter = meters.find()
    try:
        choices = Choices(tuple(sorted(wanted.batches)), wanted.batch, wanted.max_epochs, max(meter.limits))
        price = Price(section.eta, choices.max_power)
        policy = POLICIES.get(section.policy)(choices, section.budget.runs, np.random.default_rng([ctx.seed, 1]))
        file = Path(wanted.file)
        with user_code.running(file, wanted.entry) as entry:
            job = TrainingJob(entry, wanted.params, choices, wanted.target, wanted.better == "higher", meter)
            with user_code.failing(file, user_code.shown(wanted.entry, wanted.params)):
                history = recur(job, policy, price, section.budget.runs, np.random.default_rng([ctx.seed, 2]))
    finally:
        meter.close()
    runs = pd.DataFrame([asdict(run) for run in history.runs])
    runs.to_csv(ctx.dir / f"{wanted.name}.csv", index=False, float_format="%.6g")
    prefix = f"tune.{wanted.name}"
    last = runs[runs["batch"] == history.batch]
    last = last[last["reached"]].tail(3)
    ctx.metric(f"{prefix}.batch", history.batch, "count")
    ctx.metric(f"{prefix}.limit", history.limit, "W")
    ctx.metric(f"{prefix}.energy", float(last["joules"].mean()), "J", "lower", "10%", volatile=True)
    ctx.metric(f"{prefix}.time", float(last["seconds"].mean()), "s", "lower", "10%", volatile=True)
    ctx.log(f"{wanted.name} on {meter.name}: batch {history.batch}, {history.limit:g} W")
