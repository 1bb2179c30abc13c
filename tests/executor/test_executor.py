"""Functions on other processes: what comes back, and what happens when one dies."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import work
from outcomes import run
from waiting import wait_for

from mico_runner import executor
from mico_runner.errors import StepError, StepSkipped, UsageError
from mico_runner.executor import mapping, memory, processes
from mico_runner.executor.processes import Processes


@pytest.fixture
def said():
    return []


@pytest.fixture
def two(said, monkeypatch):
    monkeypatch.setattr(processes, "SETTLED_S", 0.0)
    with Processes(2, 1, said.append) as workers:
        yield workers


def test_what_comes_back_is_what_the_function_returns(two):
    assert {key: outcome.value for key, outcome in run(two, work.square, range(5)).items()} == {
        number: number**2 for number in range(5)
    }
    assert run(two, work.Power(3), [4])[4].value == 64, "an object, and another one than before"
    assert run(two, work.Power(2), [4])[4].value == 16


def test_errors_come_back_as_what_they_mean(two):
    found = {kind: outcome.error for kind, outcome in run(two, work.fail, ["name", "skip", "zero"]).items()}
    assert isinstance(found["name"], UsageError) and "did you mean 'lenet'" in str(found["name"])
    assert type(found["skip"]) is StepSkipped
    assert type(found["zero"]) is ZeroDivisionError and "work.py" in found["zero"].__notes__[0]


def test_each_process_has_the_threads_that_it_is_told(said):
    with Processes(1, 3, said.append) as workers:
        assert run(workers, work.environment, ["OMP_NUM_THREADS"])["OMP_NUM_THREADS"].value == "3"


def test_a_killed_process_is_replaced_and_its_work_done(two, said, tmp_path):
    assert run(two, work.die, [(str(tmp_path), 2)])[(str(tmp_path), 2)].value == 2
    assert said == ["a worker process was killed by SIGKILL; another one begins its work again"] * 2


def test_work_that_kills_every_process_fails_and_leaves_the_others(two, said, tmp_path):
    key = (str(tmp_path), 99)
    two.submit(key, work.die, key)
    error = None
    while error is None:
        outcome = two.wait()
        error = outcome and outcome.error
    assert isinstance(error, StepError) and "killed by SIGKILL, 3 times" in str(error)
    assert run(two, work.square, [3])[3].value == 9


def test_one_process_works_where_memory_is_for_one(two, said, monkeypatch):
    monkeypatch.setattr(processes, "SETTLED_S", 60.0)  # a process that has just begun is small
    monkeypatch.setattr(memory, "available", lambda: 1 << 20)
    found = run(two, work.process, range(4))
    assert len({outcome.value for outcome in found.values()}) == 1
    assert len(said) == 1 and said[0].startswith("1 of 2 processes work: one takes")


def test_two_processes_work_where_there_is_memory(two, said):
    assert len({outcome.value for outcome in run(two, work.process, range(6)).values()}) == 2
    assert said == []


def test_memory_that_is_not_known_limits_nothing():
    assert memory.fitting(1 << 30, None) is None
    assert memory.fitting(300, 1000) == 3
    assert 0 < memory.own_peak() < 1 << 40
    assert (memory.peak(os.getpid()) or 1) > 0 and memory.peak(0) is None


def test_closing_ends_what_is_going_on(tmp_path):
    with Processes(1, 1, print) as workers:
        workers.submit("long", work.sleep, str(tmp_path))
        (number,) = wait_for(lambda: [file.name for file in tmp_path.iterdir()])
    assert not alive(number)


HOLDS = """
import sys, work
from mico_runner.executor.processes import Processes
workers = Processes(1, 1, print)
workers.submit("long", work.sleep, sys.argv[1])
while True:
    workers.wait()
"""


def test_processes_end_with_the_one_that_is_killed(tmp_path):
    places = [str(Path(__file__).parent), str(Path(executor.__file__).parents[2])]
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)], env={**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    )
    (number,) = wait_for(lambda: [file.name for file in tmp_path.iterdir()])
    assert alive(number)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    wait_for(lambda: not alive(number))


def alive(number):
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def slots(tmp_path, monkeypatch):
    monkeypatch.setattr(mapping, "WORTH_S", 0.0)
    return executor.Slots(tmp_path, 2)


def test_a_map_gives_results_in_order_on_what_is_left_over(slots, said):
    held = slots.take()
    mapper = executor.Mapper(slots, 1, said.append)
    try:
        assert list(mapper(work.square, range(6))) == [number**2 for number in range(6)]
        found = [*mapper(work.process, range(6)), *mapper(work.process, range(2))]
        assert os.getpid() not in found and len(set(found)) == 2
        assert slots.take() is None, "the map has the other slot"
    finally:
        mapper.close()
    assert slots.take() is not None and held is not None


def test_a_map_stays_here_without_slots_work_or_memory(slots, said, monkeypatch):
    here = {os.getpid()}
    assert set(executor.Mapper(executor.ALONE, 1, said.append)(work.process, range(2))) == here
    held = [slots.take(), slots.take()]
    assert set(executor.Mapper(slots, 1, said.append)(work.process, range(2))) == here
    for slot in held:
        slot.release()
    monkeypatch.setattr(memory, "available", lambda: 0)
    assert set(executor.Mapper(slots, 1, said.append)(work.process, range(3))) == here
    assert len(said) == 1 and said[0].startswith("0 of 3 processes: one takes")
    monkeypatch.setattr(mapping, "WORTH_S", 60.0)
    assert set(executor.Mapper(slots, 1, said.append)(work.process, range(2))) == here


def test_a_map_raises_the_first_failure_and_ends_its_processes(slots, said):
    held, mapper = slots.take(), executor.Mapper(slots, 1, said.append)
    with pytest.raises(ZeroDivisionError):
        list(mapper(work.fail, ["zero", "zero", "zero"]))
    assert held is not None and slots.take() is not None
