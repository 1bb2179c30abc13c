"""The fit step on profiles that are too small, all alike or wrong: what it says, what it writes, how the run ends."""

import json

import numpy as np
import pytest
import yaml

from mico_runner import cli

HARDWARE = {
    "name": "chip",
    "kind": "cpu",
    "latency_unit": "ns",
    "weight_bits": [4, 8],
    "activation_bits": [8],
    "clock_hz": 8e7,
    "sources": {"clock_hz": "data sheet"},
}


def write(path, latency, shapes=30):
    """A CSV of linear layers; (weights, weight bits, number of the row, rng) -> ns."""
    rng = np.random.default_rng(0)
    lines = ["kind,batch,in_channels,out_channels,weight_bits,act_bits,latency_ns"]
    for _ in range(shapes):
        ins, outs = (int(2 ** rng.uniform(4, 8)) for _ in range(2))
        for bits in (4, 8):
            lines.append(f"linear,1,{ins},{outs},{bits},8,{max(1, round(latency(ins * outs, bits, len(lines), rng)))}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def run(folder, latency, shapes=30, **sections):
    """Exit code, metrics, log of the run; metrics are None where there is no version."""
    write(folder / "chip.csv", latency, shapes)
    data = {"spec_version": 1, "name": "fit", "hardware": HARDWARE, "datasets": {"profile": ["chip.csv"]}}
    data |= {"proxy": {"strategy": "structural"}, **sections}
    (folder / "fit.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    code = cli.main(["run", str(folder / "fit.yaml"), "--outputs", str(folder / "out"), "--quiet"])
    version = folder / "out" / "fit" / "latest"
    if not version.exists():
        return code, None, ""
    metrics = {name: entry["value"] for name, entry in json.loads((version / "metrics.json").read_text()).items()}
    return code, metrics, "\n".join(path.read_text() for path in version.rglob("log.jsonl"))


def sound(weights, bits, number, rng):
    return 500 + weights * bits / 4


def test_a_sound_profile_is_not_doubted(tmp_path):
    code, metrics, log = run(tmp_path, sound)
    assert code == 0 and "looks wrong" not in log and "not to be trusted" not in log
    assert metrics["proxy.linear.explained"] > 0.99 and metrics["proxy.linear.outliers"] == 0


@pytest.mark.parametrize("strategy", ["structural", "hybrid", "auto"])
def test_latencies_that_are_all_equal_are_a_perfect_fit_without_ranks(strategy, tmp_path):
    code, metrics, log = run(tmp_path, lambda *_: 1000, shapes=8, proxy={"strategy": strategy})
    assert code == 0
    assert "proxy.linear.spearman" not in metrics and "proxy.linear.kendall" not in metrics
    assert "they have no ranks: spearman and kendall are left out" in log
    assert metrics["proxy.linear.mape"] < 1e-3 and metrics["proxy.linear.explained"] > 0.999
    assert "about the same at all" in log


WRONG = {
    "two shapes": (2, sound, "shapes", "was profiled at 2 shapes"),
    "falls with size": (30, lambda weights, *_: 1e8 / weights, "learnable", "falls as the work grows"),
    "a tenth too large": (
        30,
        lambda weights, bits, number, rng: sound(weights, bits, number, rng) * (1000 if number % 10 == 3 else 1),
        "outliers",
        "more than 10 times off those of shapes nearby",
    ),
    "random": (30, lambda weights, bits, number, rng: rng.uniform(1, 1e6), "learnable", "hardly follows the work"),
}


@pytest.mark.parametrize("strategy", ["structural", "hybrid", "single"])
@pytest.mark.parametrize("name", WRONG)
def test_a_hopeless_profile_is_said_and_breaks_a_default_gate(name, strategy, tmp_path, capsys):
    shapes, latency, gate, words = WRONG[name]
    code, _, log = run(tmp_path, latency, shapes, proxy={"strategy": strategy})
    assert code == 3 and "this profile looks wrong: " in log and words in log
    assert f"proxy.linear.{gate}" in capsys.readouterr().err
    without = {f"proxy.*.{of}": None for of in ("explained", "learnable", "shapes", "outliers")}
    assert run(tmp_path, latency, shapes, gates=without, proxy={"strategy": strategy})[0] == 0


def test_a_strategy_that_cannot_say_what_the_profile_holds_is_named(tmp_path):
    proxy = {"strategy": "two_stage", "params": {"regressor_params": {"n_estimators": 3}}}
    _, metrics, log = run(tmp_path, sound, shapes=3, proxy=proxy)
    assert metrics["proxy.linear.explained"] < 0.5 < metrics["proxy.linear.learnable"]
    assert "two_stage explains" in log and "strategy structural explains" in log


def test_one_shape_cannot_be_validated_on_unseen_ones(tmp_path, capsys):
    code, metrics, _ = run(tmp_path, sound, shapes=1)
    assert code == 4 and metrics is None
    text = capsys.readouterr().err
    assert "linear kernels" in text and "at least 2 shapes are needed, found 1" in text and "Traceback" not in text
    proxy = {"strategy": "structural", "validation": {"protocols": ["in_sample"]}, "learning_curve": {"rows": [2]}}
    code, metrics, log = run(tmp_path, sound, shapes=1, proxy=proxy)
    assert code == 3 and set(metrics) == {"proxy.linear.mape_in_sample", "proxy.linear.shapes", "proxy.linear.outliers"}
    assert "learning curve" in log
