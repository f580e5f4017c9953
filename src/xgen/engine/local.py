"""Workers on this machine: processes, each with one task at a time, so that a death names its task."""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from xgen.engine.supervise import Crash

Task = TypeVar("Task")


class LocalEngine:
    """Some worker processes, started when they are first needed and replaced when they die."""

    def __init__(self, num_workers: int) -> None:
        self.slots = num_workers
        self._workers: list[_Worker] = []

    def start(self, function: Callable[[Task], None], task: Task) -> Future[None]:
        """Hand the task to a worker that is idle; there is one while fewer than `slots` are under way."""
        idle = next((worker for worker in self._workers if worker.is_idle()), None)
        if idle is None:
            self._workers = [worker for worker in self._workers if not worker.is_dead()]
            idle = _Worker()
            self._workers.append(idle)
        return idle.start(function, task)

    def close(self) -> None:
        """Kill the workers: what they were at is written beside, and is done anew by the next run."""
        for worker in self._workers:
            worker.kill()


class _Worker:
    """One process."""

    def __init__(self) -> None:
        spawn = multiprocessing.get_context("spawn")  # a fork would copy the locks of the threads that run here
        self._pool = ProcessPoolExecutor(1, mp_context=spawn, initializer=_attend)
        self._pid = self._pool.submit(os.getpid)
        self._future: Future[None] | None = None

    def start(self, function: Callable[[Task], None], task: Task) -> Future[None]:
        """Hand it a task."""
        self._future = answer = Future()
        answer.set_running_or_notify_cancel()
        try:
            self._pool.submit(function, task).add_done_callback(lambda done: self._pass_on(done, answer))
        except BrokenProcessPool:  # it died while it was idle
            answer.set_exception(self._death())
        return answer

    def _pass_on(self, done: Future[None], answer: Future[None]) -> None:
        error = done.exception()
        if error is None:
            answer.set_result(None)
        else:
            answer.set_exception(self._death() if isinstance(error, BrokenProcessPool) else error)

    def _death(self) -> Crash:
        """Tell whether the process lived to say its number, or had not even begun."""
        return Crash(had_begun=self._pid.exception() is None)

    def is_dead(self) -> bool:
        return self._future is not None and self._future.done() and isinstance(self._future.exception(), Crash)

    def is_idle(self) -> bool:
        return self._future is None or (self._future.done() and not self.is_dead())

    def kill(self) -> None:
        """End it, whatever it does, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError, BrokenProcessPool):
            os.kill(self._pid.result(), signal.SIGKILL)
        self._pool.shutdown(wait=True, cancel_futures=True)


def _attend() -> None:
    """Let the driver alone hear the keyboard, and end with it: no orphan goes on writing."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None, "this runs in a worker"
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


def num_processors() -> int:
    """Count the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
