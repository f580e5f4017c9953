"""Readers of files, each in two halves: the list of a source's files, sorted by key, and the documents of one file.

    .jsonl .ndjson .json     one JSON object a line; also under .gz or .zst
    .parquet                 the same, with columns for fields
    anything else            one document a file, or none, as the layout says; also under .gz or .zst

Keys are paths below the location, with the offset of the line or the number of the row, so they depend neither on the
machine nor on the order of reading, nor on the parts that a file is cut into.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from xgen.core.types import Document
from xgen.sources.addresses import File, list_files
from xgen.sources.config import Source
from xgen.sources.intake import Intake, Place
from xgen.sources.layouts import LAYOUTS, BadRow, Layout
from xgen.sources.rows import JSON_LINES, Row, kind_of, read_json_lines, read_parquet
from xgen.sources.source_tree import list_code, read_code
from xgen.sources.texts import read_text


@dataclass(frozen=True)
class FileReader:
    """A reader whose files can be read in any order and by any process."""

    list_files: Callable[[Source], list[File]]
    read_file: Callable[[Source, File, Intake], Iterator[Document]]
    reads_rows: bool = True
    """Whether JSON lines and Parquet are rows to it, so that a part of such a file can be read."""

    def __call__(self, source: Source, intake: Intake) -> Iterator[Document]:
        for file in self.list_files(source):
            yield from self.read_file(source, file, intake)


def read_rows(layout: Layout, source: Source, file: File, intake: Intake) -> Iterator[Document]:
    """Yield the documents of one file in a layout of rows."""
    kind = kind_of(file)
    if file.num_bytes == 0:
        intake.bad("an empty file", Place(file.address, offset=0), "documents")
    elif kind == "parquet" or kind in JSON_LINES:
        is_parquet = kind == "parquet"
        rows = read_parquet(file, intake, layout.text, layout.others) if is_parquet else read_json_lines(file, intake)
        for row in rows:
            if (document := _document_of(layout, source, row, intake)) is not None:
                yield document
    elif not layout.takes_text_files:
        intake.skip("a file that is neither JSON lines nor Parquet")
    elif text := read_text(file, intake):
        yield Document(source.name, file.key, text, file.licence)


def _document_of(layout: Layout, source: Source, row: Row, intake: Intake) -> Document | None:
    """Return the document of one row, or none, counted."""
    text = row.fields.get(layout.text)
    if text is None:
        intake.bad(f"no field `{layout.text}`", row.place(), f"one beside {sorted(row.fields)[:8]}", row.raw)
    elif not isinstance(text, str):
        intake.bad(f"a `{layout.text}` of type {type(text).__name__}", row.place(), "a string", row.raw)
    elif not text.strip():
        intake.skip("empty text")
    else:
        try:
            about = layout.about(source, row.file, row.fields)
        except BadRow as fault:
            intake.bad(fault.reason, row.place(), fault.expected, row.raw)
        else:
            return Document(source.name, f"{row.file.key}{row.key}", text, about.licence, about.language, about.path)
    return None


FILE_READERS = {name: FileReader(list_files, partial(read_rows, layout)) for name, layout in LAYOUTS.items()}
FILE_READERS["source_tree"] = FileReader(list_code, read_code, reads_rows=False)
read_files = FILE_READERS["files"]
