"""Post-training quantisation: a float graph, calibration images and bits per layer give a `QGraph`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np

from mico_runner.errors import UsageError
from mico_runner.graph.costs import check_assignment
from mico_runner.graph.fusion import fused
from mico_runner.graph.ir import Graph, Node, weight_of
from mico_runner.ops.arithmetic import to_integers
from mico_runner.quant.assembly import Assembly, ChooseType, QuantisedWeights, last_of_chain
from mico_runner.quant.balance import balanced
from mico_runner.quant.calibration import METHODS, Calibration, activation_type
from mico_runner.quant.compensation import Layer
from mico_runner.quant.equalisation import equalised
from mico_runner.quant.keeping import keeping
from mico_runner.quant.qgraph import (
    ACTIVATION_BITS,
    INPUT_BITS,
    OUTPUT_BITS,
    WEIGHT_BITS,
    Assignment,
    LayerBits,
    QGraph,
    QType,
)
from mico_runner.quant.rounding import ROUNDINGS
from mico_runner.quant.rounding.base import Rounding
from mico_runner.quant.wide import wide_tensors
from mico_runner.sections import ActivationOptions, WeightOptions

Weights = tuple[np.ndarray, np.ndarray, np.ndarray]  # integers, scales (Cout,), real bias (Cout,)
WEIGHTS, ACTIVATIONS = WeightOptions(), ActivationOptions()  # where a caller says nothing
OUTPUT_HEADROOM = 2.0  # logits may be that much larger than on the calibration images


class PTQ:
    """Quantises one network again and again: what depends on one layer only is computed once.

    Args:
        graph: from `graph.capture`.
        images: float (N, *input shape), of the training or validation split; the first `activations.images` are used. A list of
            such arrays where the network has several inputs.
        equalise: "auto" or "off", see `quant.equalisation` and `quant.balance`.

    Attributes:
        graph: the network, its weights as they are quantised.
        inputs: the calibration images of every input.
        steps: the operators of the network, those in one that become one.
        wide: tensors that are stored at 16 bits, as calibration shows that 8 would not do (`quant.wide`).

    Raises:
        UsageError: an option has another value, there are no images, or a weight, a bias, an image or what the network computes from
            it is not finite; the message names the layer or the image.
    """

    def __init__(
        self,
        graph: Graph,
        images: np.ndarray | Sequence[np.ndarray],
        weights: WeightOptions = WEIGHTS,
        activations: ActivationOptions = ACTIVATIONS,
        equalise: str = "auto",
    ) -> None:
        self.weights, self.activations = weights, activations
        _check("equalise", equalise, ("auto", "off"))
        _check("weights.granularity", weights.granularity, ("channel", "tensor"))
        _check("weights.scale", weights.scale, ("mse", "minmax"))
        _check("weights.rounding", weights.rounding, tuple(ROUNDINGS.names()))
        self._rounding: Rounding = ROUNDINGS.get(weights.rounding)()
        _check("activations.calibration", activations.calibration, METHODS)
        _check("activations.kv_bits", activations.kv_bits, ACTIVATION_BITS[1:])
        with np.errstate(over="ignore"):  # is infinite then, and refused
            given = images if len(graph.inputs) > 1 else [images]
            inputs = [np.asarray(x[: activations.images], dtype=np.float32) for x in given]
        if len(inputs[0]) == 0:
            raise UsageError("quantisation needs at least one calibration image")
        _check_finite(graph, inputs)
        if equalise == "auto" and weights.granularity == "channel":  # one weight scale for all would pay for it
            graph = balanced(equalised(graph, inputs), inputs)
        graph = keeping(graph, activations.kv_bits)
        self.graph = graph
        self.inputs: Sequence[np.ndarray] = inputs
        self._calibration = Calibration(graph, inputs)
        self.steps = fused(graph)
        self._like = {t: last_of_chain(graph, t) for t in graph.shapes}
        self._type = cache(self._choose_type)
        self._weights: dict[tuple[str, float, QType], Weights] = {}
        self.wide = wide_tensors(graph, self.steps, self._calibration.rows, self._type)

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process computes what is computed once for itself."""
        kept = {name: value for name, value in vars(self).items() if name not in ("_type", "_weights")}
        return _restored, (kept,)

    def quantize(self, assignment: Assignment) -> QGraph:
        """The integer network for these bits.

        Raises:
            UsageError: the assignment does not name exactly the weighted layers, or bits that do not exist.
            StepError: an accumulator could overflow 32 bits; the message names the layer.
        """
        check_assignment(self.graph, assignment)
        for name, (weight, activation) in assignment.items():
            _check(f"weight_bits of {name}", weight, WEIGHT_BITS)
            _check(f"activation_bits of {name}", activation, ACTIVATION_BITS)
        return self._rounding.network(self, assignment)

    def assembled(self, assignment: Assignment, choose_type: ChooseType, weights: QuantisedWeights) -> QGraph:
        """The integer network for checked bits, with types and weights of another source. Raises StepError as `quantize` does."""
        return Assembly(self.graph, self.steps, assignment, choose_type, weights, self.wide).build()

    def type_at(self, tensor: str, bits: int) -> QType:
        """The type of a tensor that is stored at so many bits."""
        return self._type(tensor, bits)

    def like(self, tensor: str, bits: int) -> tuple[str, int]:
        """A key that tensors share whose values decide one scale."""
        return self._like[tensor], bits

    def spread(self, tensor: str) -> float:
        """Standard deviation of a tensor's values on the calibration images."""
        return float(self._calibration.tensors[tensor].sample.std())

    def weights_at(self, name: str, bits: LayerBits, read: QType) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Integer weights, their scales (Cout,) and the real bias (Cout,) for a layer that reads integers of one type."""
        self.prepare(name, [bits.weight], read)
        return self._weights[name, bits.weight, read]

    def prepare(self, name: str, weight_bits: Iterable[float], read: QType) -> None:
        """Round a layer's weights to several numbers of bits: most of the work is the same for all of them."""
        new = [bits for bits in dict.fromkeys(weight_bits) if (name, bits, read) not in self._weights]
        if not new:
            return
        node = next(n for n in self.graph.weighted if n.name == name)
        layer = self._layer(node, read)
        for bits in new:
            options = (self.weights.granularity, self.weights.scale, self._rounding)
            weight, scales, correction = layer.compensated(bits, *options)
            bias = correction if node.bias is None else node.bias + correction
            self._weights[name, bits, read] = weight, scales, bias

    def _choose_type(self, tensor: str, bits: int) -> QType:
        stats = self._calibration.tensors[self._like[tensor]]
        if tensor in self.graph.inputs and bits == INPUT_BITS:
            return activation_type(stats, bits, "minmax", 0)  # pixels are integers already: no information may go
        if bits == OUTPUT_BITS:
            found = activation_type(stats, bits, "minmax", 0)
            return QType(bits, found.signed, found.scale * OUTPUT_HEADROOM)
        return activation_type(stats, bits, self.activations.calibration, self.activations.percentile)

    def _layer(self, node: Node, read: QType) -> Layer:
        x = self._calibration.patches[node.name].astype(np.float64)
        xq = to_integers(x, read) * read.scale
        if read.is_sign:
            xq[x == 0] = 0.0  # padding adds nothing, though no value of the tensor itself is ever zero
        return Layer(weight_of(node), x, xq)


def _check_finite(graph: Graph, inputs: Sequence[np.ndarray]) -> None:
    for node in graph.weighted:
        for what, values in (("weight", node.weight), ("bias", node.bias)):
            if values is not None and not np.isfinite(values).all():
                wrong = values[~np.isfinite(values)]
                counted = f"{len(wrong)} of {values.size} values are not finite, the first is {wrong[0]}"
                raise UsageError(f"quantisation: layer {node.name!r}: {what}: {counted}")
    finite = np.logical_and.reduce([np.isfinite(x).reshape(len(x), -1).all(1) for x in inputs])
    if not finite.all():
        count, first = int((~finite).sum()), int(finite.argmin())
        more = f", nor are {count - 1} others" if count > 1 else ""
        raise UsageError(f"quantisation: calibration image {first} (counted from 0) is not finite{more}")


def _restored(kept: dict[str, object]) -> PTQ:
    made = PTQ.__new__(PTQ)
    vars(made).update(kept, _type=cache(made._choose_type), _weights={})
    return made


def _check(key: str, found: Any, allowed: tuple[Any, ...]) -> None:
    if found not in allowed:
        raise UsageError(f"quantisation: {key} is {found!r}; allowed: {', '.join(map(str, allowed))}")
