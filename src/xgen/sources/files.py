"""Read documents from a file or a folder: JSONL, Parquet or plain text, JSONL and text also under gzip or zstd.

    .jsonl .ndjson .json     one JSON object a line, with the text in `text`
    .parquet                 the text in the column `text`
    anything else            the whole file is one document

A `licence` (or `license`) of a row is stated more precisely than the source's, so it wins. Keys are paths below the
location, with the number of the line or row, so they depend neither on the machine nor on the order of reading.
"""

import gzip
import importlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import zstandard

from xgen.core.errors import UserError
from xgen.core.types import Document
from xgen.sources.config import Source
from xgen.sources.intake import Intake

CHUNK = 1 << 20
LICENCE_FIELDS = ("licence", "license")
JSON_LINES = (".jsonl", ".ndjson", ".json")
COMPRESSED = (".gz", ".zst")
UTF8 = "UTF-8"
WHOLE = "a whole file"


def read_files(source: Source, intake: Intake) -> Iterator[Document]:
    """Yield the documents of every file below `source.location`, in the order of their keys; hidden files are none."""
    location = Path(source.location)
    if not source.location or not location.exists():
        raise UserError(
            f"source '{source.name}' reads '{source.location}', which does not exist",
            "a file or a folder",
            "Set the location of the source.",
        )
    if location.is_file():
        paths = {location.name: location}
    else:
        inside = {path.relative_to(location).as_posix(): path for path in location.rglob("*") if path.is_file()}
        paths = {key: path for key, path in inside.items() if not any(p.startswith(".") for p in key.split("/"))}
    if not paths:
        raise UserError(
            f"source '{source.name}' reads {location}, which holds no files",
            "JSONL, Parquet or text files",
            "Put documents there, or set the location of the source.",
        )
    for key in sorted(paths):
        yield from _read_file(source, intake, key, paths[key])


def _read_file(source: Source, intake: Intake, key: str, path: Path) -> Iterator[Document]:
    if path.stat().st_size == 0:
        intake.skip("empty file")
        return
    suffixes = [suffix for suffix in path.suffixes if suffix not in COMPRESSED]
    kind = suffixes[-1] if suffixes else ""
    if kind == ".parquet":
        yield from _read_parquet(source, intake, key, path)
    elif kind in JSON_LINES:
        yield from _read_json_lines(source, intake, key, path)
    else:
        yield from _read_text(source, intake, key, path)


def _read_text(source: Source, intake: Intake, key: str, path: Path) -> Iterator[Document]:
    try:
        text = b"".join(chunks_of(path)).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        intake.bad("invalid UTF-8", f"{path}, byte {error.start}", UTF8)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        intake.bad("a damaged file", f"{path} ({error})", WHOLE)
    else:
        if text.strip():
            yield Document(source.name, key, text, source.licence)
        else:
            intake.skip("empty text")


def _read_json_lines(source: Source, intake: Intake, key: str, path: Path) -> Iterator[Document]:
    number = 0
    try:
        for number, line in enumerate(lines_of(chunks_of(path)), start=1):
            if not line.strip():
                intake.skip("blank line")
                continue
            where = f"{path}, line {number}"
            try:
                row = orjson.loads(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
            except orjson.JSONDecodeError as error:
                if _is_utf8(line):
                    intake.bad("broken JSON", f"{where} ({error})", "one JSON object a line")
                else:
                    intake.bad("invalid UTF-8", where, UTF8)
                continue
            yield from _document_of(source, intake, f"{key}:{number}", where, row)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        intake.bad("a damaged file", f"{path}, after line {number} ({error})", WHOLE)


def _read_parquet(source: Source, intake: Intake, key: str, path: Path) -> Iterator[Document]:
    try:
        arrow = importlib.import_module("pyarrow")
        parquet = importlib.import_module("pyarrow.parquet")
    except ModuleNotFoundError:
        raise UserError(
            f"{path} is a Parquet file, and pyarrow is not installed",
            "the extra that reads Parquet",
            "Install it with: pip install 'xgen[data]'",
        ) from None
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            columns = [name for name in ("text", *LICENCE_FIELDS) if name in file.schema_arrow.names]
            if "text" not in columns:
                intake.bad("no column `text`", str(path), f"one beside {file.schema_arrow.names[:8]}")
                return
            for batch in file.iter_batches(batch_size=1024, columns=columns):
                for row in batch.to_pylist():
                    number += 1
                    yield from _document_of(source, intake, f"{key}:{number}", f"{path}, row {number}", row)
    except UnicodeDecodeError:
        intake.bad("invalid UTF-8", f"{path}, after row {number}", UTF8)
    except (OSError, arrow.ArrowException) as error:
        intake.bad("a damaged file", f"{path}, after row {number} ({error})", WHOLE)


def _document_of(source: Source, intake: Intake, key: str, where: str, row: Any) -> Iterator[Document]:
    """Yield the document of one row, or none, counted."""
    if not isinstance(row, dict):
        intake.bad("JSON that is not an object", where, "an object with the field `text`")
    elif row.get("text") is None:
        intake.bad("no field `text`", where, f"one beside {sorted(row)[:8]}")
    elif not isinstance(row["text"], str):
        intake.bad(f"a `text` of type {type(row['text']).__name__}", where, "a string")
    elif not row["text"].strip():
        intake.skip("empty text")
    else:
        licence = next((row[name] for name in LICENCE_FIELDS if row.get(name) is not None), source.licence)
        if isinstance(licence, str):
            yield Document(source.name, key, row["text"], licence)
        else:
            intake.bad(f"a licence of type {type(licence).__name__}", where, "a string")


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def chunks_of(path: Path) -> Iterator[bytes]:
    """Yield the content of a file, unpacked where its name ends in .gz or .zst; EOFError where it was cut short."""
    if path.suffix == ".zst":
        yield from _zstd_chunks(path)
        return
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _zstd_chunks(path: Path) -> Iterator[bytes]:
    """Unpack frame by frame: zstandard's own file reader takes a file that was cut short for a whole one."""
    frame = zstandard.ZstdDecompressor().decompressobj()
    with path.open("rb") as file:
        while packed := file.read(CHUNK):
            while packed:
                if frame.eof:
                    frame = zstandard.ZstdDecompressor().decompressobj()
                yield frame.decompress(packed)
                packed = frame.unused_data if frame.eof else b""
    if not frame.eof:
        raise EOFError("the last zstd frame is not complete")


def lines_of(chunks: Iterator[bytes]) -> Iterator[bytes]:
    r"""Cut a stream of bytes at each \n, which is in no line; a line may span any number of chunks."""
    parts: list[bytes] = []
    for chunk in chunks:
        first, *rest = chunk.split(b"\n")
        parts.append(first)
        if rest:
            yield b"".join(parts)
            yield from rest[:-1]
            parts = [rest[-1]]
    if last := b"".join(parts):
        yield last
