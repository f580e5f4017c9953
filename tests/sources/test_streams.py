"""Cutting streams of bytes to lines: nothing depends on where a chunk ends."""

from hypothesis import given, settings
from hypothesis import strategies as st

from xgen.sources.streams import lines_of


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=40).map(lambda raw: raw.replace(b"a", b"\n")), st.integers(1, 9), st.integers(1, 50))
def test_lines_do_not_depend_on_where_chunks_end(raw, size, longest):
    chunks = [raw[start : start + size] for start in range(0, len(raw), size)]
    lines = raw.split(b"\n")
    lines = lines if lines[-1] else lines[:-1]
    found = list(lines_of(iter(chunks), longest))
    assert [line.number for line in found] == list(range(1, len(lines) + 1))
    assert [line.num_bytes for line in found] == list(map(len, lines))
    assert [raw[line.offset : line.offset + line.num_bytes] for line in found] == lines
    assert all(line.raw == text for line, text in zip(found, lines, strict=True) if len(text) <= longest)
