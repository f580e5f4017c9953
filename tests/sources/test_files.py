"""Reading JSONL, Parquet and text, whole and broken: nothing is left out in silence."""

import contextlib
import dataclasses
import gzip
import itertools
import json
import os
import tracemalloc
import zlib

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from xgen.core.errors import UserError
from xgen.sources import texts
from xgen.sources.addresses import list_files, state_of
from xgen.sources.config import Source
from xgen.sources.files import read_files
from xgen.sources.intake import Intake

ROWS = [{"text": "one", "licence": "MIT"}, {"text": "two", "license": "ISC"}, {"text": "drei, früh\u2028"}]
JSONL = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def read(location, strict=False, kept=None):
    intake = Intake("it", strict, keep=None if kept is None else kept.append)
    documents = list(read_files(Source("it", "files", str(location), "CC0-1.0", 0), intake))
    return documents, dict(intake.skipped), intake.examples


def found(documents):
    return [(document.key, document.text, document.licence) for document in documents]


def expected(name):
    """Lines are called by their offsets, rows of Parquet by their numbers."""
    ends = [0, *itertools.accumulate(len(line) + 1 for line in JSONL.splitlines())]
    where = [":1", ":2", ":3"] if name.endswith(".parquet") else [f"@{end}" for end in ends]
    texts_ = [("one", "MIT"), ("two", "ISC"), ("drei, früh\u2028", "CC0-1.0")]
    return [(name + place, *text) for place, text in zip(where, texts_, strict=False)]


def test_a_row_states_its_licence_and_the_source_states_it_for_the_rest(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(JSONL)
    documents, skipped, _ = read(tmp_path / "a.jsonl")
    assert found(documents) == expected("a.jsonl") and skipped == {}


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_compressed_files_read_as_what_they_hold(tmp_path, name):
    pack = gzip.compress if name.endswith(".gz") else zstandard.compress
    (tmp_path / name).write_bytes(pack(JSONL[:30]) + pack(JSONL[30:]))  # two members, as after `cat a.gz b.gz`
    documents, skipped, _ = read(tmp_path)
    assert found(documents) == expected(name) and skipped == {}


def test_parquet_reads_like_the_same_rows_in_jsonl(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(
        pyarrow.table(
            {"text": [row["text"] for row in ROWS] + [None], "id": [1, 2, 3, 4], "license": ["MIT", "ISC", None, None]}
        ),
        tmp_path / "a.parquet",
    )
    documents, skipped, examples = read(tmp_path)
    assert found(documents) == expected("a.parquet") and skipped == {"no field `text`": 1}
    assert examples == [f"no field `text` in {tmp_path / 'a.parquet'}, row 4"]


def test_parquet_without_the_column_is_named(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"content": ["x"]}), tmp_path / "a.parquet")
    assert read(tmp_path)[1:] == ({"no column `text`": 1}, [f"no column `text` in {tmp_path / 'a.parquet'}"])
    (tmp_path / "a.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-9])
    assert read(tmp_path)[1] == {"a damaged file": 1}


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"xgen\[data\]"):
        read(tmp_path)


def test_text_files_are_documents_and_hidden_files_are_none(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.py").write_bytes(b"\xef\xbb\xbfpass\r\n")
    (tmp_path / "a.md").write_text("# A")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("secret")
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "blank.txt").write_bytes(b" \n")
    documents, skipped, _ = read(tmp_path)
    assert found(documents) == [("a.md", "# A", "CC0-1.0"), ("b/x.py", "pass\r\n", "CC0-1.0")]
    assert skipped == {"an empty file": 1, "empty text": 1}


BROKEN = {
    b'{"text": "cut': ("broken JSON", "one JSON object a line"),
    b'{"text": "\xff"}': ("invalid UTF-8", "UTF-8"),
    b'{"content": "x"}': ("no field `text`", r"one beside \['content'\]"),
    b'{"text": null}': ("no field `text`", "one beside"),
    b'{"text": 3}': ("a `text` of type int", "a string"),
    b'["text"]': ("JSON that is not an object", "an object"),
    b'{"text": NaN}': ("broken JSON", "one JSON object"),
    b'{"text": "\\ud800"}': ("broken JSON", "one JSON object"),
    b'{"text": "x", "licence": 3}': ("a licence of type int", "a string"),
}


@pytest.mark.parametrize("line", BROKEN)
def test_a_broken_line_is_counted_with_file_and_line_and_fatal_when_strict(tmp_path, line, capsys):
    path, (reason, wanted) = tmp_path / "a.jsonl", BROKEN[line]
    path.write_bytes(b'{"text": "before"}\n' + line + b'\n{"text": "after"}')
    kept = []
    documents, skipped, examples = read(path, kept=kept)
    assert [document.text for document in documents] == ["before", "after"] and skipped == {reason: 1}
    (record,) = kept
    at = line.index(b"\xff") if reason == "invalid UTF-8" else 0
    assert (record["file"], record["line"], record["offset"], record["reason"]) == (str(path), 2, 19 + at, reason)
    assert record["begin"] == line.decode("utf-8", "backslashreplace")
    assert examples[0].startswith(f"{reason} in {path}, line 2")
    assert f"{reason} in {path}, line 2" in capsys.readouterr().out
    with pytest.raises(UserError, match=f"{reason} in .*a.jsonl, line 2.*; expected {wanted}"):
        read(path, strict=True)


def test_blank_lines_and_empty_texts_are_counted_and_never_fatal(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'\n{"text": ""}\n{"text": "x"}\n')
    documents, skipped, _ = read(tmp_path, strict=True)
    assert len(documents) == 1 and skipped == {"blank line": 1, "empty text": 1}


def test_a_text_that_is_not_utf_8_is_named_with_its_byte(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    assert read(tmp_path)[1:] == ({"invalid UTF-8": 1}, [f"invalid UTF-8 in {tmp_path / 'a.txt'}, byte 3"])
    with pytest.raises(UserError, match="expected UTF-8"):
        read(tmp_path, strict=True)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_of_a_compressed_file_that_was_cut_short_all_that_can_be_unpacked_is_read(tmp_path, name):
    lines = [b'{"text": "%d"}\n' % number for number in range(10_000)]
    if name.endswith(".gz"):
        packed = gzip.compress(b"".join(lines))
        packed = packed[: len(packed) // 2]
        unpacked = zlib.decompressobj(wbits=31).decompress(packed)
    else:
        packed = zstandard.compress(b"".join(lines[:6_000])) + zstandard.compress(b"".join(lines[6_000:]))[:-9]
        unpacked = b"".join(lines[:6_000])
    (tmp_path / name).write_bytes(packed)
    kept = []
    documents, skipped, examples = read(tmp_path, kept=kept)
    assert skipped == {"a damaged file": 1} and str(tmp_path / name) in examples[-1]
    num_whole = unpacked.count(b"\n")
    assert num_whole > 2_000 and len(documents) >= num_whole
    assert [document.text for document in documents] == [str(number) for number in range(len(documents))]
    assert kept[0]["line"] == len(documents) + 1
    assert kept[0]["offset"] == sum(map(len, lines[: len(documents)]))
    with pytest.raises(UserError, match="damaged file"):
        read(tmp_path, strict=True)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_text_that_was_cut_short_is_no_document(tmp_path, pack):
    path = tmp_path / ("a.txt.gz" if pack is gzip.compress else "a.txt.zst")
    path.write_bytes(pack(b"".join(b"%d " % number for number in range(50_000)))[:-20])
    documents, skipped, examples = read(tmp_path)
    assert (documents, skipped) == ([], {"a damaged file": 1}) and str(path) in examples[0]


def test_padding_after_a_gzip_member_is_no_damage(tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(JSONL[:30]) + bytes(700) + gzip.compress(JSONL[30:]) + bytes(9))
    documents, skipped, _ = read(tmp_path)
    assert found(documents) == expected("a.jsonl.gz") and skipped == {}


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.zst"])
def test_a_line_of_200_mb_is_named_and_read_past_without_being_held(tmp_path, name):
    with contextlib.ExitStack() as stack:
        file = stack.enter_context((tmp_path / name).open("wb"))
        if name.endswith(".zst"):  # one frame of 20 KB
            file = stack.enter_context(zstandard.ZstdCompressor().stream_writer(file))
        file.write(b'{"text": "before"}\n{"text": "')
        for _ in range(200):
            file.write(b"x" * 1_000_000)
        file.write(b'"}\n{"text": "after"}\n')
    kept = []
    tracemalloc.start()
    documents, skipped, _ = read(tmp_path, kept=kept)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [document.text for document in documents] == ["before", "after"]
    assert skipped == {"a line over 67,108,864 bytes": 1} and peak < 160e6
    assert (kept[0]["line"], kept[0]["offset"], kept[0]["detail"]) == (2, 19, "200,000,012 bytes")
    assert kept[0]["begin"] == '{"text": "' + "x" * 190


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet", "a.txt", "a.jsonl.gz", "a.txt.zst"])
def test_an_empty_file_is_bad_input(tmp_path, name):
    pack = {"gz": gzip.compress, "zst": zstandard.compress}.get(name.rpartition(".")[2], bytes)
    (tmp_path / name).write_bytes(pack(b""))
    assert read(tmp_path)[1:] == ({"an empty file": 1}, [f"an empty file in {tmp_path / name}, byte 0"])
    with pytest.raises(UserError, match="an empty file"):
        read(tmp_path, strict=True)


def test_a_text_over_the_limit_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(texts, "LONGEST_LINE", 10)
    (tmp_path / "a.txt").write_bytes(b"x" * 11)
    (tmp_path / "b.txt").write_bytes(b"x" * 10)
    documents, skipped, _ = read(tmp_path)
    assert [document.key for document in documents] == ["b.txt"] and skipped == {"a text over 10 bytes": 1}


def test_one_bad_byte_in_parquet_costs_one_row(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    texts_ = pyarrow.array([b"one", b"tw\xff", b"three"], pyarrow.binary()).view(pyarrow.utf8())
    parquet.write_table(pyarrow.table({"text": texts_}), tmp_path / "a.parquet")
    kept = []
    documents, skipped, _ = read(tmp_path, kept=kept)
    assert [(document.key, document.text) for document in documents] == [
        ("a.parquet:1", "one"),
        ("a.parquet:3", "three"),
    ]
    assert skipped == {"invalid UTF-8": 1}
    assert (kept[0]["line"], kept[0]["unit"], kept[0]["begin"]) == (2, "row", r"tw\xff")


def test_a_damaged_row_group_costs_no_other_row_group(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    table = pyarrow.table({"text": [f"text {number} " * 20 for number in range(300)]})
    parquet.write_table(table, path, row_group_size=100, compression="zstd")
    column = parquet.ParquetFile(path).metadata.row_group(1).column(0)
    start = column.dictionary_page_offset or column.data_page_offset
    raw = bytearray(path.read_bytes())
    raw[start : start + column.total_compressed_size] = bytes(column.total_compressed_size)
    path.write_bytes(raw)
    documents, skipped, examples = read(tmp_path)
    assert [document.key for document in documents] == [f"a.parquet:{n}" for n in (*range(1, 101), *range(201, 301))]
    assert skipped == {"a damaged file": 1} and "row 101 (row group 1: " in examples[0]


def test_many_broken_lines_are_all_counted_and_a_few_are_shown(tmp_path, capsys):
    (tmp_path / "a.jsonl").write_bytes(b"{\n" * 40)
    assert read(tmp_path)[1] == {"broken JSON": 40}
    assert capsys.readouterr().out.count("\n") == 4


def test_a_location_that_is_missing_or_empty_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no files"):
        read(tmp_path)


def in_parts(location, cuts, kept=None):
    """Read a file in parts that end at `cuts`, each as another process would."""
    source = Source("it", "files", str(location), "CC0-1.0", 0)
    (file,) = list_files(source)
    intake = Intake("it", strict=False, keep=None if kept is None else kept.append)
    parts = [dataclasses.replace(file, start=a, stop=b) for a, b in itertools.pairwise([0, *cuts])]
    documents = [each for part in parts for each in read_files.read_file(source, part, intake)]
    return documents, dict(intake.skipped)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.sampled_from([b"", b'{"text": "a"}', b'{"text": "bb", "licence": "MIT"}', b"{bro\xffken", b"[]"]), max_size=9
    ),
    st.booleans(),
    st.data(),
)
def test_a_file_read_in_parts_gives_the_documents_and_faults_of_the_whole(tmp_path_factory, lines, has_end, data):
    path = tmp_path_factory.getbasetemp() / "a.jsonl"
    path.write_bytes(b"\n".join(lines) + (b"\n" if has_end else b""))
    size = path.stat().st_size
    if size < 2:
        return
    cuts = sorted(data.draw(st.lists(st.integers(1, size - 1), max_size=4, unique=True)))
    whole, of_parts = [], []
    documents, skipped, _ = read(path, kept=whole)
    assert in_parts(path, [*cuts, size], of_parts) == (documents, skipped)
    assert of_parts == whole  # with the numbers of lines in the file, not in the part


def test_row_groups_read_in_parts_are_the_rows_of_the_whole(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"text": [f"text {number}" if number != 7 else None for number in range(20)]})
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=3)
    whole, of_parts = [], []
    documents, skipped, _ = read(tmp_path, kept=whole)
    assert in_parts(tmp_path, [2, 3, 7], of_parts) == (documents, skipped) and len(documents) == 19
    assert of_parts == whole and whole[0]["line"] == 8


def test_a_file_says_by_its_mark_that_it_was_written_again(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(JSONL)
    (before,) = list_files(Source("it", "files", str(path), "CC0-1.0", 0))
    assert (before.num_bytes, before.mark) == state_of(str(path))
    os.utime(path, ns=(1, 1))
    assert state_of(str(path)) == (before.num_bytes, "1")
