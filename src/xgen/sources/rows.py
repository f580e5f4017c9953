"""The rows of JSON lines and of Parquet files as objects with their places; what is no row is named and left out."""

import functools
import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import orjson

from xgen.core.errors import UserError
from xgen.sources.addresses import File, opened
from xgen.sources.intake import Intake, Place
from xgen.sources.streams import COMPRESSED, DAMAGE, Line, chunks_of, lines_of

LONGEST_LINE = 64 << 20
"""Bytes of a line, or of a text file; what is longer is no document, and is read past without being held."""
JSON_LINES = ("jsonl", "ndjson", "json")
UTF8 = "UTF-8"
WHOLE = "a whole file"


class Row(NamedTuple):
    """An object of a file with its place, which is made only for one that is bad."""

    file: File
    number: int
    """Of the row in a Parquet file; of the line in the part of the file that is read."""
    offset: int | None
    fields: dict[str, Any]
    raw: bytes
    """The line, or nothing for a row of a Parquet file."""

    @property
    def key(self) -> str:
        """Where the row is in its file, however that was cut: "@" and the offset of a line, ":" and a row's number."""
        return f":{self.number}" if self.offset is None else f"@{self.offset}"

    def place(self) -> Place:
        if self.offset is None:
            return Place(self.file.address, self.number, None, "row")
        return _place(self.file, self.number, self.offset)


def kind_of(file: File) -> str:
    """Return the ending that says how a file is read, in small letters and without that of its compression."""
    name = file.key.rpartition("/")[2].lower()
    for ending in COMPRESSED:
        name = name.removesuffix(ending)
    return name.rpartition(".")[2] if "." in name else ""


@functools.lru_cache(maxsize=64)
def lines_before(file: File) -> int:
    """Count the lines before the first of the part that is read; only asked for where something is wrong with one."""
    if not file.start:
        return 0
    left, count = file.start - 1, 1  # the line that ends with, or around, the byte before the part
    for chunk in chunks_of(file.address):
        count += chunk.count(b"\n", 0, left)
        left -= len(chunk)
        if left <= 0:
            break
    return count


def read_json_lines(file: File, intake: Intake) -> Iterator[Row]:
    """Yield the objects of a file with one on each line, of a part of it those whose line begins there."""
    number, end = 0, file.start
    try:
        for number, offset, raw, num_bytes in _lines_in(file):
            end = offset + num_bytes + 1
            if num_bytes > LONGEST_LINE:
                reason = f"a line over {LONGEST_LINE:,} bytes"
                intake.bad(reason, _place(file, number, offset), "one document a line", raw, f"{num_bytes:,} bytes")
            elif not raw.strip():
                intake.skip("blank line")
            elif (fields := _object(raw, file, number, offset, intake)) is not None:
                yield Row(file, number, offset, fields, raw)
    except DAMAGE as error:
        intake.bad("a damaged file", _place(file, number + 1, end), WHOLE, detail=str(error))
    else:
        if number == 0 and file.start == 0:
            intake.bad("an empty file", Place(file.address, offset=0), "one JSON object a line")


def _lines_in(file: File) -> Iterator[Line]:
    """Yield the lines that begin in the part of a file that is read: numbers are of the part, offsets of the file.

    One byte before the part tells whether a line begins with it.
    """
    before = max(0, file.start - 1)
    lines = lines_of(chunks_of(file.address, before), LONGEST_LINE)
    if file.start:
        next(lines, None)
    for number, (_, offset, raw, num_bytes) in enumerate(lines, 1):
        if file.stop is not None and before + offset >= file.stop:
            return
        yield Line(number, before + offset, raw, num_bytes)


def _place(file: File, number: int, offset: int) -> Place:
    return Place(file.address, lines_before(file) + number, offset)


def _object(raw: bytes, file: File, number: int, offset: int, intake: Intake) -> dict[str, Any] | None:
    try:
        fields = orjson.loads(raw.removeprefix(b"\xef\xbb\xbf") if offset == 0 else raw)
    except orjson.JSONDecodeError as error:
        at = _first_bad_byte(raw)
        if at is None:
            intake.bad("broken JSON", _place(file, number, offset), "one JSON object a line", raw, str(error))
        else:
            intake.bad("invalid UTF-8", _place(file, number, offset + at), UTF8, raw)
        return None
    if isinstance(fields, dict):
        return fields
    intake.bad("JSON that is not an object", _place(file, number, offset), "an object with a field for the text", raw)
    return None


def _first_bad_byte(raw: bytes) -> int | None:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return None


def read_parquet(file: File, intake: Intake, text: str, columns: tuple[str, ...]) -> Iterator[Row]:
    """Yield the rows of a Parquet file with the column `text` and those of `columns` that it has.

    A row group that cannot be unpacked is left out, and the next one is read.
    """
    arrow, parquet = _arrow(file)
    number = 0
    try:
        with opened(file.address) as stream, parquet.ParquetFile(stream) as table:
            names = [name for name in (text, *columns) if name in table.schema_arrow.names]
            if text not in names:
                found = f"one beside {table.schema_arrow.names[:8]}"
                intake.bad(f"no column `{text}`", Place(file.address), found)
                return
            for group in range(table.num_row_groups if file.stop is None else file.stop):
                first, number = number, number + table.metadata.row_group(group).num_rows
                if group < file.start:
                    continue
                try:
                    for batch in table.iter_batches(batch_size=1024, row_groups=[group], columns=names):
                        yield from _rows(batch, file, first, text, intake)
                        first += batch.num_rows
                except (OSError, arrow.ArrowException) as error:
                    place = Place(file.address, first + 1, unit="row")
                    intake.bad("a damaged file", place, WHOLE, detail=f"row group {group}: {error}")
            if table.num_row_groups == 0:
                intake.bad("an empty file", Place(file.address, offset=0), "rows")
    except (OSError, arrow.ArrowException) as error:
        intake.bad("a damaged file", Place(file.address, number + 1, unit="row"), WHOLE, detail=str(error))


def _arrow(file: File) -> tuple[ModuleType, ModuleType]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ModuleNotFoundError:
        raise UserError(
            f"{file.address} is a Parquet file, and pyarrow is not installed",
            "the extra that reads Parquet",
            "Install it with: pip install 'xgen[data]'",
        ) from None


def row_group_bytes(file: File) -> list[int]:
    """Return the size of each row group of a Parquet file, or none where it is damaged: who reads it will say so."""
    arrow, parquet = _arrow(file)
    try:
        with opened(file.address) as stream, parquet.ParquetFile(stream) as table:
            return [table.metadata.row_group(group).total_byte_size for group in range(table.num_row_groups)]
    except (OSError, arrow.ArrowException):
        return []


def _rows(batch: Any, file: File, first: int, text: str, intake: Intake) -> Iterator[Row]:
    """Turn a batch to objects; one bad byte makes Arrow refuse all of it, so then each row is tried alone."""
    try:
        found = batch.to_pylist()
    except UnicodeDecodeError:
        found = [_alone(batch.slice(index, 1)) for index in range(batch.num_rows)]
    for index, fields in enumerate(found):
        if fields is not None:
            yield Row(file, first + index + 1, None, fields, b"")
        else:
            raw = batch.column(text).cast("binary")[index].as_py()
            intake.bad("invalid UTF-8", Place(file.address, first + index + 1, unit="row"), UTF8, raw or b"")


def _alone(batch: Any) -> dict[str, Any] | None:
    try:
        return batch.to_pylist()[0]
    except UnicodeDecodeError:
        return None
