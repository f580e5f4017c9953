"""Runs of so many ids of a document as numbers: what tells that two texts share a passage, whatever its layout."""

import functools

import numpy as np
from jaxtyping import Bool, UInt16, UInt64

from xgen.tokenizer.encoding import token_bytes
from xgen.tokenizer.specials import NUM_ROWS

FACTOR = 0x9E3779B97F4A7C15


def window_hashes(tokens: UInt16[np.ndarray, "N"], size: int) -> UInt64[np.ndarray, "W"]:
    """Hash every window of `size` ids that are not whitespace; a document of fewer has none."""
    values = _token_hashes()[tokens]
    values = values[values != 0]
    return mixed(_runs(values, size))


def _runs(values: UInt64[np.ndarray, "N"], size: int) -> UInt64[np.ndarray, "W"]:
    """Return the polynomial in FACTOR of every run of `size` values, from runs of 1, 2, 4 and so on values."""
    num_runs = max(0, len(values) - size + 1)
    found, covered, run, length = np.zeros(num_runs, np.uint64), 0, values, 1
    while covered < size and num_runs:
        if size & length:
            found = found * np.uint64(pow(FACTOR, length, 1 << 64)) + run[covered : covered + num_runs]
            covered += length
        longer = max(0, len(run) - length)
        run, length = run[:longer] * np.uint64(pow(FACTOR, length, 1 << 64)) + run[length : length + longer], 2 * length
    return found


def is_counted(tokens: UInt16[np.ndarray, "N"]) -> Bool[np.ndarray, "N"]:
    """Mark the ids that are not whitespace, of which windows are made."""
    return _token_hashes()[tokens] != 0


def mixed(values: UInt64[np.ndarray, "*n"]) -> UInt64[np.ndarray, "*n"]:
    """Spread values over 64 bits (the finalizer of splitmix64); 0 stays 0."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@functools.cache
def _token_hashes() -> UInt64[np.ndarray, "V"]:
    """Give each id a random number: 0 to whitespace, the same to ids that differ only in whitespace around them.

    So a text that was indented or wrapped in another way still has the same windows.
    """
    stripped = [token_bytes(token).strip() for token in range(NUM_ROWS)]
    numbers = {text: number for number, text in enumerate(dict.fromkeys([b"", *stripped]))}
    return mixed(np.array([numbers[text] for text in stripped], np.uint64))
