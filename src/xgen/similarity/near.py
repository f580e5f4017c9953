"""Near duplicates: a signature for each document, the pairs whose signatures agree, and which document of each stays.

A signature (MinHash) agrees with another in as many of its slots, on average, as the two documents share of their
shingles. It is cut into bands: documents with an equal band are compared, slot by slot. All of it works on shards of
documents and on parts of the values that a band can have, so that memory depends on the size of one, and none of it on
the order of documents, the cut into shards or the number of parts.

Shape letters: N documents, P slots of a signature, B bands, E pairs.
"""

import importlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt32, UInt64

from xgen.core.errors import UserError
from xgen.similarity.windows import mixed
from xgen.similarity.words import run_hashes_of

SHINGLE = 5
"""Words in a row."""
NUM_SLOTS = 128
ROWS, BANDS = 6, 21
"""Slots of a band, and bands: of documents that share 0.8 of their shingles 997 in 1,000 have an equal band."""
SEED = 7
"""Of the signatures; they are compared within one run only."""
EMPTY = np.uint32(0xFFFFFFFF)
"""Every slot of a document that is too short for a shingle, which is no copy of anything."""
NUM_LEADERS = 8
"""Members of a bucket that all others are compared with: a page that a million copies share costs no square."""
UNRANKED = np.uint64(0xFFFFFFFFFFFFFFFF)
"""The preference of a document that is not compared."""
BUCKETED = 1 << 22
"""Documents of which one band is held at a time."""
BATCH = 1 << 18
"""Characters of texts that are signed at a time."""
COMPARED = 1 << 14
"""Pairs of signatures that are compared at a time."""


@dataclass(frozen=True)
class Signed:
    """The documents of one shard as signatures, and the bands of these, each sorted; arrays may lie on the disk."""

    signatures: UInt32[np.ndarray, "N P"]
    keys: UInt64[np.ndarray, "B N"]
    """Equal only where a band is; rising within each band."""
    places: UInt32[np.ndarray, "B N"]
    """The document of each key."""


@runtime_checkable
class Shards(Protocol):
    """All shards in their order: a list of them, or what opens each when it is asked for."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Signed]: ...

    def __getitem__(self, number: int, /) -> Signed: ...


class Signer:
    """Signs documents as they come, each as the set of its shingles, some at a time."""

    def __init__(self) -> None:
        """Make ready; UserError where the extra that signs is missing."""
        self._digest = _rensa().RMinHash.digest_matrix_from_flat_token_hashes
        self._texts: list[str] = []
        self._size = 0
        self._found = [np.zeros((0, NUM_SLOTS), np.uint32)]

    def add(self, text: str) -> None:
        """Add a document."""
        self._texts.append(text)
        self._size += len(text)
        if self._size >= BATCH:
            self._sign()

    def _sign(self) -> None:
        hashes, ends = run_hashes_of(self._texts, SHINGLE)
        offsets = np.concatenate([[0], ends]).astype(np.uint64)
        rows = self._digest(hashes, offsets, NUM_SLOTS, SEED).to_rows()
        self._found.append(np.array(rows, np.uint32).reshape(-1, NUM_SLOTS))
        self._texts, self._size = [], 0

    def signed(self) -> Signed:
        """Return the documents that were added."""
        self._sign()
        return banded(np.concatenate(self._found))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the same by the names of its arrays."""
        return dict(vars(self.signed()))


def sign(texts: Iterable[str]) -> Signed:
    """Sign documents, each as the set of its shingles."""
    signer = Signer()
    for text in texts:
        signer.add(text)
    return signer.signed()


def banded(signatures: UInt32[np.ndarray, "N P"]) -> Signed:
    """Sort the documents by each of their bands; the few slots that fill no band are only compared."""
    bands_NBR = signatures[:, : BANDS * ROWS].reshape(-1, BANDS, ROWS)
    keys_NB = np.zeros(bands_NBR.shape[:2], np.uint64)
    for row in range(ROWS):
        keys_NB = mixed(keys_NB * np.uint64(0x9E3779B97F4A7C15) + bands_NBR[:, :, row] + np.uint64(1))
    places = np.argsort(keys_NB.T, axis=1, kind="stable")
    return Signed(signatures, np.take_along_axis(keys_NB.T, places, axis=1), places.astype(np.uint32))


def preferences(lengths: Int64[np.ndarray, "N"], hashes: UInt64[np.ndarray, "N"]) -> UInt64[np.ndarray, "N"]:
    """Number documents so that the one to keep of several has the lowest: the longest, then by hash of its key."""
    shorter_by = np.uint64(0xFFFFFFFF) - np.minimum(lengths, 0xFFFFFFFF).astype(np.uint64)
    return (shorter_by << np.uint64(32)) | (hashes >> np.uint64(32))


def near_duplicates(
    shards: Sequence[Signed], preference: UInt64[np.ndarray, "N"], similarity: float
) -> Int64[np.ndarray, "N"]:
    """Give for each document of all shards, in their order, the one that stays instead, or -1 if it stays itself."""
    num_parts = -(-len(preference) // BUCKETED)
    found = [similar_pairs(shards, preference, similarity, part, num_parts) for part in range(num_parts)]
    return settle(np.concatenate([np.zeros((0, 2), np.int64), *found]), preference)


def similar_pairs(
    shards: Shards, preference: UInt64[np.ndarray, "N"], similarity: float, part: int = 0, num_parts: int = 1
) -> Int64[np.ndarray, "E 2"]:
    """Find the pairs that agree in a band and in `similarity` of all slots, the preferred document first.

    A part covers its range of the values that a band can have. The pairs of all parts are those of the whole. Documents
    that are UNRANKED have none.
    """
    starts = np.cumsum([0, *(len(shard.signatures) for shard in shards)])
    assert starts[-1] == len(preference) < 1 << 32
    found = np.zeros(0, np.uint64)
    for band in range(BANDS):
        documents, keys = _bucketed(shards, starts, band, part, num_parts)
        is_ranked = preference[documents] != UNRANKED
        documents, keys = documents[is_ranked], keys[is_ranked]
        order = np.lexsort((documents, preference[documents], keys))
        candidates = _with_leaders(documents[order], keys[order])
        near = [pairs[_agreement(shards, starts, pairs) >= similarity] for pairs in candidates]
        found = np.unique(np.concatenate([found, *(_as_numbers(pairs) for pairs in near)]))
    return np.stack([found >> np.uint64(32), found & np.uint64(0xFFFFFFFF)], axis=1).astype(np.int64)


def settle(pairs: Int64[np.ndarray, "E 2"], preference: UInt64[np.ndarray, "N"]) -> Int64[np.ndarray, "N"]:
    """Give for each document the one that stays instead, or -1: one goes only for a near one that stays.

    In the order of preference, a document stays unless it is paired with one before it that stays. Chains end here:
    where the first resembles the second and the second the third, the third stays.
    """
    stays_instead = np.full(len(preference), -1, np.int64)
    pairs = pairs[np.argsort(preference[pairs[:, 0]], kind="stable")]
    while len(pairs):
        undecided = np.zeros(len(preference), bool)
        undecided[pairs[:, 1]] = True
        settled = pairs[~undecided[pairs[:, 0]]]
        gone, at = np.unique(settled[:, 1], return_index=True)
        stays_instead[gone] = settled[at, 0]
        pairs = pairs[(stays_instead[pairs] < 0).all(axis=1)]
    return stays_instead


def _bucketed(
    shards: Shards, starts: Int64[np.ndarray, "_"], band: int, part: int, num_parts: int
) -> tuple[Int64[np.ndarray, "n"], UInt64[np.ndarray, "n"]]:
    """Read the documents of all shards whose key of a band lies in a part, and these keys."""
    lowest, behind = (number * (1 << 64) // num_parts for number in (part, part + 1))
    documents, keys = [np.zeros(0, np.int64)], [np.zeros(0, np.uint64)]
    for shard, start in zip(shards, starts, strict=False):
        first = np.searchsorted(shard.keys[band], np.uint64(lowest))
        last = np.searchsorted(shard.keys[band], np.uint64(behind - 1), side="right")
        places = shard.places[band, first:last].astype(np.int64)
        of_text = shard.signatures[places, 0] != EMPTY
        documents.append(places[of_text] + start)
        keys.append(shard.keys[band, first:last][of_text])
    return np.concatenate(documents), np.concatenate(keys)


def _with_leaders(
    documents: Int64[np.ndarray, "n"], keys: UInt64[np.ndarray, "n"]
) -> Iterator[Int64[np.ndarray, "m 2"]]:
    """Pair each document with the first few of its key, some pairs at a time; both are sorted by key and preference."""
    is_first = np.ones(len(keys), bool)
    is_first[1:] = keys[1:] != keys[:-1]
    firsts = np.maximum.accumulate(np.where(is_first, np.arange(len(keys)), 0))
    for leader in range(NUM_LEADERS):
        led = np.flatnonzero(np.arange(len(keys)) > firsts + leader)
        for start in range(0, len(led), COMPARED):
            some = led[start : start + COMPARED]
            yield np.stack([documents[firsts[some] + leader], documents[some]], axis=1)


def _as_numbers(pairs: Int64[np.ndarray, "m 2"]) -> UInt64[np.ndarray, "m"]:
    """Write each pair as one number, since NumPy sorts numbers many times faster than rows."""
    return pairs[:, 0].astype(np.uint64) << np.uint64(32) | pairs[:, 1].astype(np.uint64)


def _agreement(
    shards: Shards, starts: Int64[np.ndarray, "_"], pairs: Int64[np.ndarray, "E 2"]
) -> Float64[np.ndarray, "E"]:
    """Return the share of slots in which the signatures of each pair agree."""
    rows_E2P = np.empty((*pairs.shape, NUM_SLOTS), np.uint32)
    owners = np.searchsorted(starts, pairs, side="right") - 1
    for owner in np.unique(owners):
        mine: Bool[np.ndarray, "E 2"] = owners == owner
        rows_E2P[mine] = shards[int(owner)].signatures[pairs[mine] - starts[owner]]
    return np.count_nonzero(rows_E2P[:, 0] == rows_E2P[:, 1], axis=1) / NUM_SLOTS


def _rensa() -> ModuleType:
    try:
        return importlib.import_module("rensa")
    except ModuleNotFoundError:
        raise UserError(
            "near duplicates are found by rensa, which is not installed",
            "the extra that filters need",
            "Install it with: pip install 'xgen[data]'",
        ) from None
