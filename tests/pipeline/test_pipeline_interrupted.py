"""A run on several processes that is interrupted, or killed, leaves none behind, and goes on where it stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import dummy_steps
import pytest
from waiting import PATIENCE_S, wait_for

ROOT = Path(__file__).resolve().parents[2]
RUN = """
import sys, dummy_steps
from mico_runner.signals import as_interrupts
with as_interrupts():
    try:
        dummy_steps.run(sys.argv[1], {"jobs": 2}, numbers=6, seconds=float(sys.argv[2]))
    except KeyboardInterrupt:
        sys.exit(130)
"""


def start(outputs, seconds):
    path = os.pathsep.join([str(ROOT), str(Path(dummy_steps.__file__).parent)])
    environment = {**os.environ, "PYTHONPATH": path, dummy_steps.SHORT_REPORTS: ""}
    command = [sys.executable, "-c", RUN, str(outputs), str(seconds)]
    return subprocess.Popen(command, env=environment, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))


def workers(parent):
    """Processes that the run has started, as long as they live."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, above = stat.read_text().rpartition(")")[2].split()[:2]
            words = stat.with_name("cmdline").read_bytes()
        except OSError:
            continue
        if state != "Z" and b"mico_runner.executor" in words and (parent is None or int(above) == parent):
            found.append(int(stat.parent.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=lambda n: n.name)
def test_no_worker_outlives_a_run_and_the_next_one_goes_on(tmp_path, number):
    process = start(tmp_path, 1.5)
    wait_for(lambda: list(tmp_path.glob(".cache/count/*.work/journal.jsonl")))
    mine = workers(process.pid)
    assert mine
    process.send_signal(number)
    assert process.wait(PATIENCE_S) == (130 if number == signal.SIGINT else -signal.SIGKILL)
    wait_for(lambda: not set(mine) & set(workers(None)))
    again = start(tmp_path, 0.0)
    assert again.wait(PATIENCE_S) == 0
    (log,) = (tmp_path / "dummy").glob("v0001/log.jsonl")
    assert '"resumed": true' in log.read_text()
