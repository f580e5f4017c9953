"""What a person sees while work is going on: one bar for long work, one line for each thing that is done."""

import datetime
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

T = TypeVar("T")
SECONDS_BETWEEN_LINES = 60
console = Console(highlight=False, soft_wrap=True)


def say(line: str) -> None:
    """Print one line of progress; rich keeps it above a running bar."""
    console.print(line, markup=False)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Lay out a table for the terminal; no number is cut to fit."""
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 0))
    for column, cells in zip(columns, zip(columns, *rows, strict=True), strict=True):
        table.add_column(column, no_wrap=True, min_width=max(map(len, cells)))
    for row in rows:
        table.add_row(*row)
    console.print(table)


class Bar:
    """A handle on a running progress bar."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def advance(self, amount: int | float = 1, note: str = "") -> None:
        self._progress.update(self._task, advance=amount, note=note)

    def move_to(self, completed: int | float, note: str = "") -> None:
        self._progress.update(self._task, completed=completed, note=note)


@contextmanager
def bar(title: str, total: int | float | None) -> Iterator[Bar]:
    """Show a bar while the block runs; where the output is not a terminal, only the lines of `say` appear."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Bar(progress, progress.add_task(title, total=total, note=""))


def track(items: Iterable[T], title: str, total: int | float | None) -> Iterator[T]:
    """Yield `items`, advancing a bar by one for each."""
    with bar(title, total) as handle:
        for item in items:
            yield item
            handle.advance()


@contextmanager
def progress(title: str, num_bytes: int) -> Iterator[Callable[[int, int], None]]:
    """Give a function that hears of bytes and tokens that are done; without a terminal it says a line a minute."""
    started = told = time.monotonic()
    done = tokens = 0

    def advance(amount: int, of_tokens: int) -> None:
        nonlocal done, tokens, told
        done, tokens, now = done + amount, tokens + of_tokens, time.monotonic()
        seconds = max(now - started, 1e-9)
        speed = f"{done / seconds / 1e6:,.1f} MB/s" + (f", {tokens / seconds:,.0f} tokens/s" if tokens else "")
        shown.advance(amount, speed)
        if now - told >= SECONDS_BETWEEN_LINES:
            told = now
            left = datetime.timedelta(seconds=round((num_bytes - done) * seconds / max(done, 1)))
            say(f"  {title}: {done / 1e6:,.0f} of {num_bytes / 1e6:,.0f} MB, {speed}, {left} left")

    with bar(title, num_bytes) as shown:
        yield advance
