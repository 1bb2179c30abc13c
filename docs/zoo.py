"""`make zoo`: every network of MiCo and MLPerf Tiny in every form of deployment; what happened is the table of docs/results/zoo.md.

Each network is a process of its own (`python docs/zoo.py mico-vgg`), which leaves a JSON file in outputs/zoo/; those that are there are
not run again, unless their file is deleted. The searches are the cells of specs/zoo.yaml.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from mico_runner import accelerators, codegen, hardware
from mico_runner.codegen import dnnweaver, qdq
from mico_runner.codegen.qdq.check import compare
from mico_runner.errors import MicoError
from mico_runner.graph import capture
from mico_runner.models import MODELS, TOKENS
from mico_runner.quant import PTQ, LayerBits, quantize_input, reference
from mico_runner.quant.qgraph import QGraph
from mico_runner.targets import host, qemu

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/results/zoo.md"
CELLS = ROOT / "outputs/zoo"
SPEC = ROOT / "specs/zoo.yaml"
NETWORKS = [name for name in MODELS.names() if name.startswith(("mico-", "mlperf-")) or name in ("llama", "resnet8")]
DECODERS = [name for name in NETWORKS if MODELS.info(name).meta.get("reads") == TOKENS]  # which no cell of the spec has
LIMIT_S = 1200.0
MACHINE = "rv32"
LARGE = 10**8  # MACs from which one sample runs on QEMU, else two


def main(arguments: list[str]) -> int:
    if arguments:
        _write(arguments[0])
        return 0
    for name in NETWORKS:
        if not (CELLS / f"{name}.json").is_file():
            print(name, flush=True)
            try:
                subprocess.run([sys.executable, __file__, name], check=True, timeout=LIMIT_S, cwd=ROOT)
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                print(f"{name}: {error}", file=sys.stderr)
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
    return 0


def _write(name: str) -> None:
    torch.set_num_threads(1)
    CELLS.mkdir(parents=True, exist_ok=True)
    text = json.dumps(cells(name), indent=1)
    (CELLS / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def cells(name: str) -> dict[str, dict[str, Any]]:
    """What each form of deployment gave, by form; {"failed": message} where it did not work; each with its seconds."""
    size = MODELS.info(name).meta["size"]
    shape = tuple(size["input"])
    torch.manual_seed(0)
    draw, tokens = np.random.default_rng(0), name in DECODERS
    samples = draw.integers(0, size["outputs"], (4, *shape)) if tokens else draw.random((4, *shape), np.float32)
    start = time.perf_counter()
    network = capture(MODELS.get(name)(shape, size["outputs"]).eval(), shape, name, (0,) if tokens else ())
    integers = PTQ(network, samples).quantize({node.name: LayerBits(8, 8) for node in network.weighted})
    read = quantize_input(integers, samples[:2])
    wanted = reference.run(integers, read)
    found = {"quantised": {"layers": len(network.weighted), "seconds": time.perf_counter() - start}}
    few = 1 if size["macs"] >= LARGE else 2

    def tried(form: str, run: Callable[[Path], dict[str, Any]]) -> None:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            try:
                found[form] = run(Path(folder))
            except MicoError as error:
                found[form] = {"failed": str(error).splitlines()[0]}
        found[form]["seconds"] = time.perf_counter() - began

    tried("host", lambda folder: _host(integers, folder, read, wanted))
    tried("qemu", lambda folder: _qemu(integers, folder, read[:few], wanted[:few]))
    tried("dnnweaver", lambda folder: _dnnweaver(integers, folder, read, wanted))
    tried("onnx", lambda folder: _onnx(integers, folder, samples[:2]))
    if not tokens:
        tried("search", lambda folder: _search(name, folder))
    return found


def _mismatches(found: np.ndarray, wanted: np.ndarray) -> int:
    return int((found != wanted).reshape(len(wanted), -1).any(axis=1).sum())


def _host(integers: QGraph, folder: Path, read: np.ndarray, wanted: np.ndarray) -> dict[str, Any]:
    made = codegen.generate(integers, folder)
    found = host.run(host.build(folder), read)
    return {"mismatches": _mismatches(found, wanted), "flash": made.flash_bytes, "arena": made.arena_bytes}


def _qemu(integers: QGraph, folder: Path, read: np.ndarray, wanted: np.ndarray) -> dict[str, Any]:
    made = codegen.generate(integers, folder, runtime="baremetal")
    (run,) = qemu.run(qemu.build(folder, MACHINE), [read], MACHINE).networks
    instructions = int(np.median(run.instructions.sum(axis=1)))
    return {"mismatches": _mismatches(run.outputs, wanted), "instructions": instructions, "arena": made.arena_bytes}


def _dnnweaver(integers: QGraph, folder: Path, read: np.ndarray, wanted: np.ndarray) -> dict[str, Any]:
    size = dnnweaver.write(integers, folder)
    again = dnnweaver.read(folder)
    device = hardware.load("bitfusion")
    trace = accelerators.of(device).simulate(dnnweaver.kernel_rows(again, device.batch))
    mismatches = _mismatches(reference.run(again, read), wanted)
    return {"mismatches": mismatches, "bytes": size, "cycles": int(trace["cycles"].sum()), "batch": device.batch}


def _onnx(integers: QGraph, folder: Path, samples: np.ndarray) -> dict[str, Any]:
    path = folder / "model.onnx"
    size = qdq.write(integers, path)
    agreement = compare(integers, path, samples)
    largest = np.abs(reference.run(integers, quantize_input(integers, samples))).max()
    return {"bytes": size, "same_class": agreement.same_class, "steps": agreement.steps, "largest": int(largest)}


def cell_of(name: str) -> Path:
    """A network's file, which a cell of specs/zoo.yaml extends."""
    return SPEC.parent / "zoo" / f"{name}.yaml"


def _search(name: str, folder: Path) -> dict[str, Any]:
    chosen = ["--set", f"extends=zoo/{name}.yaml", "--set", "matrix=null"]
    command = [
        sys.executable,
        "-m",
        "mico_runner",
        "run",
        str(SPEC),
        "--json",
        "--quiet",
        "--outputs",
        str(folder),
        *chosen,
    ]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if not ran.stdout:
        message = (ran.stderr.strip().splitlines() or ["no result"])[-1]
        return {"failed": message.replace(f"{ROOT}/", "")}
    result = json.loads(ran.stdout)
    metrics = {key: metric["value"] for key, metric in result["metrics"].items()}
    keys = {
        "float": "train.test_accuracy",
        "accuracy": "simulate.accuracy",
        "flash_ratio": "search.flash_ratio",
        "flash": "search.flash_bytes",
        "mismatches": "simulate.logits_mismatches",
    }
    broken = [gate["metric"] for gate in result["broken_gates"]]
    return {
        "params": yaml.safe_load(cell_of(name).read_text())["model"]["params"],
        "broken": broken,
        **{short: metrics.get(key) for short, key in keys.items()},
    }


def page() -> str:
    """The page, from the files that are there."""
    results = {name: json.loads(path.read_text()) for name in NETWORKS if (path := CELLS / f"{name}.json").is_file()}
    left = [f"`{name}`" for name in NETWORKS if name not in results]
    seconds = sum(cell["seconds"] for found in results.values() for cell in found.values())
    rows = ["| " + " | ".join(_row(name, found)) + " |" for name, found in results.items()]
    narrow = [
        "| " + " | ".join(_search_row(name, found.get("search"))) + " |"
        for name, found in results.items()
        if name not in DECODERS
    ]
    failed = [
        textwrap.fill(f"- {name}, {form}: {cell['failed']}", 120, subsequent_indent="  ", break_on_hyphens=False)
        for name, found in results.items()
        for form, cell in found.items()
        if "failed" in cell
    ]
    return "\n".join(
        [
            HEAD.format(minutes=round(seconds / 60), left=_filled(f"Left out: {', '.join(left)}.") if left else ""),
            *rows,
            MIDDLE,
            *narrow,
            *(["", "What failed:", "", *failed] if failed else []),
            TAIL,
        ]
    )


def _filled(text: str) -> str:
    return textwrap.fill(text, 120, break_on_hyphens=False) + "\n"


def _row(name: str, found: dict[str, dict[str, Any]]) -> list[str]:
    size = MODELS.info(name).meta["size"]
    shown = [f"`{name}`", _thousands(size["weights"]), _millions(size["macs"])]
    c, emulated, files, onnx = (found[form] for form in ("host", "qemu", "dnnweaver", "onnx"))
    shown += _cell(c, lambda: [str(c["mismatches"]), _kib(c["flash"]), _kib(c["arena"])], 3)
    shown += _cell(emulated, lambda: [str(emulated["mismatches"]), _millions(emulated["instructions"])], 2)
    shown += _cell(files, lambda: [str(files["mismatches"]), _kib(files["bytes"]), _millions(files["cycles"])], 3)
    shown += _cell(onnx, lambda: [f"{onnx['steps']:.0f} of {onnx['largest']:,}"], 1)
    return [*shown, f"{sum(cell['seconds'] for cell in found.values()):.0f}"]


def _search_row(name: str, cell: dict[str, Any] | None) -> list[str]:
    def shown() -> list[str]:
        params = ", ".join(f"{key} {value:g}" for key, value in cell["params"].items())
        broken = ", ".join(cell["broken"]) or "none"
        accuracies = [f"{cell['float']:.1f} %", f"{cell['accuracy']:.1f} %"]
        return [params, *accuracies, f"{100 * cell['flash_ratio']:.0f} %", str(int(cell["mismatches"])), broken]

    return [f"`{name}`", *_cell(cell, shown, 6)]


def _cell(cell: dict[str, Any] | None, shown: Callable[[], list[str]], columns: int) -> list[str]:
    if cell is None:
        return ["not run"] * columns
    return ["failed"] * columns if "failed" in cell else shown()


def _thousands(count: int) -> str:
    return f"{count / 1e6:.2f} M" if count >= 10**6 else f"{count / 1e3:.1f} k"


def _millions(count: int) -> str:
    if count < 10**6:
        return f"{count / 1e3:.1f} k"
    return f"{count / 1e6:,.2f} M" if count < 10**8 else f"{count / 1e6:,.0f} M"


def _kib(size: int) -> str:
    return f"{size / 1024:,.1f}"


HEAD = """# The zoo

`make zoo` runs every network of MiCo and of MLPerf Tiny in every form of deployment and writes this page from what
happened; its runs took {minutes} minutes together, other work beside them.
{left}
Networks are in their published size, untrained, at 8 bits. A mismatch is a sample with any other output than the
integer reference: two samples each, on QEMU one of networks of 100 million MACs and more. *Flash* is the constant
tables, *arena* the RAM between input and output, in KiB; *instructions* are those of one sample on RV32IM (QEMU, no
cycles). DNNWeaver's files ([dnnweaver.md](../reference/dnnweaver.md)) are read again and run; BitFusion's cycles are of
a batch of 16, simulated from the files alone. With ONNX Runtime, *steps* is the greatest difference of an output from
the integers', of the largest output.

| network | weights | MACs | C on the host: mismatches | flash | arena | QEMU: mismatches | instructions | \
DNNWeaver: mismatches | file, KiB | BitFusion's cycles | ONNX: steps | seconds |
|---|---|---|---|---|---|---|---|---|---|---|---|---|"""

MIDDLE = """
## Bits searched, narrow networks

`mico-run sweep specs/zoo.yaml`: trained for seconds on made samples, then bits within 60 % of INT8's flash, C on all 64
test samples. The accuracies say that the search and the C work, and nothing about the networks.

| network | narrowed | float | mixed bits, in C | flash of INT8's | mismatches | broken gates |
|---|---|---|---|---|---|---|"""

TAIL = """
Of attention ONNX Runtime's optimisers make integer operators that differ by more than roundings; without them
(`ORT_DISABLE_ALL`) the model of a small attention layer is within 3 steps of 16,366.

`llama` is stories260K's shape over a whole sequence of 64 tokens, and its MACs are those of the sequence; bits of the
trained one are in [decoders.md](decoders.md).
"""

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
