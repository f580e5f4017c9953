"""Reading JSONL, Parquet and text, whole and broken: nothing is left out in silence."""

import gzip
import json

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from xgen.core.errors import UserError
from xgen.sources.config import Source
from xgen.sources.files import lines_of, read_files
from xgen.sources.intake import Intake

ROWS = [{"text": "one", "licence": "MIT"}, {"text": "two", "license": "ISC"}, {"text": "drei, früh\u2028"}]
JSONL = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def read(location, strict=False):
    intake = Intake("it", strict)
    documents = list(read_files(Source("it", "files", str(location), "CC0-1.0", 0), intake))
    return documents, dict(intake.skipped), intake.examples


def found(documents):
    return [(document.key, document.text, document.licence) for document in documents]


def expected(name):
    return [(f"{name}:1", "one", "MIT"), (f"{name}:2", "two", "ISC"), (f"{name}:3", "drei, früh\u2028", "CC0-1.0")]


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
    assert skipped == {"empty file": 1, "empty text": 1}


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
    documents, skipped, examples = read(path)
    assert [document.text for document in documents] == ["before", "after"] and skipped == {reason: 1}
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


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.txt.gz", "a.txt.zst"])
def test_a_compressed_file_that_was_cut_short_is_named(tmp_path, name):
    whole = b"".join(b'{"text": "%d"}\n' % number for number in range(50_000))
    packed = gzip.compress(whole) if name.endswith(".gz") else zstandard.compress(whole)
    (tmp_path / name).write_bytes(packed[: len(packed) // 2])
    documents, skipped, examples = read(tmp_path)
    assert skipped.pop("a damaged file") == 1 and str(tmp_path / name) in examples[-1]
    assert [document.text for document in documents] == [str(number) for number in range(len(documents))]
    with pytest.raises(UserError, match="damaged file"):
        read(tmp_path, strict=True)


def test_many_broken_lines_are_all_counted_and_a_few_are_shown(tmp_path, capsys):
    (tmp_path / "a.jsonl").write_bytes(b"{\n" * 40)
    assert read(tmp_path)[1] == {"broken JSON": 40}
    assert capsys.readouterr().out.count("\n") == 4


def test_a_location_that_is_missing_or_empty_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no files"):
        read(tmp_path)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=40).map(lambda raw: raw.replace(b"a", b"\n")), st.integers(1, 9))
def test_lines_do_not_depend_on_where_chunks_end(raw, size):
    chunks = [raw[start : start + size] for start in range(0, len(raw), size)]
    lines = raw.split(b"\n")
    assert list(lines_of(iter(chunks))) == (lines if lines[-1] else lines[:-1])
