"""Quantisation, generated code, and where it runs."""

from __future__ import annotations

from mico_runner.records import dataclass
from mico_runner.sections.bits import Bits


@dataclass(frozen=True)
class WeightOptions:
    """How weights are quantised: "channel" or "tensor" shares a scale, which "mse" or "minmax" chooses.

    Attributes:
        rounding: a method of `quant.rounding`.
    """

    granularity: str = "channel"
    scale: str = "mse"
    rounding: str = "gptq"


@dataclass(frozen=True)
class ActivationOptions:
    """How activations are quantised.

    Attributes:
        calibration: "mse", "minmax" or "percentile" chooses the scale.
        percentile: of the values, in percent, of calibration "percentile".
        images: calibration images that are used.
        kv_bits: of the keys and values that a decoder keeps.
    """

    calibration: str = "mse"
    percentile: float = 99.9
    images: int = 256
    kv_bits: int = 8


@dataclass(frozen=True)
class Quantization:
    """Attributes: equalise: "auto" brings channels to one range (`quant.equalisation`, `quant.balance`), or "off"."""

    weights: WeightOptions
    activations: ActivationOptions
    equalise: str = "auto"


@dataclass(frozen=True)
class Codegen:
    """The program.

    Attributes:
        bits: (weight bits, activation bits) of every layer; None where a search chooses them.
        ends: the same of the first and the last layer; None: as the others.
        max_macs: products that schedule "rows" may compute, relative to the network's.
        points: of the search's front, the choice included, of which programs are written.
    """

    target: str
    runtime: str
    scratch: str
    bits: tuple[Bits, int] | None
    ends: tuple[Bits, int] | None
    bundle: str
    package: str
    schedule: str
    max_macs: float
    points: int


@dataclass(frozen=True)
class Story:
    """A text that a decoder goes on with, each token the first of the most likely.

    Attributes:
        tokenizer: a name of the catalog, or the path of a file of llama2.c.
        tokens: with those of the prompt, at most.
    """

    tokenizer: str
    prompt: str
    tokens: int


@dataclass(frozen=True)
class Simulate:
    """Where the network runs; the numbers of images are "all" or how many of the test part."""

    target: str | tuple[str, ...]
    images: int | str
    qemu_images: int | str
    rtl_images: int
    rtl_assignments: int
    sanitize: bool
    executor: bool
    story: Story | None
