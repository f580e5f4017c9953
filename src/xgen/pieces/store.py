"""The documents of a source that stay, over all its pieces: their ids on the disk, the rest in memory.

A document takes 40 bytes here: hash of its key, hash of its ids, and where these begin in the files of tokens as if
they were one.
"""

import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt16, UInt64

from xgen.core.errors import UserError
from xgen.pieces.make import stem_of
from xgen.pieces.plan import Plan

MAX_OPEN = 128


class TokenFiles:
    """Files of uint16 as one long array of which ranges are read, each with one call and never through a mapping.

    A mapping would count as memory of the process as far as it was read.
    """

    def __init__(self, paths: Sequence[Path], num_tokens: Sequence[int]) -> None:
        self.paths = list(paths)
        self.starts = np.concatenate([[0], np.cumsum(num_tokens, dtype=np.int64)])
        self._open: OrderedDict[int, int] = OrderedDict()

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, span: slice) -> UInt16[np.ndarray, "N"]:
        """Return the ids of a span that lies within one file, as that of a document does."""
        start, stop = int(span.start), int(span.stop)
        if start == stop:
            return np.zeros(0, np.uint16)
        number = int(np.searchsorted(self.starts, start, "right")) - 1
        num_bytes, place = 2 * (stop - start), 2 * (start - int(self.starts[number]))
        raw = os.pread(self._handle(number), num_bytes, place)
        if len(raw) < num_bytes:
            raise UserError(
                f"{self.paths[number]} ends before byte {place + num_bytes:,}",
                "the tokens that were written",
                "Find and repair what is damaged with xgen audit --verify.",
            )
        return np.frombuffer(raw, "<u2")

    def _handle(self, number: int) -> int:
        handle = self._open.get(number)
        if handle is None:
            if len(self._open) >= MAX_OPEN:
                os.close(self._open.popitem(last=False)[1])
            handle = os.open(self.paths[number], os.O_RDONLY)
        self._open[number] = handle
        self._open.move_to_end(number)
        return handle

    def __del__(self) -> None:
        for handle in self._open.values():
            os.close(handle)


@dataclass(frozen=True)
class TokenStore:
    """The documents of a source that a piece kept, in the order of the source's files. D documents."""

    source: str
    ids: UInt64[np.ndarray, "D 2"]
    """Hashes of the documents' keys: what they are called from here on."""
    tokens: Any
    """TokenFiles, or an array: sliced by a document's range, it gives its ids."""
    digests: UInt64[np.ndarray, "D 2"]
    """Equal only for documents with equal ids."""
    offsets: Int64[np.ndarray, "D+1"]

    def __len__(self) -> int:
        return len(self.ids)

    def document(self, index: int | np.integer) -> UInt16[np.ndarray, "N"]:
        return self.tokens[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> Int64[np.ndarray, "D"]:
        return np.diff(self.offsets)


def read_table(folder: Path, number: int) -> np.ndarray:
    """Read the table of a piece: a DOCUMENT for each document that was read."""
    return np.load(stem_of(folder, number).with_suffix(".documents.npy"))


def open_store(folder: Path, plan: Plan, source: str) -> TokenStore:
    """Open all pieces of a source, each of which must be complete."""
    numbers = [piece.number for piece in plan.pieces if piece.source == source]
    ids, digests, lengths, num_tokens = [np.zeros((0, 2), np.uint64)], [np.zeros((0, 2), np.uint64)], [], []
    for number in numbers:
        table = read_table(folder, number)
        table = table[table["fate"] == 0]
        ids.append(np.ascontiguousarray(table["id"]))
        digests.append(np.ascontiguousarray(table["digest"]))
        lengths.append(table["length"].astype(np.int64))
        num_tokens.append(int(lengths[-1].sum()))
    offsets = np.concatenate([np.zeros(1, np.int64), *lengths])
    paths = [stem_of(folder, number).with_suffix(".tokens") for number in numbers]
    return TokenStore(
        source, np.concatenate(ids), TokenFiles(paths, num_tokens), np.concatenate(digests), np.cumsum(offsets)
    )
