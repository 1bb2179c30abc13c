"""The network and the data of a spec, looked at before anything trains."""

from __future__ import annotations

import numpy as np
import torch

from mico_runner.data.dataset import DataSet
from mico_runner.errors import UsageError
from mico_runner.models.outputs import outputs
from mico_runner.models.training import check_trainable
from mico_runner.sections import Sections
from mico_runner.steps.inputs import present
from mico_runner.steps.network import build_model, build_teacher, captured, load_data
from mico_runner.steps.training import TEACHER

READ_AT_ONCE = 64  # samples of files, to see whether they are whole


def check_network(spec: Sections) -> None:
    """Build and capture the network of a file, before anything trains.

    Raises UsageError: what `build_model`, `graph.capture` and, where it is to be trained, `training.check_trainable` say, or outputs
        that the task does not take.
    """
    samples = load_data(spec)
    model = build_model(spec, samples)
    network = captured(model, samples, spec.name)
    shape, task = network.shapes[network.output], samples.task
    for part in (samples.train, samples.validation):
        task.check_output(shape, part.targets, samples.input_shape)
    _check_inputs(model, samples)
    recipe = present(spec.model).train
    if recipe is None:
        return
    task.check_learnable(f"{samples.name}: train", samples.train.targets)
    if recipe.teacher is not None:
        teacher = build_teacher(spec, recipe.teacher, samples, model)
        if recipe.teacher.train is not None:
            check_trainable(teacher, task, samples.train, samples.validation, recipe.teacher.train, TEACHER)
    check_trainable(model, task, samples.train, samples.validation, recipe)


def _check_inputs(model: torch.nn.Module, samples: DataSet) -> None:
    """Read what is read when it is asked for, and give the network the highest token of each part.

    Raises UsageError: a file is damaged, a token is none that the network knows.
    """
    for name, part in (("train", samples.train), ("validation", samples.validation), ("test", samples.test)):
        if not isinstance(part.inputs, np.ndarray):
            for some in part.parts(READ_AT_ONCE):
                some.floats()
        elif samples.tokens:
            row = int(part.inputs.max(axis=1).argmax())
            try:
                outputs(model, part.take(np.array([row])))
            except IndexError:
                most = part.inputs[row].max()
                raise UsageError(
                    f"{samples.name}: {name} input {row} has the token {most}; allowed: those that the network has a row for"
                ) from None
