"""Run tasks on workers that may die: each is done again, and one that kills its worker three times is named.

A task is a value, and what is done with it a function that can be called again: what it leaves is complete or not
there.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Protocol, TypeVar, runtime_checkable

from xgen.core.errors import UserError

Task = TypeVar("Task")
MAX_CRASHES = 3


class Crash(Exception):
    """The worker of a task is gone: killed, out of memory, or taken down by a library."""

    def __init__(self, had_begun: bool = True) -> None:
        """A worker that had not begun is gone for reasons of its own."""
        self.had_begun = had_begun
        super().__init__()


@runtime_checkable
class Engine(Protocol):
    """Workers: each call runs somewhere, and its future raises Crash where the worker died on it."""

    slots: int
    """Calls that may be under way at once."""

    def start(self, function: Callable[[Task], None], task: Task) -> Future[None]: ...

    def close(self) -> None:
        """End the workers, whatever they do."""
        ...


class Inline:
    """No worker at all: what is tiny is done here, before a worker would have started."""

    slots = 1

    def start(self, function: Callable[[Task], None], task: Task) -> Future[None]:
        """Do the task now; what it raises is raised here."""
        future: Future[None] = Future()
        future.set_result(function(task))
        return future

    def close(self) -> None:
        """Nothing to end."""


def run_tasks(engine: Engine, function: Callable[[Task], None], tasks: Sequence[Task]) -> Iterator[tuple[Task, bool]]:
    """Yield each task as it ends, in any order: True where it was done, False where it killed MAX_CRASHES workers.

    What a task raises itself ends everything and is raised here.
    """
    waiting, crashes, unborn = deque(range(len(tasks))), Counter[int](), 0
    running: dict[Future[None], int] = {}
    while waiting or running:
        while waiting and len(running) < engine.slots:
            number = waiting.popleft()
            running[engine.start(function, tasks[number])] = number
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            number = running.pop(future)
            try:
                future.result()
            except Crash as crash:
                crashes[number] += crash.had_begun
                unborn += not crash.had_begun
                if unborn >= MAX_CRASHES:
                    raise UserError(
                        "one worker process after the other ended before it was given anything to do",
                        "processes of Python that can be started here",
                        "See what they printed and what memory is left; a script needs `if __name__ == '__main__':`.",
                    ) from None
                if crashes[number] < MAX_CRASHES:
                    waiting.appendleft(number)
                else:
                    yield tasks[number], False
            else:
                unborn = 0
                yield tasks[number], True
