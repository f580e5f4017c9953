"""Files that are one JSON array: each element once, as the whole file gives it, and nothing lost beside damage."""

import gzip
import json
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xgen.sources import json_arrays
from xgen.sources.addresses import list_files
from xgen.sources.config import Source
from xgen.sources.intake import Intake
from xgen.sources.json_arrays import _elements, read_json

scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.text(st.sampled_from('{}[]",\\:\n a\u00e9'), max_size=9)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner))
objects = st.dictionaries(st.text(max_size=4), values, max_size=4)


def read(path: Path, strict: bool = False) -> tuple[list[tuple[int, dict]], Intake]:
    (file,) = list_files(Source("it", "files", str(path), "MIT", 0))
    intake = Intake("it", strict)
    return [(row.number, row.fields) for row in read_json(file, intake)], intake


@settings(deadline=None, max_examples=200)
@given(st.lists(objects, max_size=5), st.sampled_from([None, 1, "\t"]), st.integers(1, 40))
def test_the_elements_are_those_of_the_whole_file_wherever_it_is_cut(
    rows: list[dict], indent: int | str | None, size: int
) -> None:
    raw = json.dumps(rows, indent=indent, ensure_ascii=False).encode("utf-8", "surrogatepass")
    chunks = (raw[start : start + size] for start in range(0, len(raw), size))
    assert [orjson.loads(element) for element in _elements(chunks)] == [orjson.loads(orjson.dumps(row)) for row in rows]


@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b" \n\n"])
def test_an_array_and_json_lines_are_told_apart(tmp_path: Path, name: str, start: bytes) -> None:
    pack = gzip.compress if name.endswith(".gz") else bytes
    (tmp_path / name).write_bytes(pack(start + b'[{"a": 1},\n {"a": 2}]\n'))
    assert read(tmp_path / name)[0] == [(1, {"a": 1}), (2, {"a": 2})]
    (tmp_path / name).write_bytes(pack(b'{"a": [1]}\n{"a": [2]}\n'))
    assert read(tmp_path / name)[0] == [(1, {"a": [1]}), (2, {"a": [2]})]


@pytest.mark.parametrize(
    "raw, kept, skipped",
    [
        (b'[{"a": 1}, {"a": }, {"a": 3}]', [1, 3], {"broken JSON": 1}),
        (b'[{"a": 1}, [2], {"a": 3}]', [1, 3], {"JSON that is not an object": 1}),
        (b'[{"a": 1}, {"a": 2}, {"a": 3', [1, 2], {"a damaged file": 1}),
        (b'[{"a": 1}, {"a": "2', [1], {"a damaged file": 1}),
        (b"[]", [], {}),
        (b"[1]", [], {"JSON that is not an object": 1}),
    ],
)
def test_what_is_broken_is_counted_and_the_rest_is_read(
    tmp_path: Path, raw: bytes, kept: list[int], skipped: dict[str, int]
) -> None:
    (tmp_path / "a.json").write_bytes(raw)
    found, intake = read(tmp_path / "a.json")
    assert [fields["a"] for _, fields in found] == kept
    assert intake.skipped == skipped


def test_an_element_that_never_ends_is_not_held_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_arrays, "LONGEST_LINE", 1 << 20)
    (tmp_path / "a.json").write_bytes(b'[{"a": 1}, {"a": "' + b"x" * (4 << 20) + b'"}]')
    found, intake = read(tmp_path / "a.json")
    assert [number for number, _ in found] == [1]
    assert intake.skipped == {"a damaged file": 1}
