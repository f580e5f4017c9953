"""Who follows metrics.jsonl while it grows: TensorBoard and Weights & Biases, from the optional extra `track`."""

import importlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

from xgen.core.errors import UserError
from xgen.core.ledger import RunFolder
from xgen.parallel.launch import is_first

Line = Mapping[str, Any]


@runtime_checkable
class Follower(Protocol):
    """Is handed every line once; what was handed before `flush` survives a kill."""

    def add(self, line: Line) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


class TensorBoard:
    """Event files in <run>/tensorboard; what an earlier start wrote after step `done` is taken back.

    Events are written at once: the flush of tensorboardX's SummaryWriter leaves what waits in its queue.
    """

    def __init__(self, run: RunFolder, done: int) -> None:
        events = _imported("tensorboardX.event_file_writer", "tensorboard")
        self._event_pb2 = _imported("tensorboardX.proto.event_pb2", "tensorboard")
        self._summary_pb2 = _imported("tensorboardX.proto.summary_pb2", "tensorboard")
        (run.path / "tensorboard").mkdir(exist_ok=True)
        # Its own name counts seconds, and a second start within one would write over the first.
        self._writer = events.EventsWriter(str(run.path / "tensorboard" / "events"), f".{time.time_ns()}")
        start = self._event_pb2.SessionLog(status=self._event_pb2.SessionLog.START)
        self._write(step=done + 1, session_log=start)

    def _write(self, **event: Any) -> None:
        self._writer.write_event(self._event_pb2.Event(wall_time=time.time(), **event))

    def add(self, line: Line) -> None:
        one = self._summary_pb2.Summary.Value
        values = [one(tag=name, simple_value=value) for name, value in _numbers(line).items() if name != "step"]
        self._write(step=line["step"], summary=self._summary_pb2.Summary(value=values))

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class WeightsAndBiases:
    """A W&B run that has the name of the run folder, and goes on under it; whether online is for W&B's own settings.

    W&B drops a step that it has already; a resumed run gives the same numbers again.
    """

    def __init__(self, run: RunFolder, done: int) -> None:
        wandb = _imported("wandb", "wandb")
        name = run.path.name
        try:
            self._run = wandb.init(
                project="xgen", id=name, name=name, dir=str(run.path), config=run.recipe(), resume="allow"
            )
        except wandb.Error as error:
            raise UserError(
                f"Weights & Biases cannot begin ({str(error).splitlines()[0]})",
                "a W&B account, or its offline mode",
                "Say wandb login or wandb offline, or leave wandb out of execution.track.",
            ) from error

    def add(self, line: Line) -> None:
        self._run.log(_numbers(line), step=line["step"])

    def flush(self) -> None:
        """Do nothing: a process of W&B's own has each line already."""

    def close(self) -> None:
        self._run.finish()


FOLLOWERS: dict[str, Callable[[RunFolder, int], Follower]] = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases}


@contextmanager
def following(run: RunFolder, names: Sequence[str], done: int) -> Iterator[list[Follower]]:
    """Open the named followers of a run that has done `done` steps; one that is new to the run gets all its lines."""
    with ExitStack() as stack:
        followers = []
        for name in names if is_first() else ():
            is_new = not (run.path / name).exists()
            followers.append(follower := FOLLOWERS[name](run, done))
            stack.callback(follower.close)
            for line in run.metrics.read() if is_new else ():
                follower.add(line)
        yield followers


def require_followers(names: Sequence[str]) -> None:
    """Refuse, before anything is done, followers whose package is not installed."""
    for name in names:
        _imported({"tensorboard": "tensorboardX", "wandb": "wandb"}[name], name)


def _imported(package: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError:
        raise UserError(
            f"the package {package.partition('.')[0]} is not installed",
            f"it to be there for execution.track {name}",
            "Install it: pip install 'xgen[track]'",
        ) from None


def _numbers(line: Line) -> dict[str, int | float]:
    """Take the numbers of a line, and a spike as 1."""
    return {name: value if isinstance(value, int | float) else 1 for name, value in line.items() if name != "stage"}
