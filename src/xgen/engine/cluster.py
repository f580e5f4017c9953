"""Workers on a Ray cluster: plain tasks without retries of Ray's own, over a disk that all machines see."""

import importlib
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from xgen.core.errors import UserError
from xgen.engine.supervise import Crash

Task = TypeVar("Task")
DEATHS = ("WorkerCrashedError", "NodeDiedError", "OutOfMemoryError", "LocalRayletDiedError", "ObjectLostError")
"""What Ray raises where a worker, its machine or what it answered is gone."""


class RayEngine:
    """The processors of a Ray cluster: the one at `address`, or as Ray finds it, or a new one on this machine."""

    def __init__(self, address: str) -> None:
        try:
            self._ray: Any = importlib.import_module("ray")
        except ModuleNotFoundError:
            raise UserError(
                "--engine ray needs the package ray, which is not installed",
                "the extra for clusters",
                "Install it with: pip install 'xgen[cluster]'",
            ) from None
        if not self._ray.is_initialized():
            try:
                self._ray.init(address=address or None, log_to_driver=False, logging_level="warning")
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise UserError(
                    f"no Ray cluster answers at '{address}' ({str(error).partition(chr(10))[0]})",
                    "the address of its head, host:port",
                    "Start it with: ray start --head",
                ) from None
        self._deaths = tuple(getattr(self._ray.exceptions, name) for name in DEATHS)
        self._call = self._ray.remote(max_retries=0)(_call)
        self.slots = max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def start(self, function: Callable[[Task], None], task: Task) -> Future[None]:
        """Hand the task to the cluster, which finds a processor for it."""
        answer: Future[None] = Future()
        answer.set_running_or_notify_cancel()
        self._call.remote(function, task).future().add_done_callback(lambda done: self._pass_on(done, answer))
        return answer

    def _pass_on(self, done: Future[UserError | OSError | None], answer: Future[None]) -> None:
        error = done.exception()
        if error is None and (error := done.result()) is None:
            answer.set_result(None)
        else:
            answer.set_exception(Crash() if isinstance(error, self._deaths) else error)

    def close(self) -> None:
        """Leave the cluster; a cluster that was started here ends."""
        self._ray.shutdown()


def _call(function: Callable[[Task], None], task: Task) -> UserError | OSError | None:
    """Hand back a mistake of the user or a full disk as a value: Ray would raise it as a class of its own."""
    try:
        function(task)
    except (UserError, OSError) as error:
        return error
    return None
