"""The content of a file as chunks of bytes, unpacked where it is compressed, and its lines with their offsets."""

import sys
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import zstandard

from xgen.sources.addresses import opened
from xgen.sources.intake import NUM_KEPT_BYTES

CHUNK = 1 << 20
PACKED_CHUNK = 1 << 9
"""Bytes that are unpacked at once: they may become 17 MB, and never a whole file of one repeated byte."""
COMPRESSED = (".gz", ".zst")
DAMAGE = (OSError, EOFError, zlib.error, zstandard.ZstdError)
"""What reading raises where a file is not whole."""


class Line(NamedTuple):
    """A line of a file with its place."""

    number: int
    """Counted from 1."""
    offset: int
    """Of its first byte, in the unpacked content."""
    raw: bytes
    """Without its end; where the line is too long, only its first bytes."""
    num_bytes: int


def chunks_of(place: Path | str, start: int = 0) -> Iterator[bytes]:
    """Yield the content of a file, unpacked where its name ends in .gz or .zst; EOFError where it was cut short.

    All that can be unpacked before a damage is yielded before the error is raised. A file that is not compressed can be
    read from the byte `start` on.
    """
    name = str(place).partition("?")[0] if "://" in str(place) else str(place)
    with opened(str(place)) as file:
        if start:
            file.seek(start)
        blocks = iter(partial(file.read, CHUNK), b"")
        yield from _unpacked(blocks, name.endswith(".gz")) if name.endswith(COMPRESSED) else blocks


def _unpacked(blocks: Iterator[bytes], is_gzip: bool) -> Iterator[bytes]:
    """Unpack frame by frame: zstandard's own file reader takes a file that was cut short for a whole one."""

    def new_frame() -> Any:
        return zlib.decompressobj(wbits=31) if is_gzip else zstandard.ZstdDecompressor().decompressobj()

    frame, is_begun = new_frame(), False
    for block in blocks:
        for start in range(0, len(block), PACKED_CHUNK):
            packed = block[start : start + PACKED_CHUNK]
            while packed:
                if frame.eof:
                    frame, is_begun = new_frame(), False
                if is_gzip and not is_begun and not (packed := packed.lstrip(b"\0")):  # padding between members
                    break
                is_begun = True
                if content := frame.decompress(packed):
                    yield content
                packed = frame.unused_data if frame.eof else b""
    if is_begun and not frame.eof:
        raise EOFError("it ends within a compressed frame")


def lines_of(chunks: Iterator[bytes], longest: int = sys.maxsize) -> Iterator[Line]:
    r"""Cut a stream of bytes at each \n, which is in no line; a line may span any number of chunks.

    Of a line over `longest` bytes only the beginning is kept, so that it never lies in memory.
    """
    number, offset, parts, size = 1, 0, [], 0
    for chunk in chunks:
        ends = chunk.split(b"\n")
        rest = ends.pop()
        if ends and parts:  # of a line that began in an earlier chunk
            parts.append(ends.pop(0))
            size += len(parts[-1])
            yield Line(number, offset, _beginning(parts) if size > longest else b"".join(parts), size)
            number, offset, parts, size = number + 1, offset + size + 1, [], 0
        for raw in ends:
            num_bytes = len(raw)
            yield Line(number, offset, raw if num_bytes <= longest else raw[:NUM_KEPT_BYTES], num_bytes)
            number += 1
            offset += num_bytes + 1
        if rest:
            size += len(rest)
            parts.append(rest)
            if size > longest:
                parts = [_beginning(parts)]
    if size:
        yield Line(number, offset, b"".join(parts), size)


def _beginning(parts: list[bytes]) -> bytes:
    """Return the first bytes of parts, of which none but the last is empty, without joining them all."""
    return b"".join(part[:NUM_KEPT_BYTES] for part in parts[:NUM_KEPT_BYTES])[:NUM_KEPT_BYTES]
