"""The token store of a source: every document that passes the document filters, as ids, in the order of the snapshot.

    tokens/<source>.npy            uint16, all documents one after another, without separators
    tokens/<source>.offsets.npy    int64, where each starts, and where the last ends
    tokens/<source>.digests.npy    uint64 pairs, equal only for documents with equal ids
    tokens/<source>.keys.json      the documents' keys
    tokens/<source>.json           counts, written last: present means complete

A document that a filter drops here leaves nothing but its count.
"""

import contextlib
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Int64, UInt16, UInt64

from xgen.core.ledger import read_json, write_json, write_text, written_beside
from xgen.core.types import Document
from xgen.filters.catalog import Screen
from xgen.filters.verdict import Drop
from xgen.tokenizer.encoding import encode

BATCH = 256
"""Documents that are in memory at a time."""


@dataclass(frozen=True)
class TokenStore:
    """All documents of a source as ids; `tokens` stays on the disk. T ids, D documents."""

    source: str
    keys: list[str]
    tokens: UInt16[np.ndarray, "T"]
    digests: UInt64[np.ndarray, "D 2"]
    offsets: Int64[np.ndarray, "D+1"]

    def document(self, index: int | np.integer) -> UInt16[np.ndarray, "N"]:
        return self.tokens[self.offsets[index] : self.offsets[index + 1]]

    @property
    def lengths(self) -> Int64[np.ndarray, "D"]:
        return np.diff(self.offsets)


def write_tokens(
    folder: Path, source: str, documents: Iterable[Document], screen: Screen, why_dropped: Callable[[np.ndarray], str]
) -> dict[str, Any]:
    """Encode the documents, drop what the screen or `why_dropped` has a reason for, store the rest, return the counts.

    What is dropped is encoded too, as it came: in = kept + dropped holds in tokens.
    """
    counts: dict[str, Any] = {"documents": 0, "tokens": 0, "dropped": {}}
    keys: list[str] = []
    lengths, digests = [0], []
    with flat_npy(folder / "tokens" / f"{source}.npy") as file:
        for document, reason, tokens in _encoded(_judged(documents, screen)):
            if reason := reason or why_dropped(tokens):
                dropped = counts["dropped"].setdefault(reason, {"documents": 0, "tokens": 0})
                dropped["documents"] += 1
                dropped["tokens"] += len(tokens)
                continue
            file.write(tokens.tobytes())
            keys.append(document.key)
            lengths.append(len(tokens))
            digests.append(hashlib.blake2b(tokens.tobytes(), digest_size=16).digest())
    for name, array in (
        ("offsets", np.cumsum(lengths, dtype=np.int64)),
        ("digests", np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)),
    ):
        with written_beside(folder / "tokens" / f"{source}.{name}.npy") as file:
            np.save(file, array)
    write_text(folder / "tokens" / f"{source}.keys.json", json.dumps(keys, ensure_ascii=False))
    counts |= {"documents": len(keys), "tokens": sum(lengths), "filters": screen.effects}
    write_json(folder / "tokens" / f"{source}.json", counts)
    return counts


def read_token_counts(folder: Path, source: str) -> dict[str, Any] | None:
    """Return the counts of a complete store, or None."""
    path = folder / "tokens" / f"{source}.json"
    return read_json(path) if path.exists() else None


def open_tokens(folder: Path, source: str) -> TokenStore:
    """Open the token store of a source, memory-mapped."""
    stem = folder / "tokens" / source
    return TokenStore(
        source,
        read_json(Path(f"{stem}.keys.json")),
        np.load(f"{stem}.npy", mmap_mode="r"),
        np.load(f"{stem}.digests.npy"),
        np.load(f"{stem}.offsets.npy"),
    )


def _judged(documents: Iterable[Document], screen: Screen) -> Iterator[tuple[Document, str]]:
    """Pair each document, as the filters left it, with the reason to drop it, or none."""
    for document in documents:
        judged = screen(document)
        yield (document, judged.reason) if isinstance(judged, Drop) else (judged, "")


def _encoded(judged: Iterable[tuple[Document, str]]) -> Iterator[tuple[Document, str, UInt16[np.ndarray, "N"]]]:
    """Encode in threads (the encoder releases Python's lock), a batch ahead of what is written, in order."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        before: Iterator[tuple[Document, str, np.ndarray]] = iter(())
        judged = iter(judged)
        while batch := list(itertools.islice(judged, BATCH)):
            documents, reasons = zip(*batch, strict=True)
            ahead = zip(documents, reasons, pool.map(encode, [each.text for each in documents]), strict=True)
            yield from before
            before = ahead
        yield from before


@contextlib.contextmanager
def flat_npy(path: Path) -> Iterator[IO[bytes]]:
    """Open an .npy file of uint16 for appending ids; its length enters the header at the end."""
    with written_beside(path) as file:
        _write_header(file, 0)
        start = file.tell()
        yield file
        num_tokens = (file.tell() - start) // 2
        file.seek(0)
        _write_header(file, num_tokens)
        assert file.tell() == start, "NumPy pads headers so that a length may grow in place"


def _write_header(file: IO[bytes], length: int) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": "<u2", "fortran_order": False, "shape": (length,)})
