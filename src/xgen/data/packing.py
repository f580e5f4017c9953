"""Cut a stream of tokenized documents into rows of one length (section 2 of the report).

A stage's stream is its documents of all sources in one uniform order, each followed by <|endoftext|>. Row r of the
stream is ids r L to (r + 1) L of it: documents are concatenated or split, and none of their ids is lost. The rows are
then put in a uniform order. What a row contains is a function of the seed and its number; nothing else is remembered.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt16

from xgen.data.mixture import Slice, shuffled
from xgen.data.tokens import TokenStore
from xgen.tokenizer.specials import END_OF_TEXT

ROWS_AT_A_TIME = 512


@dataclass(frozen=True)
class Stream:
    """n documents in a row; document i fills the positions `starts[i]` to `starts[i + 1]`, its separator the last."""

    stores: tuple[TokenStore, ...]
    sources: Int64[np.ndarray, "n"]
    documents: Int64[np.ndarray, "n"]
    starts: Int64[np.ndarray, "n+1"]

    def read(self, first: int, stop: int) -> UInt16[np.ndarray, "L"]:
        """Return the ids at the positions `first` to `stop`."""
        ids = np.full(stop - first, END_OF_TEXT, np.uint16)
        number = int(np.searchsorted(self.starts, first, "right")) - 1
        while number < len(self.documents) and self.starts[number] < stop:
            start, end = int(self.starts[number]), int(self.starts[number + 1]) - 1  # of the document, bare
            low, high = max(start, first), min(end, stop)
            if low < high:
                document = self.stores[self.sources[number]].document(self.documents[number])
                ids[low - first : high - first] = document[low - start : high - start]
            number += 1
        return ids

    def __len__(self) -> int:
        return int(self.starts[-1])


def merge(slices: Sequence[Slice], stores: Sequence[TokenStore], seed: int, stage: str) -> Stream:
    """Put the documents of all sources of a stage into one uniform order; `stores` goes with `slices`."""
    names = [
        f"{one.source}\0{store.keys[document]}\0{epoch}"
        for one, store in zip(slices, stores, strict=True)
        for document, epoch in zip(one.documents, one.epochs, strict=True)
    ]
    order = shuffled(seed, f"documents of stage {stage}", names)
    sources = np.repeat(np.arange(len(slices)), [len(one.documents) for one in slices])[order]
    documents = np.concatenate([one.documents for one in slices])[order]
    taken = np.concatenate([one.taken for one in slices])[order]
    return Stream(tuple(stores), sources, documents, np.concatenate([[0], np.cumsum(taken)]))


def row_order(seed: int, stage: str, num_rows: int) -> Int64[np.ndarray, "N"]:
    """Return, for each row as it is trained on, its number in the stream."""
    return shuffled(seed, f"rows of stage {stage}", [str(number) for number in range(num_rows)])


def pack(stream: Stream, order: Int64[np.ndarray, "N"], context_length: int) -> Iterator[UInt16[np.ndarray, "n L"]]:
    """Yield the rows of a stage in `order`, some hundred at a time."""
    for start in range(0, len(order), ROWS_AT_A_TIME):
        yield np.stack(
            [
                stream.read(number * context_length, (number + 1) * context_length)
                for number in order[start : start + ROWS_AT_A_TIME].tolist()
            ]
        )
