"""A dask cluster of two: what comes back, what happens when a worker or the scheduler dies, and what is refused."""

import dataclasses
import time
from pathlib import Path

import pytest
import work
from outcomes import run

pytest.importorskip("distributed", reason="needs dask: pip install 'mico-runner[dask]'")

import dask
import psutil
from distributed import Client, LocalCluster

from mico_runner import executor
from mico_runner.errors import StepError, StepSkipped, UsageError
from mico_runner.executor import dask_workers, mapping, mounts
from mico_runner.sections import Executor

ONE = Executor("dask", 1, 1, None)


@pytest.fixture(scope="module")
def workers():
    with executor.open_workers(Executor("dask", 2, 1, None), print) as (opened, _):
        yield opened


@pytest.fixture
def at(workers):
    """The section of a spec that names the cluster."""
    return dataclasses.replace(ONE, address=workers._client.scheduler.address)


def opened(of=ONE, **changes):
    return executor.open_workers(dataclasses.replace(of, **changes), print)


def test_values_and_errors_come_back(workers):
    assert {key: outcome.value for key, outcome in run(workers, work.square, range(5)).items()} == {
        number: number**2 for number in range(5)
    }
    assert run(workers, work.Power(3), [4])[4].value == 64
    found = {kind: outcome.error for kind, outcome in run(workers, work.fail, ["name", "skip", "zero"]).items()}
    assert isinstance(found["name"], UsageError) and "did you mean 'lenet'" in str(found["name"])
    assert type(found["skip"]) is StepSkipped
    assert type(found["zero"]) is ZeroDivisionError and "work.py" in found["zero"].__notes__[0]
    assert run(workers, work.environment, ["OMP_NUM_THREADS"])["OMP_NUM_THREADS"].value == "1"


def test_a_cluster_of_this_machine_is_reached_from_nowhere_else(workers):
    known = workers._client.scheduler_info(n_workers=-1)
    assert all(address.startswith("tcp://127.0.0.1:") for address in [known["address"], *known["workers"]])
    own = psutil.Process()
    ports = [port for each in (own, *own.children(recursive=True)) for port in each.net_connections("inet")]
    assert {port.laddr.ip for port in ports if port.status == psutil.CONN_LISTEN} == {"127.0.0.1"}


def test_a_map_gives_results_in_order(workers, monkeypatch):
    monkeypatch.setattr(mapping, "WORTH_S", 0.0)
    mapper = executor.Mapper(workers, 1, print)
    assert list(mapper(work.square, range(6))) == [number**2 for number in range(6)]
    assert len(set(mapper(work.process, range(6)))) == 2
    with pytest.raises(ZeroDivisionError):
        list(mapper(work.fail, ["zero", "zero", "zero"]))
    assert list(mapper(work.square, range(3))) == [0, 1, 4], "the cluster outlives a failure"
    mapper.close()


def test_work_whose_worker_is_killed_is_done_by_another(workers, tmp_path):
    assert run(workers, work.die, [(str(tmp_path), 1)])[str(tmp_path), 1].value == 1


def test_a_cluster_that_would_give_other_numbers_is_refused(at, workers, monkeypatch):
    with pytest.raises(UsageError, match="found OMP_NUM_THREADS=1; allowed: 2"), opened(at, threads=2):
        pass
    monkeypatch.setattr(dask_workers, "_code", lambda: "of another release")
    with pytest.raises(UsageError, match="other code than here"), opened(at):
        pass


def test_nobody_at_the_address_is_said(monkeypatch):
    monkeypatch.setattr(dask_workers, "CONNECT_S", 0.3)
    with (
        pytest.raises(UsageError, match=r"no dask scheduler answers at tcp://127\.0\.0\.1:9"),
        opened(address="tcp://127.0.0.1:9"),
    ):
        pass


def test_a_scheduler_that_goes_ends_the_run_with_a_line():
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "0.5s"}),  # which a scheduler that restarts has
        LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50) as local,
        Client(local, set_as_default=False) as client,
    ):
        workers = dask_workers.DaskWorkers(client, 1)
        workers.submit("a", work.square, 1)  # which nobody takes
        local.sync(local.scheduler.close)
        until = time.monotonic() + 30
        with pytest.raises(StepError, match="the scheduler of the dask cluster is gone; run again") as raised:
            while time.monotonic() < until:
                workers.wait()
        assert raised.value.exit_code == 4


LINES = """\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 22 0:40 / /nfs rw - nfs4 server:/a rw,vers=4.2,local_lock=none
31 22 0:41 / /nfs/old rw - nfs server:/b rw,vers=3,local_lock=all
32 22 0:42 / /lustre rw,flock - lustre mgs:/c rw,flock
33 22 0:43 / /lustre2 rw - lustre mgs:/c rw,seclabel
34 22 0:44 / /my\\040share rw - cifs //d rw
"""


@pytest.mark.parametrize(
    ("folder", "problem"),
    [
        ("/home/outputs", None),
        ("/nfs/outputs", None),
        ("/nfs/old/outputs", "nfs mounted with local_lock=all"),
        ("/nfs/older", None),
        ("/lustre/outputs", None),
        ("/lustre2/outputs", "lustre mounted without flock"),
        ("/my share/outputs", "of kind cifs"),
    ],
)
def test_locks_that_other_machines_do_not_see_are_recognised(tmp_path, folder, problem):
    (tmp_path / "mountinfo").write_text(LINES)
    if problem is None:
        mounts.check_shared(Path(folder), tmp_path / "mountinfo")
        return
    with pytest.raises(UsageError, match=problem):
        mounts.check_shared(Path(folder), tmp_path / "mountinfo")
