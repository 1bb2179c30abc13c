"""A network of the user's own is captured before anything trains: by `plan` and by a run, once for the same files."""

from __future__ import annotations

import sys
from pathlib import Path

from mico_runner import durable, paths
from mico_runner.errors import UsageError
from mico_runner.frozen_data import plain
from mico_runner.models import MODELS
from mico_runner.pipeline.fingerprint import fingerprint
from mico_runner.sections import Sections
from mico_runner.sources import Sources
from mico_runner.steps.inputs import chosen, data_inputs, model_inputs, source_of_data


def check_own_network(spec: Sections, sources: Sources, quiet: bool) -> None:
    """Run `steps.check.check_network` on a spec with a network, weights or data of the user's own, unless it passed already.

    What passed is remembered in the user's cache under the hash of all that the outcome depends on: files, data, this project's source.

    Raises UsageError: the network cannot be made or captured, or does not fit the data; all calls without an operator at once.
    """
    section = spec.model
    if section is None:
        return
    of_plugin = section.name is not None and MODELS.info(section.name).path is not None
    own_data = source_of_data(spec).path
    own_training = section.train is not None and (section.train.loss or section.train.loop or section.train.teacher)
    if not (of_plugin or section.file or section.weights or own_data or own_training):
        return
    reached = sources.reach([(_STEPS / "check.py", "check_network")], chosen(spec))
    about: dict[str, object] = {
        "model": model_inputs(spec),
        "data": data_inputs(spec),
        "validation": spec.datasets.validation,
    }
    about |= {"sources": reached.sources, "libraries": reached.libraries, "seed": spec.seed}
    passed = paths.cache_folder() / "networks" / fingerprint("network", 1, plain(about), {})
    if passed.is_file():
        return
    if not quiet:
        what = section.file or section.weights or section.name or ""
        of_data = f" and reading {own_data}" if own_data else ""
        print(f"mico-run: capturing the network of {what}{of_data}, before anything trains", file=sys.stderr)
    from mico_runner.steps.check import (
        check_network,
    )  # with torch, which is not needed when the files have not changed

    try:
        check_network(spec)
    except UsageError as error:
        raise UsageError(f"model: {error}") from error
    passed.parent.mkdir(parents=True, exist_ok=True)
    durable.replace(passed, b"")


_STEPS = Path(__file__).parents[1] / "steps"
