"""What is on the disk, and what is said when it is not what was written."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xgen.core.errors import UserError
from xgen.core.ledger import sha256_of_file, write_array
from xgen.data import shards
from xgen.data.shards import Rows, completed_by, open_prepared, row_files, verify, write_manifest, write_rows

ROWS = np.arange(12, dtype=np.uint16).reshape(3, 4)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three rows in two files, two held-out documents."""
    monkeypatch.setattr(shards, "ROW_FILE_TOKENS", 9)
    for file in row_files(0, 3, 4):
        write_rows(file.path(tmp_path), (file.stop - file.first, 4), [ROWS[file.first : file.stop]])
    write_array(tmp_path / "held_out.npy", np.zeros((2, 4), np.uint16))
    write_manifest(tmp_path, {"stages": [{"name": "1a", "rows": 3, "context_length": 4}]})
    return tmp_path


def test_rows_are_read_by_the_name_of_the_stage_and_stay_on_the_disk(folder):
    rows = verify(folder).rows("1a")
    assert [path.name for path in rows.paths] == ["000000.npy", "000001.npy"] and isinstance(rows[0:1].base, np.memmap)
    assert rows.shape == (3, 4) and np.asarray(rows).tolist() == ROWS.tolist()
    with pytest.raises(UserError, match=r"no stage '2'; expected one of \['1a'\]"):
        open_prepared(folder).rows("2")


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 30), st.integers(1, 40), st.data())
def test_rows_over_any_number_of_files_are_those_of_one_array(tmp_path_factory, num_rows, tokens, data):
    whole, folder = np.arange(3 * num_rows, dtype=np.uint16).reshape(-1, 3), tmp_path_factory.getbasetemp() / "rows"
    files = [(first, min(first + tokens, num_rows)) for first in range(0, num_rows, tokens)]
    paths = [folder / f"{number}.npy" for number in range(len(files))]
    for path, (first, stop) in zip(paths, files, strict=True):
        write_array(path, whole[first:stop])
    rows = Rows(paths, [first for first, _ in files], (num_rows, 3))
    start = data.draw(st.integers(0, num_rows))
    stop = data.draw(st.integers(start, num_rows))
    np.testing.assert_array_equal(rows[start:stop], whole[start:stop])
    assert len(rows) == num_rows


def test_files_of_rows_cover_a_stage_without_gap_or_overlap():
    files = row_files(2, 100_001, 2048)
    assert [file.first for file in files[1:]] == [file.stop for file in files[:-1]]
    assert (files[0].first, files[-1].stop) == (0, 100_001) and files[0].stop * 2048 == shards.ROW_FILE_TOKENS


def test_a_ledger_of_rows_knows_the_checksum_without_reading_the_file(folder):
    path = folder / "rows" / "0" / "000000.npy"
    entry = json.loads(path.with_suffix(".json").read_text())["files"]["rows/0/000000.npy"]
    assert entry == {"bytes": path.stat().st_size, "sha256": sha256_of_file(path)}


def test_a_file_that_was_cut_is_named_with_its_sizes(folder):
    path = folder / "rows" / "0" / "000000.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"000000\.npy has 143 bytes; expected the 144 bytes"):
        open_prepared(folder)


def test_a_file_that_is_missing_is_named(folder):
    (folder / "held_out.npy").unlink()
    with pytest.raises(UserError, match=r"held_out\.npy is missing"):
        open_prepared(folder)


def test_a_flipped_bit_is_found_by_verify(folder):
    path = folder / "rows" / "0" / "000001.npy"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    open_prepared(folder)
    with pytest.raises(UserError, match=r"000001\.npy has changed since it was written"):
        verify(folder)


def test_a_folder_without_a_manifest_or_of_another_form_is_refused(folder):
    (folder / "manifest.json").write_text(json.dumps({"form": 99, "files": {}}))
    with pytest.raises(UserError, match="form 99; expected form 3"):
        open_prepared(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(UserError, match=r"no manifest\.json"):
        open_prepared(folder)


@pytest.mark.parametrize(
    ("name", "marker"),
    [
        ("pieces/000012.tokens", "pieces/000012.json"),
        ("pieces/000012.documents.npy", "pieces/000012.json"),
        ("pieces/000012.json", "pieces/000012.json"),
        ("rows/1/000003.npy", "rows/1/000003.json"),
        ("near/000012.npy", "choice.json"),
        ("streams/0.starts.npy", "choice.json"),
        ("held_out.npy", "choice.json"),
        ("plan.json", "plan.json"),
    ],
)
def test_what_is_damaged_takes_its_marker_with_it_and_nothing_else(name, marker):
    assert completed_by(name) == marker
