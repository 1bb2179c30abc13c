"""How anything is trained."""

from __future__ import annotations

from mico_runner.records import dataclass


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
