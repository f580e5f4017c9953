"""Runs of so many ids of a document as numbers: what tells that two texts share a passage, whatever its layout."""

import functools

import numpy as np
from jaxtyping import Bool, UInt16, UInt64

from xgen.tokenizer.encoding import token_bytes
from xgen.tokenizer.specials import NUM_ROWS


def window_hashes(tokens: UInt16[np.ndarray, "N"], size: int) -> UInt64[np.ndarray, "W"]:
    """Hash every window of `size` ids that are not whitespace; a document of fewer has none."""
    values = _token_hashes()[tokens]
    values = values[values != 0]
    num_windows = max(0, len(values) - size + 1)
    hashes = np.zeros(num_windows, np.uint64)
    for start in range(size if num_windows else 0):
        hashes *= np.uint64(0x9E3779B97F4A7C15)
        hashes += values[start : start + num_windows]
    return mixed(hashes)


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
