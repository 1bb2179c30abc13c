"""reproduce: a model of this project beside a table of other people's runs."""

from __future__ import annotations

from mico_runner.sections import Sections
from mico_runner.steps import register
from mico_runner.steps.base import Inputs, Step, StepContext


@register("reproduce", section="reproduce", order=36)
class Reproduce(Step):
    """Errors of a model on runs that others made."""

    VERSION = 1

    def inputs(self, spec: Sections) -> Inputs:
        from mico_runner.data import catalog
        from mico_runner.reproductions import REPRODUCTIONS
        from mico_runner.steps.inputs import present

        data = REPRODUCTIONS.info(present(spec.reproduce).runs).meta["data"]
        return {"reproduce": spec.reproduce, "seed": spec.seed, "data": catalog.fingerprint(data)}

    def run(self, ctx: StepContext) -> None:
        from mico_runner.data import catalog
        from mico_runner.reproductions import REPRODUCTIONS
        from mico_runner.steps.inputs import present

        section = present(ctx.spec.reproduce)
        files = catalog.fetch(REPRODUCTIONS.info(section.runs).meta["data"])
        outcome = REPRODUCTIONS.get(section.runs)(files, ctx.seed, **section.params)
        for name, figure in outcome.figures.items():
            ctx.metric(f"reproduce.{name}", *figure)
        for name, table in outcome.tables.items():
            table.to_csv(ctx.dir / f"{name}.csv", index=False, float_format="%.9g")
        for note in outcome.notes:
            ctx.log(f"{section.runs}: {note}")
