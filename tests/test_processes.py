"""Commands end with the run that started them, and take along what they started."""

import ast
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

import mico_runner
from mico_runner import processes
from mico_runner.errors import StepError
from mico_runner.targets import program

PACKAGE = Path(mico_runner.__file__).parent
PATIENCE_S = 20.0  # for what takes milliseconds

# cli.main with a run that builds by a slow compiler: a script with children in the background and in front.
RUN = """
import sys
from pathlib import Path
from mico_runner import cli, pipeline
from mico_runner.targets import program

def run(data, options):
    program.make(Path(sys.argv[1]), None, "x", compiler="cc", key="")

pipeline.run = run
sys.exit(cli.main([sys.argv[2]]))
"""


@pytest.fixture
def slow(tmp_path):
    """A folder to `make` whose compiler takes half an hour, and the number that marks its processes."""
    mark = str(1000 + uuid.uuid4().int % 10**9 / 1e10)
    compiler = tmp_path / "cc"
    compiler.write_text(f"#!/bin/sh\nsleep {mark} &\n(sleep {mark}; touch late) &\nsleep {mark}\necho > x\n")
    compiler.chmod(0o755)
    (tmp_path / "Makefile").write_text(f"./x: a b\n\na b:\n\t{compiler}\n")
    return tmp_path, mark


def alive(mark):
    """Processes that have `mark` in their command line and are no zombies."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if mark in words:
            found.append(words)
    return found


def wait_for(condition):
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < PATIENCE_S, "waited in vain"
        time.sleep(0.02)


def hears_signals():
    """What started the tests may have signals ignored, as nohup and background jobs do."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def start(folder, preexec_fn=hears_signals, **options):
    spec = str(PACKAGE.parent / "specs" / "profile-bitfusion.yaml")
    command = [sys.executable, "-c", RUN, str(folder), spec]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    return subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=preexec_fn, **options
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda n: n.name)
def test_a_signal_ends_the_run_and_all_that_it_started(slow, number):
    folder, mark = slow
    process = start(folder)
    wait_for(lambda: len(alive(mark)) >= 6)  # make runs two compilers, three sleeps each
    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 130)
    assert ("interrupted; the same command goes on" in errors) == (number != signal.SIGKILL)
    assert "Traceback" not in errors
    wait_for(lambda: not alive(mark))
    if number != signal.SIGKILL:
        assert list((folder / "build").iterdir()) == []


def test_killed_with_its_whole_process_group_it_leaves_nothing(slow):
    folder, mark = slow
    process = start(folder, start_new_session=True)
    wait_for(lambda: len(alive(mark)) >= 6)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=PATIENCE_S)
    wait_for(lambda: not alive(mark))


def test_nohup_goes_on(slow):
    folder, mark = slow
    process = start(folder, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    wait_for(lambda: len(alive(mark)) >= 6)
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    assert alive(mark)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130


def test_what_takes_too_long_is_stopped_with_all_that_it_started(slow):
    folder, mark = slow
    with pytest.raises(StepError, match=r"did not end within 0\.5 s"):
        program.checked(["make", "-j2", "-C", str(folder), "a", "b"], "make", 0.5)
    with pytest.raises(StepError, match="said this"):
        program.checked(["sh", "-c", f"echo said this; sleep {mark}"], "sh", 0.5)
    wait_for(lambda: not alive(mark))


def test_what_a_command_leaves_behind_ends_with_it():
    mark = str(2000 + uuid.uuid4().int % 10**9 / 1e10)
    assert processes.run(["sh", "-c", f"sleep {mark} >/dev/null 2>&1 & echo done"]).stdout == "done\n"
    wait_for(lambda: not alive(mark))


def test_results_are_those_of_the_command():
    done = processes.run(["sh", "-c", "cat; printf '\\303\\251\\377'; echo no >&2; exit 3"])
    assert (done.returncode, done.stdout, done.stderr) == (3, "é�", "no\n")
    assert processes.run(["sh", "-c", "kill -s SEGV $$"]).returncode == -signal.SIGSEGV
    with pytest.raises(FileNotFoundError):
        processes.run(["/no/such/tool"])
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        processes.run(["true"])
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_nothing_else_starts_processes():
    starters = {"run", "Popen", "call", "check_call", "check_output", "getoutput", "system", "popen", "fork", "spawnv"}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
                starts = called.value.id in ("subprocess", "os") and called.attr in starters
                assert not starts or path.name == "processes.py", f"{path}:{node.lineno} starts a process of its own"
