"""Who does the tasks of a run: workers here, a Ray cluster, or one of several runs that share a folder."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from xgen.core.errors import UserError
from xgen.engine.cluster import RayEngine
from xgen.engine.local import LocalEngine, num_processors
from xgen.engine.supervise import Engine, Inline, run_tasks

Task = TypeVar("Task")


class OthersUnfinished(Exception):
    """A run that does its share has done it, and what follows needs the shares of others."""


@dataclass(frozen=True)
class Share:
    """One of several runs on the same folder, on any number of machines: `number` of `total`, from 0."""

    number: int = 0
    total: int = 1

    def of(self, items: Sequence[Task]) -> Sequence[Task]:
        """Return what this run does of a list that all of them agree on."""
        return items[self.number :: self.total]


def share_of(text: str) -> Share:
    """Read "i/n", as in --shard 3/8: the fourth of eight."""
    number, slash, total = text.partition("/")
    if not (slash and number.isdecimal() and total.isdecimal() and int(number) < int(total)):
        raise UserError(f"--shard {text}", "i/n with i from 0 to n - 1", "Say for example --shard 3/8.")
    return Share(int(number), int(total))


class Crew:
    """Does tasks; workers start when they are first needed and stay until `close`."""

    def __init__(
        self,
        kind: Literal["local", "ray"] = "local",
        num_workers: int = 0,
        address: str = "",
        share: Share | None = None,
    ) -> None:
        """Take `num_workers` processes of this machine, 0 for one a processor, or the Ray cluster at `address`."""
        self.kind, self.num_workers, self.address, self.share = kind, num_workers, address, share
        self._workers: Engine | None = None

    def mine(self, items: Sequence[Task]) -> Sequence[Task]:
        return self.share.of(items) if self.share else items

    def do(self, function: Callable[[Task], None], tasks: Sequence[Task], is_tiny: bool) -> Iterator[tuple[Task, bool]]:
        """Do tasks and yield each as it ends, as `run_tasks`; what is tiny is done here without any worker."""
        if not tasks:
            return iter(())
        if is_tiny and self.kind == "local":
            return run_tasks(Inline(), function, tasks)
        if self._workers is None:
            local = self.kind == "local"
            self._workers = LocalEngine(self.num_workers or num_processors()) if local else RayEngine(self.address)
        return run_tasks(self._workers, function, tasks)

    def close(self) -> None:
        """End the workers."""
        if self._workers is not None:
            self._workers.close()
            self._workers = None
