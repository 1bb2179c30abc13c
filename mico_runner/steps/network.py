"""What several steps need of the network: the data, the trained model, its graph, its post-training quantiser, its kernels."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from mico_runner import accelerators, data, formats, graph, hardware, quant
from mico_runner.data import loading
from mico_runner.data.dataset import DataSet, Split
from mico_runner.data.source import Source
from mico_runner.errors import UsageError
from mico_runner.graph.ir import Graph
from mico_runner.hardware import Hardware
from mico_runner.kernel_table import kernel_table
from mico_runner.models import MODELS, frontends, user_file, weights
from mico_runner.models.outputs import outputs
from mico_runner.quant.prefix import Memory, PrefixExecutor
from mico_runner.quant.qgraph import Assignment, LayerBits, QGraph, storage_bits
from mico_runner.remembered import stamp
from mico_runner.sections import Datasets, Network, Sections, Teacher
from mico_runner.steps.base import StepContext
from mico_runner.steps.inputs import limits_of, present, source_of_data
from mico_runner.tasks.base import Task

SCORED_AT_ONCE = 512  # images turned into floats at once: all of a data set at 224 x 224 would not fit in memory
KEPT_BYTES = 2**29  # of tensors that several assignments share

_traced: dict[tuple[object, ...], Graph] = {}  # the graph that a step of this process asked for last


def load_data(spec: Sections) -> DataSet:
    """The spec's data; which samples are held out for validation depends on the spec's seed."""
    found, count = load_part(spec, source_of_data(spec)), spec.datasets.test
    return found if count is None else replace(found, test=found.test.first(count))


def load_part(spec: Sections, source: Source) -> DataSet:
    """The same of a source of its own parting."""
    section = spec.datasets
    return loading.load(source, section.validation, spec.seed, section.scale)


def use_threads(ctx: StepContext) -> None:
    """As many torch threads as the spec says: how sums are split, and so their last bits, depends on it alone."""
    torch.set_num_threads(ctx.torch_threads)


def build_model(spec: Sections, samples: DataSet) -> torch.nn.Module:
    """The spec's model, with the weights that it names or has, else initial ones drawn from the spec's seed.

    Raises UsageError: a file of the user's own fails, or does not fit.
    """
    return _built(spec, present(spec.model), samples)


def build_teacher(spec: Sections, section: Teacher, samples: DataSet, model: torch.nn.Module) -> torch.nn.Module:
    """The network whose outputs the spec's `model` is to learn, likewise.

    Raises UsageError: as `build_model` does, or its outputs are of another shape than the model's.
    """
    try:
        teacher = _built(spec, section, samples)
        found, wanted = (outputs(each, samples.train.first(1)).shape[1:] for each in (teacher, model))
        if found != wanted:
            raise UsageError(f"it returns {found} for a sample; allowed: {wanted}, as the network that it teaches")
    except UsageError as error:
        raise UsageError(f"model.train.teacher: {error}") from error
    return teacher


def _built(spec: Sections, section: Network, samples: DataSet) -> torch.nn.Module:
    torch.manual_seed(spec.seed)
    model = _own_network(section, samples) if section.file else _of_zoo(section, samples)
    if section.weights:
        weights.load(model, Path(section.weights))
    _normalise(model, spec.datasets, samples)
    return model


def _normalise(model: torch.nn.Module, section: Datasets, samples: DataSet) -> None:
    """As the first step of the network, which is deployed to take pixels as they are.

    Raises UsageError: data without pixels, whose 8 bits would not hold them before they are normalised; or values for other channels.
    """
    channels, name = samples.input_shape[0], samples.name
    for key, values, none in (("mean", section.mean, 0), ("std", section.std, 1)):
        if len(values) not in (1, channels):
            allowed = " or ".join(str(count) for count in sorted({1, channels}))
            raise UsageError(
                f"datasets.{key}: found {len(values)} values; allowed: {allowed}, one per channel of {name!r}"
            )
        if samples.train.inputs.dtype != np.uint8 and set(values) != {none}:
            raise UsageError(
                f"datasets.{key}: found {list(values)}; allowed: [{none}], because {name!r} holds no pixels"
            )
    frontends.normalise(model, section.mean, section.std)


def _of_zoo(section: Network, samples: DataSet) -> torch.nn.Module:
    make = MODELS.get(present(section.name))
    model: torch.nn.Module = make(samples.input_shape, samples.outputs, **section.params)
    return model


def _own_network(section: Network, samples: DataSet) -> torch.nn.Module:
    """The module of a file, which takes inputs of the data's shape."""
    file = present(section.file)
    if section.entry:
        model, shape = user_file.build(Path(file), section.entry, section.params), section.input
    else:
        model, shape = _of_format(file, section.input, samples.tokens)
    wanted = samples.input_shape
    if shape not in (None, wanted):
        shapes = f"{tuple(shape)} is the network's input, {wanted} that of data set {samples.name!r}"
        last = (*shape[1:], shape[0]) == wanted or (*wanted[1:], wanted[0]) == tuple(shape)
        hint = "; channels come first (tf2onnx writes them so with --inputs-as-nchw)" if last else ""
        raise UsageError(f"{file}: {shapes}; they must be the same{hint}")
    return model


def _of_format(file: str, given: tuple[int, ...] | None, tokens: bool) -> tuple[torch.nn.Module, tuple[int, ...]]:
    """The module of another tool's file, and the shape of its input; `given` are the sizes that the file leaves open."""
    (path,) = data.catalog.fetch(file) if file in data.catalog.names("network") else (Path(file),)
    found = formats.read(path, given)
    if len(found.input_shapes) != 1:
        raise UsageError(f"{path} takes {len(found.input_shapes)} inputs; allowed: 1, as data sets have")
    (shape,) = found.input_shapes
    if tokens != bool(found.whole):
        kinds = ("real values", "whole numbers")
        raise UsageError(f"{path} takes {kinds[bool(found.whole)]}; the data set holds {kinds[tokens]}")
    if given not in (None, shape):
        raise UsageError(
            f"{path}: model.input is {list(given)}, the file's own input {list(shape)}; leave model.input out"
        )
    return found.module, shape


def assignment_of(ctx: StepContext, network: Graph) -> Assignment:
    """The bits of every layer of the program: what the search chose; without one, those that `codegen` gives all layers."""
    if not ctx.has("search"):
        section = present(ctx.spec.codegen)
        found = uniform(network, *present(section.bits))
        if section.ends:
            found |= {node.name: LayerBits(*section.ends) for node in (network.weighted[0], network.weighted[-1])}
        return found
    return {layer: LayerBits(*bits) for layer, bits in _choice(ctx)["assignment"].items()}


def memory_limits(ctx: StepContext) -> dict[str, float]:
    """Bytes at most, of "flash_bytes" and "ram_bytes" where the search had a limit."""
    return _choice(ctx)["limits"] if ctx.has("search") else {}


def _choice(ctx: StepContext) -> Any:
    return json.loads((ctx.upstream("search") / "choice.json").read_text(encoding="utf-8"))


def trained_graph(ctx: StepContext, samples: DataSet) -> Graph:
    """Graph of the network that the train step of this run left.

    The steps of a run that share a process share the graph, for tracing a network takes seconds. Nobody changes a graph.
    """
    use_threads(ctx)
    weights = ctx.upstream("train") / "model.npz"
    key = (str(weights), *stamp(weights), ctx.spec.name, samples.input_shape, samples.tokens)
    if key not in _traced:
        _traced.clear()
        _traced[key] = captured(trained_model(ctx, samples), samples, ctx.spec.name)
    return _traced[key]


def trained_model(ctx: StepContext, samples: DataSet) -> torch.nn.Module:
    """That network as a module."""
    use_threads(ctx)
    model = build_model(ctx.spec, samples)
    with np.load(ctx.upstream("train") / "model.npz") as weights:
        model.load_state_dict({name: torch.from_numpy(weights[name]) for name in weights.files})
    return model


def captured(model: torch.nn.Module, samples: DataSet, name: str) -> Graph:
    """The graph of a network for these samples."""
    return graph.capture(model, samples.input_shape, name, whole=(0,) if samples.tokens else ())


def quantiser(spec: Sections, network: Graph, samples: DataSet, rounding: str | None = None) -> quant.PTQ:
    """Post-training quantiser calibrated on the first images of the training part (they stand in random order of classes).

    Args:
        rounding: of weights; the spec's by default.
    """
    options = present(spec.quantization)
    weights = replace(options.weights, rounding=rounding) if rounding else options.weights
    images = samples.train.first(options.activations.images).floats()
    return quant.PTQ(network, images, weights, options.activations, options.equalise)


def uniform(network: Graph, weight_bits: float, activation_bits: int) -> Assignment:
    """The same bits for every layer."""
    return {node.name: LayerBits(weight_bits, activation_bits) for node in network.weighted}


class Scorer:
    """Quality and loss of bit assignments on one split, by the integers that would be deployed.

    What the networks of several assignments compute alike at their beginning is computed once, as far as `KEPT_BYTES` hold it.
    """

    def __init__(self, ptq: quant.PTQ, task: Task, split: Split) -> None:
        self._ptq, self._task, self._split = ptq, task, split
        self._memory = Memory(KEPT_BYTES)

    def __call__(self, assignment: Assignment) -> tuple[float, float]:
        """The task's quality, and its mean loss, of the dequantised outputs."""
        return self.of(self._ptq.quantize(assignment))

    def of(self, deployed: QGraph) -> tuple[float, float]:
        """The same of integers that there are."""
        return scored(deployed, self._task, self._split, self._memory)


def scored(deployed: QGraph, task: Task, split: Split, memory: Memory) -> tuple[float, float]:
    """The task's quality, and its mean loss, of the dequantised outputs of a network's integers."""
    executor = PrefixExecutor(deployed, memory)
    parts = enumerate(split.parts(SCORED_AT_ONCE))
    found = [executor.run(i, len(part), partial(_integers, deployed, part)) for i, part in parts]
    outputs = dequantised(deployed, np.concatenate(found))
    return task.quality(outputs, split), task.measured_loss(outputs, split)


def _integers(deployed: QGraph, part: Split) -> np.ndarray:
    """Of a part of the samples, as the network takes them."""
    return quant.quantize_input(deployed, part.floats())


def dequantised(deployed: QGraph, integers: np.ndarray) -> np.ndarray:
    """float64 outputs of a network's integers."""
    return integers * deployed.tensors[deployed.output].type.scale


def kernels(network: Graph, assignment: Assignment, batch: int) -> pd.DataFrame:
    """Kernel table of the weighted layers under an assignment."""
    rows = [row for row in graph.kernel_rows(network, batch) if row["layer"] in assignment]
    bits = [assignment[row["layer"]] for row in rows]
    return kernel_table(
        [
            {**row, "weight_bits": storage_bits(b.weight), "act_bits": b.activation}
            for row, b in zip(rows, bits, strict=True)
        ]
    )


def simulated(network: Graph, device: Hardware, choices: list[LayerBits]) -> dict[str, np.ndarray]:
    """Cycles and energy (pJ) of every weighted layer at every choice of bits, float64 (layers, choices) each, by the device's simulator."""
    tables = [kernels(network, uniform(network, *bits), device.batch) for bits in choices]
    trace = accelerators.of(device).simulate(pd.concat(tables, ignore_index=True))
    shape = (len(choices), len(network.weighted))
    return {name: trace[name].to_numpy(float).reshape(shape).T for name in ("cycles", "energy_pj")}


def report_area(ctx: StepContext, device: Hardware, step: str) -> None:
    """Metrics and area.csv: the chip's area and that of each of its parts, which add up to it; a log line where it is not known."""
    area = hardware.area_of(device)
    pd.DataFrame([part.row() for part in area.parts]).to_csv(ctx.dir / "area.csv", index=False)
    if area.um2 is None:
        ctx.log(f"area of {device.name}: not known, its profile has no figure for {', '.join(area.missing)}")
        return
    ctx.metric(f"{step}.area", area.um2, "um2", "lower")
    for part in area.parts:
        ctx.metric(f"{step}.area.{part.name}", part.um2, "um2", "lower")


def memory_direction(spec: Sections, name: str) -> str:
    """Of a metric of "flash_bytes" or "ram_bytes": "info" where the search was not asked to keep it low: it follows from the bits."""
    section = spec.search
    if section is None:
        return "lower"
    return "lower" if name in section.objectives or name in limits_of(section.constraints) else "info"


def report_limits(ctx: StepContext, step: str, sizes: dict[str, float], limits: dict[str, float]) -> None:
    """Metrics `<step>.<flash|ram>_over_limit`: bytes beyond each limit of the search, 0 where it is kept. A default gate reads them."""
    for name, limit in limits.items():
        over = max(sizes[name] - limit, 0)
        ctx.metric(f"{step}.{name.removesuffix('_bytes')}_over_limit", over, "bytes", "lower")
        if over:
            ctx.log(f"{name} is {sizes[name]:,.0f}, {over:,.0f} more than the limit of {limit:,.0f}")
