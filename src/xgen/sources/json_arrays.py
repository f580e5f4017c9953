"""The objects of a JSON file that is one array, as many data sets are published: one at a time, never the whole file.

What is not whole, or no object, is named and left out; the rest of the array is read.
"""

import itertools
import re
from collections.abc import Iterator

import orjson

from xgen.sources.addresses import File
from xgen.sources.intake import Intake, Place
from xgen.sources.rows import LONGEST_LINE, WHOLE, Row, read_json_lines
from xgen.sources.streams import DAMAGE, chunks_of

MARKS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[][{}"]', re.DOTALL)
"""A whole string, so that no bracket in one counts; a bracket; or the beginning of a string that is not whole yet."""
BOM = b"\xef\xbb\xbf"


def read_json(file: File, intake: Intake) -> Iterator[Row]:
    """Yield the objects of a file of JSON lines, or of one array."""
    try:
        begins = next((chunk for chunk in chunks_of(file.address) if chunk.removeprefix(BOM).strip()), b"")
    except DAMAGE:  # told by whoever reads it
        begins = b""
    is_array = begins.removeprefix(BOM).lstrip().startswith(b"[")
    return read_json_array(file, intake) if is_array else read_json_lines(file, intake)


def read_json_array(file: File, intake: Intake) -> Iterator[Row]:
    """Yield the objects of an array, numbered from 1."""
    number = 0
    try:
        for number, raw in enumerate(_elements(chunks_of(file.address)), start=1):
            place = Place(file.address, number, unit="row")
            try:
                fields = orjson.loads(raw)
            except orjson.JSONDecodeError as error:
                intake.bad("broken JSON", place, "an array of JSON objects", raw, str(error))
                continue
            if isinstance(fields, dict):
                yield Row(file, number, None, fields, raw)
            else:
                intake.bad("JSON that is not an object", place, "an array of objects", raw)
    except DAMAGE as error:
        intake.bad("a damaged file", Place(file.address, number + 1, unit="row"), WHOLE, detail=str(error))


def _elements(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Cut an array into its elements by its brackets; EOFError where it does not end."""
    buffer, at, start, depth = b"", 0, 0, 0
    for chunk in itertools.chain(chunks, [b""]):
        buffer, at, start = buffer[start:] + chunk, at - start, 0
        for mark in MARKS.finditer(buffer, at):
            kind = mark[0]
            if kind == b'"':  # not whole yet
                break
            at = mark.end()
            if kind in (b"{", b"["):
                depth += 1
                start = at if depth == 1 else start
            elif kind in (b"}", b"]"):
                depth -= 1
                if depth <= 1:
                    raw = buffer[start:at].strip(b", \t\r\n")
                    start = at
                    if depth == 1 or raw != b"]":
                        yield raw.removesuffix(b"]") if depth == 0 else raw
                    if depth == 0:
                        return
        if len(buffer) - start > LONGEST_LINE:
            raise EOFError(f"an element over {LONGEST_LINE:,} bytes")
    raise EOFError("the array does not end")
