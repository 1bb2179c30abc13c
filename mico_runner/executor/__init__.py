"""Work on several processes: functions of the package with their arguments in, what they return out, in any order.

    with executor.open_workers(Executor("processes", jobs=2, threads=1, address=None), say=print) as (workers, slots):
        workers.submit("a", function, 1)          # while workers.free
        outcome = workers.wait()                  # Outcome(key="a", value=..., error=None), or None: nothing has ended yet

Whoever hands work out keeps it until it is done: a process that dies is replaced, and what it was at begins again. How many processes
there are changes no result: each has the same number of threads, and what a function returns depends on its arguments alone.
"""

from mico_runner.executor.base import Outcome, Say, Workers
from mico_runner.executor.here import Here
from mico_runner.executor.mapping import Mapper
from mico_runner.executor.opening import DASK, open_workers
from mico_runner.executor.slots import ALONE, Slots

__all__ = ["ALONE", "DASK", "Here", "Mapper", "Outcome", "Say", "Slots", "Workers", "open_workers"]
