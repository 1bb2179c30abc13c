"""How anything is trained."""

from __future__ import annotations

from mico_runner.spec.rules import Rules, choice, flag, number, section


def _augment() -> dict[str, Rules]:
    return {
        "flip": flag("left to right, half of them"),
        "crop": number("pixels by which each is moved at most", "integer", min=0, max=1024, default=0),
        "mixup": number("a of Beta(a, a), by which pairs are mixed; 0: not", min=0, max=100, default=0.0),
        "speed": number("sounds are played at 1 / (1 + speed) to 1 + speed times their own", min=0, max=1, default=0.0),
        "mask_rows": number("neighbouring rows blanked at most", "integer", min=0, max=10**4, default=0),
        "mask_columns": number("neighbouring columns blanked at most", "integer", min=0, max=10**4, default=0),
    }


def recipe(epochs: int, lr: float, keep: str) -> dict[str, Rules]:
    return {
        "epochs": number("", "integer", min=1, max=100_000, default=epochs),
        "lr": number("the schedule's highest", above=0, max=100, default=lr),
        "batch_size": number("", "integer", min=1, max=10**6, default=64),
        "weight_decay": number("of the optimiser", min=0, max=100, default=0.0),
        "shift": number("pixels by which a batch of images is moved at most", "integer", min=0, max=1024, default=0),
        "optimizer": choice("", ["adamw", "sgd"], default="adamw"),
        "schedule": choice("of the learning rate", ["one-cycle", "cosine", "constant"], default="one-cycle"),
        "augment": section("random changes of each sample", _augment(), default={}),
        "keep": choice("whose epoch's weights", ["last", "best"], default=keep),
        "patience": number("epochs without a better one after which it ends", "integer", min=1, max=100_000),
        "balance": flag("samples of each class are drawn equally often"),
    }
