"""Find in a piece the near copies of held-out documents, which reads every token: a task for any worker.

held_out/documents.npy, held_out/lengths.npy    the documents that are held out, whole, one after another
near/<number>.npy                               for each document of a piece that stayed: whether it is a near copy
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64, UInt16

from xgen.core.ledger import write_array
from xgen.data.filters import HeldOut, HeldOutWindows
from xgen.pieces.make import stem_of
from xgen.pieces.store import read_table

BATCH_TOKENS = 1 << 18
"""Ids that are compared at a time; a longer document is compared alone."""


@dataclass(frozen=True)
class NearTask:
    """A piece to be compared with what is held out: DataConfig.near_duplicate_share."""

    folder: Path
    number: int
    context_length: int
    share: float

    def is_done(self) -> bool:
        return near_path(self.folder, self.number).exists()


def near_path(folder: Path, number: int) -> Path:
    return folder / "near" / f"{number:06}.npy"


def write_held_out(folder: Path, held_out: HeldOut) -> None:
    """Lay the held-out documents where workers find them."""
    flat = np.concatenate([np.zeros(0, np.uint16), *held_out.documents])
    write_array(folder / "held_out" / "documents.npy", flat)
    write_array(folder / "held_out" / "lengths.npy", np.array([len(one) for one in held_out.documents], np.int64))


@functools.lru_cache(maxsize=1)
def _windows(folder: Path, context_length: int, written_at: int) -> HeldOutWindows:
    """Load the windows once a process; `written_at` tells two runs in one place apart."""
    lengths = np.load(folder / "held_out" / "lengths.npy")
    documents = np.split(np.load(folder / "held_out" / "documents.npy"), np.cumsum(lengths))[:-1]
    return HeldOutWindows(HeldOut(documents, context_length))


def mark_near_copies(task: NearTask) -> None:
    """Compare the documents of a piece and write which are near copies."""
    written_at = (task.folder / "held_out" / "documents.npy").stat().st_mtime_ns
    windows = _windows(task.folder, task.context_length, written_at)
    table = read_table(task.folder, task.number)
    lengths = table["length"][table["fate"] == 0].astype(np.int64)
    marks = np.zeros(len(lengths), bool)
    with stem_of(task.folder, task.number).with_suffix(".tokens").open("rb") as file:
        for first, stop in _batches(lengths):
            tokens = np.frombuffer(file.read(2 * int(lengths[first:stop].sum())), "<u2")
            marks[first:stop] = near_copies(windows, tokens, lengths[first:stop], task.share)
    write_array(near_path(task.folder, task.number), marks)


def near_copies(
    windows: HeldOutWindows, tokens: UInt16[np.ndarray, "N"], lengths: Int64[np.ndarray, "D"], share: float
) -> Bool[np.ndarray, "D"]:
    """Mark those of D documents, one after another in `tokens`, that share too much with a held-out one."""
    marks, ends = np.zeros(len(lengths), bool), np.cumsum(lengths)
    for index in windows.touched(tokens, lengths):
        marks[index] = windows.share_with(tokens[ends[index] - lengths[index] : ends[index]]) >= share
    return marks


def _batches(lengths: Int64[np.ndarray, "D"]) -> list[tuple[int, int]]:
    """Cut documents into batches of some BATCH_TOKENS ids."""
    ends, batches, first = np.cumsum(lengths), [], 0
    while first < len(lengths):
        before = int(ends[first - 1]) if first else 0
        stop = max(first + 1, int(np.searchsorted(ends, before + BATCH_TOKENS, "right")))
        batches.append((first, stop))
        first = stop
    return batches
