"""What is learned from, what learns, and how."""

from __future__ import annotations

from collections.abc import Mapping

from mico_runner.records import dataclass
from mico_runner.sections.bits import Bits
from mico_runner.sections.exits import Exits
from mico_runner.sections.recipe import Recipe


@dataclass(frozen=True)
class Datasets:
    """What is learned from.

    Attributes:
        task: see `data.source.source_of`.
        scale: what a pixel of full brightness is to the network.
        mean, std: of pixels, per channel or one for all: (pixel - mean) / std is the first step of the network, and deployed with it.
        profile: kernel-latency profiles, each a name of the catalog or the path of a CSV file.
        validation: samples held out of the training part; None: as many as `data.loading.load` says.
        test: samples of the test part that are used, the first ones; None: all.
    """

    task: str | Mapping[str, object] | None
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    profile: tuple[str, ...]
    validation: int | None
    test: int | None


@dataclass(frozen=True)
class Network:
    """A network of the zoo or of a file.

    Attributes:
        name: of an entry of the zoo, else None.
        file: a file of the user's own, or a network of the catalog.
        entry: of a Python file, the class or function that makes the network.
        params: of the zoo's entry, or of `entry`.
        weights: file that holds those to begin with.
        input: shape of one input without the batch; None: that of the data.
    """

    name: str | None
    file: str | None
    entry: str | None
    params: Mapping[str, object]
    weights: str | None
    input: tuple[int, ...] | None


@dataclass(frozen=True)
class Teacher(Network):
    """A network whose outputs another one learns.

    Attributes:
        train: how it is trained before; None takes it as it is.
        distillation: share of the loss that is the distance from its outputs; the rest is the task's.
    """

    train: Recipe | None
    distillation: float


@dataclass(frozen=True)
class Function:
    """A function of the user's own, `entry` of a Python file, called with these parameters besides what its place gives."""

    file: str
    entry: str
    params: Mapping[str, object]


@dataclass(frozen=True)
class Train(Recipe):
    """How a network of the user's own, or of the zoo, is trained.

    Attributes:
        freeze_norms: batch norms keep the statistics that they begin with.
        device: "cpu", or "auto": a GPU if there is one.
        precision: "float32", or "bfloat16" of layers' products in training; weights, losses and evaluations are float32 with both.
        channels_last: images and weights lie with their channels together, which changes the order of sums and the time alone.
        teacher: whose outputs it learns as well.
        loss: instead of the task's: called with outputs and targets of a batch, returns a tensor of one number.
        loop: instead of the built-in one: called with a `models.loop.Training`.
    """

    freeze_norms: bool = False
    device: str = "cpu"
    precision: str = "float32"
    channels_last: bool = False
    teacher: Teacher | None = None
    loss: Function | None = None
    loop: Function | None = None


@dataclass(frozen=True)
class Finetune(Recipe):
    """How an integer network is trained.

    Attributes:
        distillation: share of the loss that is the distance from the float network's outputs; the rest is the task's.
        reconstruction: factor of the distance of all tensors from the float network's, which is added to it.
        start: "float": the float network's weights; "integers": weights that round to those that rounding found.
    """

    keep: str = "best"
    distillation: float = 1.0
    reconstruction: float = 0.0
    start: str = "float"


@dataclass(frozen=True)
class Model(Network):
    """The network and its training.

    Attributes:
        train: None takes the network as it is.
        exits: where it may end early; None: nowhere.
    """

    train: Train | None
    exits: Exits | None


@dataclass(frozen=True)
class Evaluate:
    """Attributes: uniform_bits: (weight bits, activation bits) of whole networks; None without a device to choose them for."""

    uniform_bits: tuple[tuple[Bits, int], ...] | None


@dataclass(frozen=True)
class Crossvalidate:
    """A training for each part of the samples.

    Attributes:
        bits: (weight bits, activation bits) of every layer.
        folds: number of parts, or
        draws: how often a test part is drawn anew from all samples, or
        group_by: a fact of the samples; each of its values is a part.
    """

    bits: tuple[float, int]
    folds: int | None = None
    draws: int | None = None
    group_by: str | None = None
