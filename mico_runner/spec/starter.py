"""The first spec of a user: what `mico-run init` writes."""

from __future__ import annotations

import re
from pathlib import Path

from mico_runner.errors import UnknownName, UsageError
from mico_runner.outputs import store
from mico_runner.spec.known import device_templates
from mico_runner.spec.schema import sections
from mico_runner.spec.schema.values import ACCURACY, QUALITY
from mico_runner.spec.starter_own import own_data_section, own_model_section
from mico_runner.steps import STEPS
from mico_runner.tasks import DEFAULT, TASKS, create
from mico_runner.yaml_schema import describe

_TEXT = """\
# Mixed precision for {hardware}: train, predict latency, search bits per layer, generate C, run it.
#   mico-run validate {name}.yaml     what is wrong with this file, all at once
#   mico-run plan {name}.yaml         which steps would run, and why
#   mico-run {name}.yaml              run; results in outputs/{name}/
spec_version: 1
name: {name}
extends: templates/{hardware}.yaml    # device, latency predictor, search algorithm, code generation
seed: 0                               # same spec, same seed, same machine: same metrics

# What the network learns; `mico-run list tasks` and `mico-run list models` show the others.
datasets: {data}
model: {model}

# What is wanted of the bits per layer. A share of the INT8 network's cost when relative_to says so, else an absolute limit.
search:
  objectives: [{quality}, latency]{space}     # also flash_bytes, ram_bytes, bops; energy, edp on accelerators
  constraints:
{limits}
  budget: {{evaluations: 120}}

# A broken gate ends the run with exit code 3.
gates:
  simulate.logits_mismatches: {{max: 0}}
"""


_DATA = "{task: digits, validation: 300}"
_MODEL = """
  name: small-cnn
  train: {epochs: 60, lr: 4.0e-3, batch_size: 64, weight_decay: 1.0e-2}"""


_SHARE = "{max: 0.7, relative_to: int8}"
_DROP = "{max_drop: 2.0, relative_to: float}   # points"


def starter(
    hardware: str,
    name: str,
    folder: Path,
    model: str | None = None,
    data: str | None = None,
    kind: str | None = None,
    flash: str | None = None,
    ram: str | None = None,
) -> str:
    """A short commented spec for a device that has a template.

    Args:
        folder: where the spec will lie.
        model, data: of the user's own, see `starter_own`; by default a small network of the zoo and the digits of scikit-learn.
        kind: of the task that the user's own data is for. A limit on its quality is written where that is a share.
        flash, ram: sizes such as 24KiB that limit the search; by default flash may be 70 % of INT8's.

    Raises UnknownName, or UsageError: a name that no spec may have, a model or data that cannot be named by a spec.
    """
    if hardware not in device_templates():
        raise UnknownName("hardware with a template", hardware, device_templates())
    rules = sections()["name"]
    if not re.fullmatch(rules["regex"], name) or len(name) > rules["maxlength"]:
        raise UsageError(f"name {name!r}; allowed: {describe(rules)}")
    if taken := store.clash(name, STEPS.names()):
        raise UsageError(f"name {name!r}; allowed: another name, because {taken}")
    if kind is not None and kind not in TASKS.names():
        raise UnknownName("task", kind, TASKS.names())
    if kind is not None and data is None:
        raise UsageError(f"--kind {kind}; allowed: with --data, which leads to data of that kind")
    own_data = own_data_section(data, folder, kind) if data else _DATA
    own_model = own_model_section(model, folder) if model else _MODEL
    sizes = {"flash_bytes": flash, "ram_bytes": ram}
    asked = {cost: f"{{max: {size}}}" for cost, size in sizes.items() if size} or {"flash_bytes": _SHARE}
    quality = ACCURACY if kind in (None, DEFAULT) else QUALITY
    if create(kind or DEFAULT).MEASURE.unit == "%":
        asked[quality] = _DROP
    limits = "\n".join(f"    {cost}: {limit}" for cost, limit in asked.items())
    parts = {"data": own_data, "model": own_model, "limits": limits}
    space = " " * (len(ACCURACY) - len(quality))
    return _TEXT.format(hardware=hardware, name=name, quality=quality, space=space, **parts)
