"""The words of a text as numbers, and runs of them: what tells that two texts say the same, whatever their layout."""

import functools
import string
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64, UInt8, UInt64

from xgen.similarity.windows import mixed

BASE = np.uint64(0x9E3779B97F4A7C15)
LONGEST_WORD = 4096
"""Bytes of a word whose order counts."""
NO_WORDS = {0xC2: 2, 0xE2: 3}
"""First bytes of characters that are mostly marks, U+0080 to U+00BF and U+2000 to U+2FFF, and their bytes."""
UNSPACED = (0xE3, 0xE9)
"""First bytes of U+3000 to U+9FFF: Chinese and Japanese, whose characters count as words, each of three bytes."""


def word_hashes(text: str) -> UInt64[np.ndarray, "W"]:
    """Hash each word of a text: what stands between spaces and marks, whatever the case of its ASCII letters."""
    return words_in(text.encode("utf-8", "surrogatepass"))[0]


def words_in(raw: bytes) -> tuple[UInt64[np.ndarray, "W"], Int64[np.ndarray, "W"]]:
    """Hash each word of a text in UTF-8, and say at which byte it starts."""
    values = np.frombuffer(raw, np.uint8)
    letters = _letters()[values]
    is_start = np.zeros(len(values), bool)
    if not raw.isascii():
        for first, num_bytes in NO_WORDS.items():
            places = np.flatnonzero(values == first)
            for offset in range(num_bytes):
                letters[places + offset] = 0
        is_unspaced = (values >= UNSPACED[0]) & (values <= UNSPACED[1])
        is_start |= is_unspaced
        is_start[3:] |= is_unspaced[:-3]
    is_start[:1] = True
    is_start[1:] |= letters[:-1] == 0
    starts = np.flatnonzero(is_start & (letters != 0))
    if not len(starts):
        return np.zeros(0, np.uint64), starts
    places = np.arange(starts[0], len(values), dtype=np.int32)
    places -= np.repeat(starts.astype(np.int32), np.diff(starts, append=len(values)))
    terms = letters[starts[0] :] * _powers()[places & (LONGEST_WORD - 1)]
    return mixed(np.add.reduceat(terms, starts - starts[0])), starts


def run_hashes(values: UInt64[np.ndarray, "N"], size: int) -> UInt64[np.ndarray, "W"]:
    """Hash every run of `size` values."""
    num_runs = max(0, len(values) - size + 1)
    hashes = np.zeros(num_runs, np.uint64)
    for start in range(size if num_runs else 0):
        hashes *= BASE
        hashes += values[start : start + num_runs]
    return mixed(hashes)


def run_hashes_of(texts: Sequence[str], size: int) -> tuple[UInt64[np.ndarray, "W"], Int64[np.ndarray, "D"]]:
    """Hash the runs of `size` words of D texts, one text after another, and say where those of each end.

    All at once, since for a short text the calls to NumPy take longer than what they do.
    """
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    words, starts = words_in(b"\n".join(encoded))
    ends = np.searchsorted(starts, np.cumsum([len(raw) + 1 for raw in encoded], dtype=np.int64))
    counts = np.diff(ends, prepend=0)
    owners = np.repeat(np.arange(len(texts)), counts)
    within = owners[: len(owners) - size + 1] == owners[size - 1 :] if len(owners) >= size else np.zeros(0, bool)
    return run_hashes(words, size)[within], np.cumsum(np.maximum(counts - size + 1, 0))


@functools.cache
def _letters() -> UInt8[np.ndarray, "256"]:
    """Give each byte that is part of a word a number, the same to both cases, and 0 to the others."""
    letters = np.arange(256, dtype=np.uint8)
    letters[[byte for byte in range(128) if chr(byte) not in string.ascii_letters + string.digits]] = 0
    letters[ord("A") : ord("Z") + 1] = letters[ord("a") : ord("z") + 1]
    return letters


@functools.cache
def _powers() -> UInt64[np.ndarray, "n"]:
    return np.cumprod(np.full(LONGEST_WORD, BASE))
