"""CPU of the commands that should answer at once, alone and beside 200 operators and 200 models of plug-ins.

Once each before, so that what is remembered in the user's cache is there; then the least of several, for other work only adds to it.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROUNDS = 5
EACH = 200
BOUND_S = 0.3
OPERATOR = """from mico_runner.ops import register
from mico_runner.ops.table import Table


@register("own-operator-{n}")
class Own(Table):
    \"\"\"An operator.\"\"\"
"""
MODEL = """from mico_runner.models import register


@register("own-model-{n}", params={{"width": {{"type": "integer", "default": 8}}}})
def own(input_shape, classes, *, width):
    \"\"\"A model.\"\"\"
"""


def bench() -> Iterator[list[object]]:
    """Rows of the table: seconds of CPU beside the bound."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "own").mkdir()
        for number in range(EACH):
            (folder / "own" / f"operator{number}.py").write_text(OPERATOR.format(n=number), encoding="utf-8")
            (folder / "own" / f"model{number}.py").write_text(MODEL.format(n=number), encoding="utf-8")
        plugged = ["--set", f"plugins=[{folder / 'own'}]"]
        commands = {
            "validate": ["validate", "quickstart"],
            f"validate, {2 * EACH} plug-ins": ["validate", "quickstart", *plugged],
            "plan": ["plan", "quickstart"],
            f"plan, {2 * EACH} plug-ins": ["plan", "quickstart", *plugged],
            "list": ["list"],
        }
        for what, command in commands.items():
            seconds = [_cpu(command, folder) for _ in range(ROUNDS + 1)][1:]
            yield [what, min(seconds), "s CPU", "bound", BOUND_S, min(seconds) / BOUND_S]


def _cpu(command: list[str], folder: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTHONPYCACHEPREFIX": str(folder / "pyc"), "XDG_CACHE_HOME": str(folder / "cache")}
    command = [sys.executable, "-m", "mico_runner", *command]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
