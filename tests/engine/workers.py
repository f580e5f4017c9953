"""Tasks that do to their worker what happens to workers: found by name in another process."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from xgen.core.errors import UserError


@dataclass(frozen=True)
class Errand:
    """A task that leaves a file `done` behind, after it killed its worker some times."""

    folder: Path
    number: int
    deaths: int = 0
    seconds: float = 0.0


def run_errand(errand: Errand) -> None:
    """Add a line to a file of who tried, die as often as told, and otherwise leave a file."""
    mine = errand.folder / f"{errand.number}.tries"
    with mine.open("a") as file:
        file.write(f"{os.getpid()}\n")
    if len(mine.read_text().splitlines()) <= errand.deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(errand.seconds)
    (errand.folder / f"{errand.number}.done").touch()


def refuse(errand: Errand) -> None:
    if errand.number == 1:
        raise UserError("a", "b", "c")
    run_errand(errand)


def fail(errand: Errand) -> None:
    if errand.number == 1:
        raise ZeroDivisionError("ours")


def fill_up(errand: Errand) -> None:
    raise OSError(28, "No space left on device", str(errand.folder))
