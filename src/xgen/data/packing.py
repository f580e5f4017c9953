"""Put documents of all sources into one uniform order, and cut their concatenation into rows of one length.

The stream of a stage is doc <|endoftext|> doc <|endoftext|> ... (section 2), exactly as long as all its rows: row r of
the stream is ids r L to (r + 1) L of it: documents are concatenated or split, and none of their ids is lost. The rows
are then put in a uniform order. What a row contains is a function of the seed and its number; nothing else is kept.

    streams/<stage>.starts.npy     int64 [n+1], the position of each document in the stream
    streams/<stage>.places.npy     int64 [n], where its ids begin in the tokens of its source
    streams/<stage>.sources.npy    uint16 [n], which source
    streams/tokens.json            the files of tokens of each source and how many ids each holds
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt16

from xgen.core.ledger import read_json, write_array, write_json
from xgen.data.mixture import Slice, permuted, ranks
from xgen.data.shards import RowFile, write_rows
from xgen.pieces.store import TokenFiles, TokenStore
from xgen.tokenizer.specials import END_OF_TEXT

ROWS_AT_A_TIME = 512


@dataclass(frozen=True)
class Stream:
    """n documents in a row; document i fills the positions `starts[i]` to `starts[i + 1]`, its separator the last."""

    tokens: tuple[Any, ...]
    """Of each source: an array of ids, or TokenFiles."""
    sources: UInt16[np.ndarray, "n"]
    places: Int64[np.ndarray, "n"]
    """Where the ids of each document begin in the tokens of its source."""
    starts: Int64[np.ndarray, "n+1"]

    def read(self, first: int, stop: int) -> UInt16[np.ndarray, "L"]:
        """Return the ids at the positions `first` to `stop`."""
        ids = np.full(stop - first, END_OF_TEXT, np.uint16)
        number = int(np.searchsorted(self.starts, first, "right")) - 1
        behind = int(np.searchsorted(self.starts, stop))
        starts, places = self.starts[number : behind + 1].tolist(), self.places[number:behind].tolist()
        for at, source in enumerate(self.sources[number:behind].tolist()):
            start, end = starts[at], starts[at + 1] - 1  # of the document, bare
            low, high = max(start, first), min(end, stop)
            if low < high:
                place = places[at] - start
                ids[low - first : high - first] = self.tokens[source][place + low : place + high]
        return ids

    def __len__(self) -> int:
        return int(self.starts[-1])


@dataclass(frozen=True)
class RowsTask:
    """Some rows of a stage, which become one file: any worker can make them."""

    folder: Path
    stage: str
    stage_index: int
    num_rows: int
    """Of the stage."""
    context_length: int
    seed: int
    file: RowFile

    def is_done(self) -> bool:
        return self.file.is_complete(self.folder)


def merge(slices: Sequence[Slice], stores: Sequence[TokenStore], seed: int, stage: str) -> Stream:
    """Put the documents of all sources of a stage into one uniform order; `stores` goes with `slices`."""
    numbers = [np.zeros(0, np.uint64)]
    for one, store in zip(slices, stores, strict=True):
        of_source = np.empty(len(one.documents), np.uint64)
        for epoch in np.unique(one.epochs):
            mine = one.epochs == epoch
            purpose = f"documents of stage {stage} from {one.source}, epoch {epoch}"
            of_source[mine] = ranks(seed, purpose, store.ids[one.documents[mine]])
        numbers.append(of_source)
    order = np.argsort(np.concatenate(numbers), kind="stable")
    sources = np.repeat(np.arange(len(slices), dtype=np.uint16), [len(one.documents) for one in slices])[order]
    places = np.concatenate([store.offsets[one.documents] for one, store in zip(slices, stores, strict=True)])[order]
    taken = np.concatenate([one.taken for one in slices])[order]
    return Stream(tuple(store.tokens for store in stores), sources, places, np.concatenate([[0], np.cumsum(taken)]))


def row_order(seed: int, stage: str, num_rows: int) -> Int64[np.ndarray, "N"]:
    """Return, for each row as it is trained on, its number in the stream."""
    return rows_at(seed, stage, num_rows, np.arange(num_rows))


def rows_at(seed: int, stage: str, num_rows: int, numbers: Int64[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
    """Return the same for some rows, without the order of all."""
    return permuted(seed, f"rows of stage {stage}", num_rows, numbers)


def pack(stream: Stream, order: Int64[np.ndarray, "N"], context_length: int) -> Iterator[UInt16[np.ndarray, "n L"]]:
    """Yield the rows of a stage in `order`, some hundred at a time."""
    for start in range(0, len(order), ROWS_AT_A_TIME):
        yield np.stack(
            [
                stream.read(number * context_length, (number + 1) * context_length)
                for number in order[start : start + ROWS_AT_A_TIME].tolist()
            ]
        )


def write_stream(folder: Path, stage_index: int, stream: Stream, sources: Sequence[str]) -> None:
    """Lay a stream where workers find it; `sources` names those that it reads."""
    for name in ("starts", "places", "sources"):
        write_array(folder / "streams" / f"{stage_index}.{name}.npy", getattr(stream, name))
    write_json(folder / "streams" / f"{stage_index}.json", list(sources))


def write_token_files(folder: Path, stores: Sequence[TokenStore]) -> None:
    """Say where the tokens of each source lie, so that a worker need not look at every piece."""
    write_json(
        folder / "streams" / "tokens.json",
        {
            store.source: {
                "files": [path.relative_to(folder).as_posix() for path in store.tokens.paths],
                "tokens": np.diff(store.tokens.starts).tolist(),
            }
            for store in stores
        },
    )


@functools.lru_cache(maxsize=2)
def _stream(folder: Path, stage_index: int, written_at: int) -> Stream:
    """Open a stream once a process; `written_at` tells two runs in one place apart."""
    starts, places, sources = (
        np.load(folder / "streams" / f"{stage_index}.{name}.npy", mmap_mode="r")
        for name in ("starts", "places", "sources")
    )
    files = read_json(folder / "streams" / "tokens.json")
    tokens = tuple(
        TokenFiles([folder / name for name in files[source]["files"]], files[source]["tokens"])
        for source in read_json(folder / "streams" / f"{stage_index}.json")
    )
    return Stream(tokens, sources, places, starts)


def pack_file(task: RowsTask) -> None:
    """Make one file of rows from the stream of its stage."""
    written_at = (task.folder / "streams" / f"{task.stage_index}.json").stat().st_mtime_ns
    stream = _stream(task.folder, task.stage_index, written_at)
    order = rows_at(task.seed, task.stage, task.num_rows, np.arange(task.file.first, task.file.stop))
    shape = (task.file.stop - task.file.first, task.context_length)
    write_rows(task.file.path(task.folder), shape, pack(stream, order, task.context_length))
