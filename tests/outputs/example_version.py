"""A version as a whole run writes it, with made-up figures of a LeNet on MNIST."""

import json
import time

import numpy as np
import pandas as pd
import yaml

from mico_runner.codegen.program import KernelRow
from mico_runner.outputs import environment, store
from mico_runner.steps.base import Metric

LAYERS = {
    "conv1": (86400, 156),
    "conv2": (240000, 2416),
    "fc1": (48000, 48120),
    "fc2": (10080, 10164),
    "fc3": (840, 850),
}
SPEC = {
    "spec_version": 1,
    "name": "lenet-mnist",
    "description": "LeNet on MNIST for BitFusion: at most half of 8-bit's latency, at most 0.5 points lost.",
    "seed": 1,
    "hardware": "bitfusion",
    "datasets": {"task": "mnist", "profile": ["mico/bitfusion-conv2d", "mico/bitfusion-matmul"], "validation": 5000},
    "model": {"name": "lenet", "params": {}, "train": {"epochs": 5}},
    "proxy": {"strategy": "two_stage", "features": "cbops+", "regressor": "xgb"},
    "search": {
        "space": {"weight_bits": [2, 4, 8], "activation_bits": [4, 8], "pinned": {}},
        "algorithm": "nsga2",
        "objectives": ["accuracy", "latency"],
        "constraints": {
            "latency": {"max": 0.5, "relative_to": "int8"},
            "accuracy": {"max_drop": 0.5, "relative_to": "float"},
        },
        "budget": {"evaluations": 200, "seconds": None},
    },
    "codegen": {"target": "c", "runtime": "host"},
    "simulate": {"target": ["host", "bitfusion"], "images": "all"},
    "gates": {"proxy.conv2d.mape": {"max": 0.05}, "simulate.logits_mismatches": {"max": 0}},
    "steps": ["train", "fit", "evaluate", "search", "codegen", "simulate"],
}
CHOICE = {"conv1": [8, 8], "conv2": [4, 4], "fc1": [2, 8], "fc2": [4, 8], "fc3": [8, 8]}


def make(folder, steps=("train", "fit", "evaluate", "search", "codegen", "simulate"), skipped=()):
    """Write the next version of lenet-mnist below `folder` with the artifacts and metrics of `steps`."""

    def fill(version):
        metrics = {}
        for step in steps:
            (version / "steps" / step).mkdir(parents=True)
            metrics |= {name: Metric(*rest) for name, rest in _WRITERS[step](version / "steps" / step).items()}
        store.write_metrics(version, metrics)
        (version / "spec.resolved.yaml").write_text(yaml.safe_dump(SPEC, sort_keys=False))
        done = {s: {"status": "run", "fingerprint": f"{7 ** (i + 20):032x}"[:32], "inputs": {}, "version": 1,
                    "upstream": [], "wall_seconds": 3.7 * i + 0.4, "cpu_seconds": 4.1 * i} for i, s in enumerate(steps)}  # fmt: skip
        done |= {s: {"status": "skipped", "fingerprint": None, "inputs": {}, "version": 1, "upstream": [],
                     "hint": "gcc is missing; apt-get install gcc", "wall_seconds": 0, "cpu_seconds": 0} for s in skipped}  # fmt: skip
        broken = [{"gate": "proxy.conv2d.mape", "metric": "proxy.conv2d.mape", "value": 0.243, "unit": "ratio", "bound": "max",
                   "limit": 0.05}] if "fit" in steps else []  # fmt: skip
        manifest = {"name": SPEC["name"], "seed": 1, "created": time.strftime("%Y-%m-%dT%H:%M:%SZ"), "steps": done}
        manifest |= {"environment": environment.describe(), "broken_gates": broken}
        manifest["artifacts"] = store.artifact_hashes(version)
        (version / "manifest.json").write_text(json.dumps(manifest))

    return store.new_version(folder / SPEC["name"], fill)


def _train(folder):
    epochs = np.arange(1, 6)
    history = {"epoch": epochs, "train_loss": 0.6 / epochs**1.4, "validation_accuracy": 99.1 - 3 / epochs**1.5}
    pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
    return {
        "train.validation_accuracy": (99.02, "%", "higher", 0.3),
        "train.test_accuracy": (99.07, "%", "higher", 0.3),
        "train.parameters": (61706, "count"),
    }


def _fit(folder):
    rng = np.random.default_rng(0)
    protocols, points, metrics = [], [], {}
    for kind, rows, errors in (("conv2d", 2401, (0.0055, 0.024, 0.243)), ("linear", 343, (0.0012, 0.015, 0.084))):
        for protocol, mape in zip(("in_sample", "kfold", "group_kfold"), errors, strict=True):
            protocols.append({"kind": kind, "strategy": "two_stage", "protocol": protocol, "rows": rows,
                              "groups": rows // 49, "mape": mape, "p90_ape": 2.1 * mape, "max_ape": 6.3 * mape,
                              "spearman": 1 - mape / 5, "kendall": 1 - mape / 3})  # fmt: skip
            measured = 10 ** rng.uniform(3, 7, rows)
            predicted = measured * np.exp(rng.normal(0, mape / 0.8, rows))
            bits = rng.choice([2, 4, 8], (2, rows))
            points.append(pd.DataFrame({"row": range(rows), "kind": kind, "in_channels": rng.integers(1, 99, rows),
                                        "macs": (measured / 2).astype(int), "act_bits": bits[0],
                                        "weight_bits": bits[1], "protocol": protocol, "group": np.arange(rows) // 49,
                                        "measured": measured, "predicted": predicted, "lower": predicted * 0.9,
                                        "upper": predicted * 1.1}))  # fmt: skip
            suffix = {"in_sample": "_in_sample", "kfold": "_rowwise", "group_kfold": ""}[protocol]
            metrics[f"proxy.{kind}.mape{suffix}"] = (
                mape,
                "ratio",
                "lower" if suffix != "_in_sample" else "info",
                0.005,
            )
    pd.DataFrame(protocols).to_csv(folder / "protocols.csv", index=False)
    pd.concat(points).to_csv(folder / "predictions.csv", index=False)
    about = {"unit": "cycles", "dataset": SPEC["datasets"]["profile"], "strategy": "two_stage", "rows": 2744}
    (folder / "fit.json").write_text(json.dumps(about))
    return metrics


def _evaluate(folder):
    rows = [{"name": name, "op": "conv2d" if "conv" in name else "linear", "in_shape": "(1, 28, 28)", "out_shape": "(6, 24, 24)",
             "macs": macs, "params": params, "weight_bits": 8, "act_bits": 8, "layer": name, "latency": macs / 3.1}
            for name, (macs, params) in LAYERS.items()]  # fmt: skip
    rows.insert(1, {"name": "pool1", "op": "max_pool2d", "macs": 0, "params": 0, "weight_bits": 0, "act_bits": 0})
    pd.DataFrame(rows).to_csv(folder / "layers.csv", index=False)
    uniform = [(w, a, 99.0 - 40 / w**2.6 - 12 / a**2, 2000 * w * a / 4 + 90_000, 7700 * w, 385_320 * w * a)
               for w, a in ((8, 8), (4, 8), (2, 8), (4, 4), (2, 4))]  # fmt: skip
    columns = ["weight_bits", "act_bits", "validation_accuracy", "latency", "flash_bytes", "bops"]
    pd.DataFrame(uniform, columns=columns).to_csv(folder / "uniform.csv", index=False)
    return {
        "evaluate.int8.validation_accuracy": (98.98, "%", "higher", 0.3),
        "evaluate.int8.latency": (122_000.0, "cycles", "lower", "1%"),
        "evaluate.int8.flash_bytes": (63_240, "bytes", "lower"),
        "evaluate.macs": (385_320, "count"),
    }


def _search(folder):
    rng = np.random.default_rng(1)
    rows = []
    for order in range(200):
        bits = rng.choice([2, 4, 8], (len(LAYERS), 2))
        cost = float(np.mean(bits.prod(axis=1)))
        accuracy = 99.2 - 30 * rng.beta(1, 6) * (14 / (cost + 4)) ** 1.3
        row = {"order": order, "validation_accuracy": round(accuracy, 2), "latency": 42_000 + 1250 * cost}
        row |= {
            "latency_ratio": row["latency"] / 122_000,
            "flash_bytes": int(bits[:, 0].sum() * 1500),
            "bops": int(cost * 385_320),
        }
        row |= {
            f"{layer}.{k}": b for layer, pair in zip(LAYERS, bits, strict=True) for k, b in zip("wa", pair, strict=True)
        }
        rows.append(row)
    table = pd.DataFrame(rows)
    table.to_csv(folder / "evaluations.csv", index=False)
    front = table.sort_values("latency")
    front = front[front["validation_accuracy"] > front["validation_accuracy"].cummax().shift(fill_value=0)].drop(
        columns="order"
    )
    feasible = front["latency_ratio"] <= 0.5
    front["chosen"] = (front["validation_accuracy"] == front[feasible]["validation_accuracy"].max()).astype(int)
    front.to_csv(folder / "front.csv", index=False)
    (folder / "choice.json").write_text(json.dumps({"assignment": CHOICE}))
    learnt = [(layer, w, 8, 0.4 / w - 0.05) for layer in LAYERS for w in (2, 4, 8)]
    columns = ["layer", "weight_bits", "act_bits", "loss"]
    pd.DataFrame(learnt, columns=columns).to_csv(folder / "sensitivity.csv", index=False)
    columns = ["layer", "weight_bits", "act_bits", "limit", "used", "what", "change_percent", "quality_points"]
    bound = [
        (next(iter(LAYERS)), 2, 8, "latency", 0.99, "saves", -3.0, -0.4),
        (list(LAYERS)[-1], 8, 8, "latency", 0.99, "kept out", 6.0, 0.2),
    ]
    pd.DataFrame(bound, columns=columns).to_csv(folder / "binding.csv", index=False)
    regret = [("exact", 40, 99.02, 0.0), ("nsga2", 40, 98.94, 0.08), ("random", 40, 98.7, 0.32)]
    columns = ["algorithm", "evaluations", "best_validation_accuracy", "regret_points"]
    pd.DataFrame(regret, columns=columns).to_csv(folder / "regret.csv", index=False)
    chosen = front[front["chosen"] == 1].iloc[0]
    return {
        "search.validation_accuracy": (float(chosen["validation_accuracy"]), "%", "higher", 0.3),
        "search.latency_ratio": (float(chosen["latency_ratio"]), "ratio", "lower", "1%"),
    }


def _codegen(folder):
    memory = [("input", 0, 784, 0, 0), ("conv1.out", 784, 3456, 0, 1), ("pool1.out", 4240, 864, 1, 2), ("conv2.scratch", 0, 600, 2, 2),
              ("conv2.out", 5104, 1024, 2, 3), ("pool2.out", 0, 256, 3, 4), ("fc1.out", 256, 120, 4, 5), ("fc2.out", 0, 84, 5, 6),
              ("logits", 84, 40, 6, 6)]  # fmt: skip
    columns = ["tensor", "offset", "bytes", "first_node", "last_node"]
    pd.DataFrame(memory, columns=columns).to_csv(folder / "memory.csv", index=False)
    sections = []
    for name, (_, params) in LAYERS.items():
        sections += [
            (f"{name}.weight", params * CHOICE[name][0] // 8),
            (f"{name}.bias", 480),
            (f"{name}.multiplier", 480),
        ]
    pd.DataFrame(sections, columns=["section", "bytes"]).to_csv(folder / "sections.csv", index=False)
    kernels = [KernelRow(name, "conv2d_simd", None, "conv2d_simd, conv2d", "wide registers") for name in LAYERS]
    pd.DataFrame(kernels).to_csv(folder / "kernels.csv", index=False)
    (folder / "c").mkdir()
    (folder / "c" / "network.c").write_text("int main(void) { return 0; }\n")
    return {
        "codegen.arena_bytes": (6128, "bytes", "lower"),
        "codegen.ram_bytes": (6952, "bytes", "lower"),
        "codegen.tables_bytes": (sum(size for _, size in sections), "bytes", "lower"),
        "codegen.flash_bytes": (sum(size for _, size in sections), "bytes", "lower"),
    }


def _simulate(folder):
    rng = np.random.default_rng(2)
    rows = [(name, macs / 5.2, macs / 5.2 * rng.uniform(0.9, 1.1), "cycles") for name, (macs, _) in LAYERS.items()]
    pd.DataFrame(rows, columns=["layer", "predicted", "measured", "unit"]).to_csv(folder / "layers.csv", index=False)
    networks = rng.uniform(1e6, 2e6, 32)
    networks = pd.DataFrame({"measured": networks, "predicted": networks * rng.uniform(0.95, 1.05, 32)})
    networks.to_csv(folder / "rtl_predictions.csv", index=False)
    pairs = [(t, p, 985 if t == p else int(rng.poisson(1.6))) for t in range(10) for p in range(10)]
    counts = pd.DataFrame(pairs, columns=["true", "predicted", "count"])
    counts[counts["count"] > 0].to_csv(folder / "summary.csv", index=False)
    (folder / "simulate.json").write_text(json.dumps({"targets": ["host", "bitfusion"], "images": 10000}))
    return {
        "simulate.accuracy": (98.71, "%", "higher", 0.3),
        "simulate.accuracy_drop": (0.36, "points", "lower", 0.3),
        "simulate.logits_mismatches": (0, "images", "lower"),
        "simulate.latency_error": (0.031, "ratio", "lower", 0.01),
        "simulate.seconds": (4.2, "s", "lower", 0.0, True),
    }


_WRITERS = {f.__name__[1:]: f for f in (_train, _fit, _evaluate, _search, _codegen, _simulate)}
