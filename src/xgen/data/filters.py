"""What no training document may be: an entry for each filter, whose name becomes a row of the audit.

Document filters see one document while it is encoded. Corpus filters see all that is left, before documents are held
out; training filters run after that, and judge only what would be trained on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt16

from xgen.data.config import DataConfig
from xgen.data.tokens import TokenStore
from xgen.data.windows import window_hashes

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


def is_too_short(tokens: UInt16[np.ndarray, "N"], config: DataConfig) -> bool:
    """Section 2: documents of less than 100 tokens after tokenization are excluded."""
    return len(tokens) < config.min_document_tokens


def exact_duplicates(stores: Stores, alive: Marks, config: DataConfig) -> Marks:
    """Mark all but the first, by source and key, of documents with the same ids: the order of reading has no say."""
    drops = {source: np.zeros(len(marks), bool) for source, marks in alive.items()}
    living = [(source, index) for source, marks in alive.items() for index in np.flatnonzero(marks)]
    if not living:
        return drops
    digests = np.concatenate([stores[source].digests[marks] for source, marks in alive.items()])
    _, groups, sizes = np.unique(digests, axis=0, return_inverse=True, return_counts=True)
    copies: dict[int, list[tuple[str, str, int]]] = {}
    groups = groups.reshape(-1)
    for position in np.flatnonzero(sizes[groups] > 1):
        source, index = living[position]
        copies.setdefault(int(groups[position]), []).append((source, stores[source].keys[index], int(index)))
    for group in copies.values():
        for source, _, index in sorted(group)[1:]:
            drops[source][index] = True
    return drops


def near_copies(stores: Stores, alive: Marks, held_out: HeldOut, config: DataConfig) -> Marks:
    """Mark training documents that share too many windows with held-out ones: DataConfig.near_duplicate_share."""
    windows = HeldOutWindows(held_out)
    drops = {source: np.zeros(len(marks), bool) for source, marks in alive.items()}
    for source, marks in alive.items():
        for index in np.flatnonzero(marks):
            drops[source][index] = windows.share_with(stores[source].document(index)) >= config.near_duplicate_share
    return drops


DOCUMENT_FILTERS: dict[str, Callable[[np.ndarray, DataConfig], bool]] = {"under min_document_tokens": is_too_short}
CORPUS_FILTERS: dict[str, Callable[[Stores, Marks, DataConfig], Marks]] = {"exact duplicate": exact_duplicates}
TRAINING_FILTERS: dict[str, Callable[[Stores, Marks, HeldOut, DataConfig], Marks]] = {
    "near copy of a held-out document": near_copies
}


def why_dropped(tokens: UInt16[np.ndarray, "N"], config: DataConfig) -> str:
    """Name the document filter that drops a document, or nothing."""
    return next((name for name, drops in DOCUMENT_FILTERS.items() if drops(tokens, config)), "")


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
        spans = np.unique(np.stack([first[shared], behind[shared]], axis=1), axis=0)
        owners = np.concatenate([self.owners[start:stop] for start, stop in spans])
        hits = np.bincount(owners, minlength=len(self.sizes) + 1)[:-1]
        return max(of_this, float((hits / np.maximum(self.sizes, 1)).max()))
