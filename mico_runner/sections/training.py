"""What is learned from, what learns, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mico_runner.sections.bits import Bits


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

    task: str | Mapping[str, Any] | None
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    profile: tuple[str, ...]
    validation: int | None
    test: int | None


@dataclass(frozen=True)
class Augment:
    """Random changes of each sample.

    Attributes:
        flip: left to right, half of them.
        crop: pixels by which each is moved at most, filled with zeros.
        mixup: a of Beta(a, a), by which pairs of samples and their losses are mixed; 0: not.
        speed: sounds are played at 1 / (1 + speed) to 1 + speed times their own.
        mask_rows, mask_columns: neighbouring ones that are blanked at most.
    """

    flip: bool = False
    crop: int = 0
    mixup: float = 0.0
    speed: float = 0.0
    mask_rows: int = 0
    mask_columns: int = 0


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        lr: the schedule's highest.
        shift: pixels by which the images of a batch are moved at most, all alike.
        optimizer: "adamw" or "sgd", with Nesterov's momentum of 0.9.
        schedule: "one-cycle", "cosine" or "constant".
        keep: whose weights are kept, the "last" epoch's or the "best" one's on the validation part.
        patience: epochs without a better one after which it ends.
        balance: samples of each class are drawn equally often.
    """

    epochs: int
    lr: float
    batch_size: int
    weight_decay: float
    shift: int = 0
    optimizer: str = "adamw"
    schedule: str = "one-cycle"
    augment: Augment = Augment()
    keep: str = "last"
    patience: int | None = None
    balance: bool = False


@dataclass(frozen=True)
class Train(Recipe):
    """How a network of the user's own, or of the zoo, is trained.

    Attributes:
        freeze_norms: batch norms keep the statistics that they begin with.
        device: "cpu", or "auto": a GPU if there is one.
    """

    freeze_norms: bool = False
    device: str = "cpu"


@dataclass(frozen=True)
class Finetune(Recipe):
    """Attributes: distillation: share of the loss that is the distance from the float network's outputs; the rest is the task's."""

    keep: str = "best"
    distillation: float = 1.0


@dataclass(frozen=True)
class Model:
    """The network and its training.

    Attributes:
        name: of an entry of the zoo, else None.
        file: a file of the user's own, or a network of the catalog.
        entry: of a Python file, the class or function that makes the network.
        params: of the zoo's entry, or of `entry`.
        weights: file that holds those to begin with.
        input: shape of one input without the batch; None: that of the data.
        train: None takes the network as it is.
    """

    name: str | None
    file: str | None
    entry: str | None
    params: Mapping[str, Any]
    weights: str | None
    input: tuple[int, ...] | None
    train: Train | None


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
