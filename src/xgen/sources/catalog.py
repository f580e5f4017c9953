"""The sources of documents: an entry for each reader, and the snapshot of what no list of files can name again."""

import importlib.resources
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import zstandard

from xgen.core.errors import UserError, suggest
from xgen.core.ledger import read_json, write_json, written_beside
from xgen.core.types import Document
from xgen.sources.config import Source
from xgen.sources.files import FILE_READERS
from xgen.sources.intake import Intake, quarantine
from xgen.sources.machine import read_machine_prose, read_python_code
from xgen.sources.streams import chunks_of, lines_of

Reader = Callable[[Source, Intake], Iterator[Document]]


def _own_corpus(kind: str) -> Reader:
    """Read the documents in sources/corpus/, which the project wrote itself."""

    def read(source: Source, intake: Intake) -> Iterator[Document]:
        folder = importlib.resources.files("xgen.sources") / "corpus" / kind
        for name in sorted(entry.name for entry in folder.iterdir() if entry.name.endswith((".md", ".py"))):
            yield Document(source.name, name, (folder / name).read_text(encoding="utf-8"), source.licence)

    return read


READERS: dict[str, Reader] = {
    **FILE_READERS,
    "python_code": read_python_code,
    "machine_prose": read_machine_prose,
    "own_prose": _own_corpus("prose"),
    "own_code": _own_corpus("code"),
}


def documents_of(source: Source, intake: Intake) -> Iterator[Document]:
    """Yield the documents of a source; refuse an unknown reader, and two documents of one key."""
    if source.reader not in READERS:
        raise UserError(
            f"source '{source.name}' names the reader '{source.reader}'",
            "a reader of sources/catalog.py",
            suggest(source.reader, READERS),
        )
    keys: set[str] = set()
    for document in READERS[source.reader](source, intake):
        assert document.key not in keys, f"two documents of source '{source.name}' have the key '{document.key}'"
        keys.add(document.key)
        yield document


def snapshot_path(folder: Path, source: str) -> Path:
    return folder / "snapshot" / f"{source}.jsonl.zst"


def quarantine_path(folder: Path, source: str) -> Path:
    """Name the file with a record of each piece of bad input; it is there only if there was some."""
    return folder / "snapshot" / f"{source}.quarantine.jsonl"


def write_snapshot(folder: Path, source: Source, strict: bool) -> dict[str, Any]:
    """Write all that a source gives to <folder>/snapshot, and return its counts; written before, only return them.

    What is installed on the machine later never changes a resumed run.
    """
    if (counts := read_snapshot_counts(folder, source)) is not None:
        return counts
    licences, num_bytes = Counter[str](), 0
    with (
        quarantine(quarantine_path(folder, source.name)) as keep,
        written_beside(snapshot_path(folder, source.name)) as file,
        zstandard.ZstdCompressor(level=3, write_checksum=True).stream_writer(file, closefd=False) as packed,
    ):
        intake = Intake(source.name, strict, keep)
        for document in documents_of(source, intake):
            line = {"key": document.key, "licence": document.licence, "text": document.text}
            line |= {name: said for name in ("language", "path") if (said := getattr(document, name))}
            packed.write(orjson.dumps(line) + b"\n")
            licences[document.licence] += 1
            num_bytes += len(document.text.encode())
    counts = {
        "documents": licences.total(),
        "bytes": num_bytes,
        "licences": dict(licences.most_common()),
        "skipped": dict(sorted(intake.skipped.items())),
        "quarantined": dict(sorted(intake.quarantined.items())),
        "examples": intake.examples,
    }
    if not licences:
        raise UserError(
            f"source '{source.name}' gave no document (skipped: {counts['skipped'] or 'none'})",
            "at least one document",
            "Check the source's location and what is there.",
        )
    write_json(folder / "snapshot" / f"{source.name}.json", counts)
    return counts


def read_snapshot_counts(folder: Path, source: Source) -> dict[str, Any] | None:
    """Return the counts of a snapshot that is complete, or None."""
    path = folder / "snapshot" / f"{source.name}.json"
    return read_json(path) if path.exists() else None


def read_snapshot(folder: Path, source: str) -> Iterator[Document]:
    """Yield the documents of a source as they were when the snapshot was made."""
    for line in lines_of(chunks_of(snapshot_path(folder, source))):
        row = orjson.loads(line.raw)
        yield Document(source, row["key"], row["text"], row["licence"], row.get("language", ""), row.get("path", ""))
