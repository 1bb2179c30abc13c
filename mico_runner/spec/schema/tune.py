"""The energy of trainings that recur."""

from __future__ import annotations

from mico_runner.data import catalog
from mico_runner.spec.rules import Rules, choice, free, items, number, optional, section, text
from mico_runner.tune import POLICIES

NAME = r"[a-z0-9][a-z0-9_-]*"
NAME_TEXT = "lower-case letters, digits, '_', '-'"


def tune() -> dict[str, Rules]:
    name = {"type": "string", "regex": NAME, "required": True, "meta": {"help": "in metrics", "text": NAME_TEXT}}
    batch = number("default batch size, which reaches the target", "integer", min=1, required=True)
    epochs = number("after which a run that has not reached it is given up", "integer", min=1, required=True)
    job = {
        "name": name,
        "dataset": text("as the trace calls it", minlength=1, required=True),
        "network": text("as the trace calls it", minlength=1, required=True),
        "optimizer": text("as the trace calls it", minlength=1, required=True),
        "target": number("value of the trace's metric that is to be reached", required=True),
        "max_epochs": epochs,
        "batch": batch,
    }
    files = {
        "name": name,
        "runs": text("CSV file of epochs to the target", minlength=1, required=True),
        "power": text("CSV file of seconds and watts by batch and power limit", minlength=1, required=True),
    }
    own = {
        "name": name,
        "file": text("Python file that trains", minlength=1, required=True),
        "entry": text("its generator function", regex=r"\w+", required=True),
        "params": free("of the entry, besides batch and seed"),
        "batches": items(
            "that may be chosen", {"type": "integer", "min": 1}, minlength=1, distinct=True, required=True
        ),
        "batch": batch,
        "target": number("value of what the entry yields that is to be reached", required=True),
        "better": choice("which values are better", ["higher", "lower"], default="higher"),
        "max_epochs": epochs,
    }
    return {
        "traces": items(
            "recorded trainings",
            {"type": "string", "allowed": catalog.names("training_trace")},
            distinct=True,
            default=[],
        ),
        "files": items("recorded trainings of your own", section("", files), default=[]),
        "jobs": items("of every trace", section("", job), default=[]),
        "training": optional("a training on this machine, whose energy is measured", own),
        "eta": number("1: energy alone; 0: time alone", min=0, max=1, default=0.5),
        "budget": section(
            "", {"runs": number("how often the job recurs", "integer", min=1, max=10000, default=50)}, default={}
        ),
        "seeds": number("repetitions on traces, of which the median counts", "integer", min=1, max=1000, default=10),
        "policy": choice("chooses the batch of every run", POLICIES.names(), default="smooth"),
        "compare": items(
            "further policies", {"type": "string", "allowed": POLICIES.names()}, distinct=True, default=[]
        ),
    }
