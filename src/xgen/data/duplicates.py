"""Near duplicates among the documents of all pieces, which were signed where they were made: tasks for any worker.

near/preference.npy      uint64, which of several to keep: for each document that a piece kept, sources in their order
near/pairs-<part>.npy    int64 [E, 2], what near.similar_pairs found in a part of the values that a band can have
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xgen.core.ledger import write_array
from xgen.data.filters import Marks
from xgen.pieces.make import stem_of
from xgen.pieces.store import TokenStore
from xgen.similarity.near import BUCKETED, UNRANKED, Signed, preferences, settle, similar_pairs

MAX_OPEN = 64
"""Pieces whose three arrays are open at a time."""


@dataclass(frozen=True)
class PairsTask:
    """A part of the search for pairs that agree in `similarity` of their slots."""

    folder: Path
    num_pieces: int
    similarity: float
    part: int
    num_parts: int

    @property
    def path(self) -> Path:
        return self.folder / "near" / f"pairs-{self.part:06}.npy"

    def is_done(self) -> bool:
        return self.path.exists()


class PieceSignatures:
    """The signatures of all pieces in their order, of which a few are open at a time."""

    def __init__(self, folder: Path, num_pieces: int) -> None:
        self._folder, self._num_pieces = folder, num_pieces
        self._open = functools.lru_cache(MAX_OPEN)(self._load)

    def _load(self, number: int) -> Signed:
        stem = stem_of(self._folder, number)
        arrays = (np.load(f"{stem}.{name}.npy", mmap_mode="r") for name in ("signatures", "keys", "places"))
        return Signed(*arrays)

    def __len__(self) -> int:
        return self._num_pieces

    def __iter__(self) -> Iterator[Signed]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, number: int) -> Signed:
        return self._open(number)


def plan_search(
    folder: Path, stores: Mapping[str, TokenStore], alive: Marks, num_pieces: int, similarity: float
) -> list[PairsTask]:
    """Say which documents are compared and which of several is kept, and cut the search into tasks."""
    ranked = [np.zeros(0, np.uint64)]
    for source, store in stores.items():
        ranked.append(np.where(alive[source], preferences(store.lengths, store.ids[:, 0]), UNRANKED))
    preference = np.concatenate(ranked)
    write_array(folder / "near" / "preference.npy", preference)
    num_parts = max(1, -(-len(preference) // BUCKETED))
    return [PairsTask(folder, num_pieces, similarity, part, num_parts) for part in range(num_parts)]


def find_pairs(task: PairsTask) -> None:
    """Search one part."""
    preference = np.load(task.folder / "near" / "preference.npy", mmap_mode="r")
    shards = PieceSignatures(task.folder, task.num_pieces)
    write_array(task.path, similar_pairs(shards, preference, task.similarity, task.part, task.num_parts))


def settled(tasks: Sequence[PairsTask]) -> np.ndarray:
    """Give for each document the one that stays instead, or -1, when all tasks are done."""
    preference = np.load(tasks[0].folder / "near" / "preference.npy")
    return settle(np.concatenate([np.load(task.path) for task in tasks]), preference)
