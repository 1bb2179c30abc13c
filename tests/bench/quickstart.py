"""Wall time of the quick start by step, and of a run that finds everything cached."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SPEC = Path(__file__).parents[2] / "specs/quickstart.yaml"
LIMIT_SECONDS = 180  # "under 3 minutes after installation on 2 cores"


def bench() -> list[list[object]]:
    """Rows of the table; runs in a folder of its own, so that nothing is cached at first."""
    with tempfile.TemporaryDirectory() as folder:
        whole = _run(folder)
        manifest = Path(folder) / "quickstart/latest/manifest.json"
        steps = json.loads(manifest.read_text(encoding="utf-8"))["steps"]
        cached = _run(folder)
    start = _time([sys.executable, "-c", "import mico_runner.cli"])
    rows = [["quick start", whole, "s", "promised", LIMIT_SECONDS, whole / LIMIT_SECONDS]]
    rows += [
        [f"  {name}", step["wall_seconds"], "s", "of the whole", whole, step["wall_seconds"] / whole]
        for name, step in steps.items()
    ]
    rows.append(["quick start again, all cached", cached, "s", "importing the command line", start, cached / start])
    return rows


def _run(folder: str) -> float:
    return _time([sys.executable, "-m", "mico_runner", str(SPEC), "--outputs", folder])


def _time(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start
