"""Make one piece: read, judge, encode, and write tokens, a table of documents and what was bad; nothing else decides.

    pieces/<number>.tokens             uint16, the documents that stay, one after another without separators
    pieces/<number>.documents.npy      a DOCUMENT for each document that was read, also for one that was dropped
    pieces/<number>.signatures.npy     and .keys.npy, .places.npy: near.Signed of the documents that stay; if asked for
    pieces/<number>.quarantine.jsonl   a record for each piece of bad input; there only if there was some
    pieces/<number>.json               counts, names of codes, size and sha256 of the files; written last

The bytes depend on the piece and its input alone, so it can be made anywhere, twice, or again.
"""

import functools
import hashlib
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xgen.core.errors import UserError
from xgen.core.ledger import counted_beside, entry_of, read_json, write_array, write_json
from xgen.core.types import Document
from xgen.filters.catalog import Screen
from xgen.filters.config import FilterConfig
from xgen.filters.verdict import Drop
from xgen.pieces.plan import Piece, change_of, needs_snapshot, reader_of
from xgen.similarity.near import Signer
from xgen.sources.addresses import File, state_of
from xgen.sources.catalog import read_snapshot
from xgen.sources.config import Source
from xgen.sources.intake import Intake, quarantine
from xgen.tokenizer.encoding import encode

STAYS, TOO_SHORT = "", "under min_document_tokens"
CRASHED = "a piece that killed its worker again and again"
DOCUMENT = np.dtype(
    [
        ("id", "<u8", 2),
        ("digest", "<u8", 2),
        ("length", "<u4"),
        ("bytes", "<u4"),
        ("licence", "<u4"),
        ("language", "<u2"),
        ("fate", "u1"),
    ]
)
"""47 bytes: hashes of its key and of its ids, how many ids, bytes as it was read, and codes that the ledger names."""


@dataclass(frozen=True)
class PieceTask:
    """A piece with all that is needed to make it anywhere."""

    folder: Path
    piece: Piece
    source: Source
    filters: FilterConfig
    min_document_tokens: int
    strict: bool
    signs: bool = False
    """Whether documents that stay are signed, to find near duplicates among them."""


def stem_of(folder: Path, number: int) -> Path:
    return folder / "pieces" / f"{number:06}"


def quarantine_of(folder: Path, number: int) -> Path:
    """Name the file with a record of each piece of bad input; it is there only if there was some."""
    return stem_of(folder, number).with_suffix(".quarantine.jsonl")


def read_ledger(folder: Path, number: int) -> dict[str, Any] | None:
    """Return the ledger of a piece that is complete; one whose files have another size is none."""
    path = stem_of(folder, number).with_suffix(".json")
    if not path.exists():
        return None
    ledger = read_json(path)
    for name, entry in ledger["files"].items():
        file = folder / name
        if not file.is_file() or file.stat().st_size != entry["bytes"]:
            return None
    return ledger


class _Table:
    """The table of documents while a piece is made: columns that grow, and names of codes in the order they came."""

    def __init__(self) -> None:
        self.hashes = bytearray()
        self.lengths, self.sizes = array("I"), array("I")
        self.codes = {name: array("I") for name in ("licence", "language", "fate")}
        self.names: dict[str, dict[str, int]] = {"licence": {}, "language": {}, "fate": {STAYS: 0}}

    def add(self, document: Document, num_bytes: int, tokens: bytes, fate: str) -> None:
        """Add a document, its bytes as it was read, and what became of it."""
        self.hashes += hashlib.blake2b(document.key.encode(), digest_size=16).digest()
        self.hashes += hashlib.blake2b(tokens, digest_size=16).digest()
        self.lengths.append(len(tokens) // 2)
        self.sizes.append(num_bytes)
        for column, name in (("licence", document.licence), ("language", document.language), ("fate", fate)):
            names = self.names[column]
            self.codes[column].append(names.setdefault(name, len(names)))

    def table(self) -> np.ndarray:
        """Return a DOCUMENT for each that was added."""
        table = np.zeros(len(self.lengths), DOCUMENT)
        hashes = np.frombuffer(bytes(self.hashes), "<u8").reshape(-1, 4)
        table["id"], table["digest"], table["length"] = hashes[:, :2], hashes[:, 2:], self.lengths
        table["bytes"] = self.sizes
        for column, codes in self.codes.items():
            table[column] = codes
        return table


def make_piece(task: PieceTask) -> None:
    """Make a piece; UserError where its input is not what was planned, or is broken and the run strict."""
    stem = stem_of(task.folder, task.piece.number)
    screen = _screen(task.source.filters, task.filters)
    before = {name: dict(effect) for name, effect in screen.effects.items()}
    table, num_read, num_bytes = _Table(), 0, 0
    bad, signer = quarantine_of(task.folder, task.piece.number), Signer() if task.signs else None
    with quarantine(bad) as keep, counted_beside(Path(f"{stem}.tokens")) as file:
        intake = Intake(task.source.name, task.strict, keep, tell=lambda line: None)
        for document in _documents(task, intake):
            size = len(document.text) if document.text.isascii() else len(document.text.encode())
            num_read, num_bytes = num_read + 1, num_bytes + size
            judged = screen(document)
            fate = judged.reason if isinstance(judged, Drop) else STAYS
            document = document if isinstance(judged, Drop) else judged
            tokens = encode(document.text)
            fate = fate or (TOO_SHORT if len(tokens) < task.min_document_tokens else STAYS)
            raw = tokens.tobytes()
            table.add(document, size, raw, fate)
            if fate == STAYS:
                file.write(raw)
                if signer is not None:
                    signer.add(document.text)
    documents = table.table()
    assert len(documents) == num_read, f"{task.piece}: {num_read} documents were read, {len(documents)} are told"
    write_array(Path(f"{stem}.documents.npy"), documents)
    paths = [Path(f"{stem}.documents.npy"), *_write_arrays(stem, signer), *([bad] if bad.exists() else [])]
    files = {f"pieces/{stem.name}.tokens": file.entry()} | {f"pieces/{path.name}": entry_of(path) for path in paths}
    effects = {
        name: {kind: count - before[name][kind] for kind, count in effect.items()}
        for name, effect in screen.effects.items()
    }
    write_json(
        stem.with_suffix(".json"), _ledger(task, documents, table, num_bytes, intake, effects) | {"files": files}
    )


def _ledger(
    task: PieceTask, documents: np.ndarray, table: _Table, num_bytes: int, intake: Intake, effects: dict[str, Any]
) -> dict[str, Any]:
    lengths = documents["length"].astype(np.int64)
    fates = {
        name: {"documents": int(np.count_nonzero(marks)), "tokens": int(lengths[marks].sum())}
        for name, code in table.names["fate"].items()
        for marks in (documents["fate"] == code,)
    }
    licences = np.bincount(documents["licence"], minlength=len(table.names["licence"])).tolist()
    return {
        "source": task.source.name,
        "input": str(task.piece),
        "documents": len(documents),
        "bytes": num_bytes,
        "fates": fates,
        "licences": dict(zip(table.names["licence"], licences, strict=True)),
        "languages": list(table.names["language"]),
        "filters": effects,
        "skipped": dict(sorted(intake.skipped.items())),
        "quarantined": dict(sorted(intake.quarantined.items())),
        "examples": intake.examples,
    }


def _write_arrays(stem: Path, signer: Signer | None) -> list[Path]:
    """Write what a signer made."""
    made = {Path(f"{stem}.{name}.npy"): rows for name, rows in signer.arrays().items()} if signer else {}
    for path, rows in made.items():
        write_array(path, rows)
    return list(made)


def set_apart(task: PieceTask) -> None:
    """Complete a piece that cannot be made with nothing but its name, so that the rest goes on; strict refuses."""
    if task.strict:
        raise UserError(
            f"source '{task.source.name}': {task.piece} killed its worker again and again",
            "input that can be read",
            "Repair or remove it, or leave --strict away to count and skip it.",
        )
    stem = stem_of(task.folder, task.piece.number)
    with counted_beside(Path(f"{stem}.tokens")) as file:
        pass
    write_array(Path(f"{stem}.documents.npy"), np.zeros(0, DOCUMENT))
    files = {f"pieces/{stem.name}.tokens": file.entry()}
    bad = quarantine_of(task.folder, task.piece.number)
    with quarantine(bad) as keep:
        keep({"file": str(task.piece), "reason": CRASHED})
    paths = [Path(f"{stem}.documents.npy"), *_write_arrays(stem, Signer() if task.signs else None), bad]
    files |= {f"pieces/{path.name}": entry_of(path) for path in paths}
    intake = Intake(task.source.name, strict=False, tell=lambda line: None)
    intake.skipped = intake.quarantined = Counter({CRASHED: 1})
    intake.examples = [f"{CRASHED}: {task.piece}"]
    effects = {name: {"seen": 0, "dropped": 0, "changed": 0} for name in task.source.filters}
    ledger = _ledger(task, np.zeros(0, DOCUMENT), _Table(), 0, intake, effects)
    write_json(stem.with_suffix(".json"), ledger | {"files": files})


@functools.lru_cache(maxsize=8)
def _screen(names: tuple[str, ...], config: FilterConfig) -> Screen:
    """Make the filters of a source once a process: some read lists that take seconds."""
    return Screen(names, config)


def _documents(task: PieceTask, intake: Intake) -> Iterator[Document]:
    if needs_snapshot(task.source):
        yield from read_snapshot(task.folder, task.source.name)
        return
    for file in task.piece.files:
        _require_as_planned(file, "since the plan was made")
        yield from reader_of(task.source).read_file(task.source, file, intake)
        _require_as_planned(file, "while it was read")


def _require_as_planned(file: File, when: str) -> None:
    """Refuse a file that is not what was planned: what was read of it may be half of one state, half of another."""
    try:
        change = change_of(file, state_of(file.address))
    except FileNotFoundError:
        change = "is gone"
    if change:
        raise UserError(
            f"{file.address} {change} {when}",
            "files that stay as they are until the data are prepared",
            "Restore it and run the same command again, or delete the prepared folder to begin anew.",
        )
