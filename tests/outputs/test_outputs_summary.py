"""A finished run in ten lines."""

from mico_runner import outputs
from mico_runner.steps.base import Metric

NETWORK = {
    "train.test_mae": Metric(1.25, "mm", "lower"),
    "simulate.mae": Metric(1.5, "mm", "lower"),
    "search.latency": Metric(5200.0, "cycles", "lower"),
    "search.latency_ratio": Metric(0.52, "ratio", "lower"),
    "codegen.flash_bytes": Metric(24576, "bytes", "lower"),
    "evaluate.int8.flash_bytes": Metric(49152, "bytes", "lower"),
    "codegen.ram_bytes": Metric(8000, "bytes", "lower"),
    "proxy.conv2d.mape": Metric(0.031, "ratio", "lower"),
    "proxy.linear.mape": Metric(0.012, "ratio", "lower"),
    "simulate.logits_mismatches": Metric(0, "images", "lower"),
}


def test_a_network_on_a_device():
    lines = outputs.summary(NETWORK, {"train": "cached", "fit": "cached", "simulate": "run"}, {})
    assert lines == [
        "steps         1 run, 2 from the cache",
        "mae           1.5 mm; float 1.25 mm",
        "latency       52.0 % of 8-bit's, predicted: 5,200 cycles",
        "flash         24,576 bytes; 8-bit 49,152",
        "ram           8,000 bytes",
        "prediction    3.1 % off on kernel shapes that were not learned from",
        "exactness     0 images differ between C and the integer reference",
    ]


def test_it_never_takes_more_than_ten_lines_with_the_two_of_the_caller():
    skipped = {f"step{i}": "gcc is missing" for i in range(9)}
    metrics = NETWORK | {"search.energy_ratio": Metric(0.4, "ratio", "lower")}
    lines = outputs.summary(metrics, dict.fromkeys(skipped, "skipped"), skipped)
    assert len(lines) <= 8 and "8 more steps" in lines[2]
    assert len(outputs.summary(metrics, {"train": "run"}, {})) <= 8


def test_other_specs_show_their_first_metrics_and_count_the_rest():
    metrics = {f"verify.m{i}": Metric(i, "%", "lower") for i in range(20)}
    lines = outputs.summary(metrics, {"verify": "run"}, {})
    assert lines[1].split() == ["verify.m0", "0", "%"] and lines[-1].startswith("14 more") and len(lines) == 8
    assert outputs.summary({"profile.rows": Metric(7, "count")}, {"profile": "run"}, {})[1:] == [
        "profile.rows  7 count"
    ]
