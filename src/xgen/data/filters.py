"""What no training document may be beside all others: a copy of one, or nearly a document that is held out.

Corpus filters see all documents that are left, before some are held out; each is an entry, whose name becomes a row of
the audit. What judges a document alone is a filter of `filters/` or happens while its piece is made.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, UInt16

from xgen.data.config import DataConfig
from xgen.pieces.store import TokenStore
from xgen.similarity.windows import is_counted, window_hashes

WINDOW = 13
SLOT_BITS = 24


Stores = Mapping[str, TokenStore]
Marks = dict[str, Bool[np.ndarray, "_"]]
"""One truth value for each document of each source."""


@dataclass(frozen=True)
class HeldOut:
    """The documents that are set apart, of which evaluation reads the first `context_length` ids."""

    documents: list[UInt16[np.ndarray, "_"]]
    context_length: int


def exact_duplicates(stores: Stores, alive: Marks, config: DataConfig) -> Marks:
    """Mark all but the first of documents with the same ids: the first source by name, the first in its files."""
    drops = {source: np.zeros(len(marks), bool) for source, marks in alive.items()}
    living = {source: np.flatnonzero(alive[source]) for source in sorted(alive)}
    digests = np.concatenate([np.zeros((0, 2), np.uint64), *(stores[name].digests[at] for name, at in living.items())])
    order = np.lexsort((digests[:, 1], digests[:, 0]))  # stable, so that the first of equals stays the first
    repeats = np.zeros(len(order), bool)
    repeats[order[1:]] = (digests[order[1:]] == digests[order[:-1]]).all(axis=1)
    start = 0
    for source, at in living.items():
        drops[source][at[repeats[start : start + len(at)]]] = True
        start += len(at)
    return drops


CORPUS_FILTERS: dict[str, Callable[[Stores, Marks, DataConfig], Marks]] = {"exact duplicate": exact_duplicates}


class HeldOutWindows:
    """The windows of all held-out documents, sorted, with the document that each belongs to."""

    def __init__(self, held_out: HeldOut) -> None:
        """A copy of a held-out document is a copy of what evaluation reads; the rest of it has no owner."""
        documents = held_out.documents
        hashes, owners = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
        self.sizes = np.zeros(len(documents), np.int64)
        for number, tokens in enumerate(documents):
            judged = np.unique(window_hashes(tokens[: held_out.context_length], WINDOW))
            others = np.setdiff1d(window_hashes(tokens, WINDOW), judged)
            hashes += [judged, others]
            owners += [np.full(len(judged), number), np.full(len(others), len(documents))]
            self.sizes[number] = len(judged)
        order = np.argsort(np.concatenate(hashes), kind="stable")
        self.hashes, self.owners = np.concatenate(hashes)[order], np.concatenate(owners)[order]
        self.slots = np.zeros(1 << SLOT_BITS, bool)  # a glance that spares most windows the search
        self.slots[self.hashes >> np.uint64(64 - SLOT_BITS)] = True

    def share_with(self, tokens: UInt16[np.ndarray, "N"]) -> float:
        """Return the larger of two shares: of this document's windows that are held out, and of any held-out one's."""
        all_hashes = window_hashes(tokens, WINDOW)
        hashes = all_hashes[self.slots[all_hashes >> np.uint64(64 - SLOT_BITS)]]
        first = np.searchsorted(self.hashes, hashes, "left")
        behind = np.searchsorted(self.hashes, hashes, "right")
        shared = behind > first
        if not shared.any():
            return 0.0
        of_this = np.count_nonzero(shared) / len(all_hashes)
        starts, at = np.unique(first[shared], return_index=True)
        sizes = behind[shared][at] - starts
        places = np.arange(sizes.sum()) + np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
        owners = self.owners[places]
        hits = np.bincount(owners, minlength=len(self.sizes) + 1)[:-1]
        return max(of_this, float((hits / np.maximum(self.sizes, 1)).max()))

    def touched(self, tokens: UInt16[np.ndarray, "N"], lengths: Int64[np.ndarray, "D"]) -> Int64[np.ndarray, "d"]:
        """Return which of D documents, one after another in `tokens`, share any window at all: most share none."""
        counted = np.concatenate([[0], np.cumsum(is_counted(tokens))])
        ends = counted[np.cumsum(lengths)]  # of each document, in ids that are not whitespace
        hashes = window_hashes(tokens, WINDOW)
        candidates = np.flatnonzero(self.slots[hashes >> np.uint64(64 - SLOT_BITS)])
        owners = np.searchsorted(ends, candidates, "right")
        within = candidates + WINDOW <= ends[owners] if len(ends) else np.zeros(0, bool)
        candidates, owners = candidates[within], owners[within]
        places = np.minimum(np.searchsorted(self.hashes, hashes[candidates]), max(0, len(self.hashes) - 1))
        return np.unique(owners[self.hashes[places] == hashes[candidates]]) if len(self.hashes) else owners[:0]
