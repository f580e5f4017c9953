"""What is on the disk, and what is said when it is not what was written."""

import json

import numpy as np
import pytest

from xgen.core.errors import UserError
from xgen.core.types import Document
from xgen.data.shards import open_prepared, verify, write_array, write_manifest
from xgen.data.tokens import open_tokens, write_tokens
from xgen.filters.catalog import Screen
from xgen.filters.config import FilterConfig
from xgen.tokenizer.encoding import encode


@pytest.fixture
def folder(tmp_path):
    write_array(tmp_path / "rows" / "0.npy", np.arange(12, dtype=np.uint16).reshape(3, 4))
    write_array(tmp_path / "held_out.npy", np.zeros((2, 4), np.uint16))
    write_manifest(tmp_path, {"stages": [{"name": "1a"}]})
    return tmp_path


def test_rows_are_read_by_the_name_of_the_stage_and_stay_on_the_disk(folder):
    rows = verify(folder).rows("1a")
    assert isinstance(rows, np.memmap) and rows.tolist() == np.arange(12).reshape(3, 4).tolist()
    with pytest.raises(UserError, match=r"no stage '2'; expected one of \['1a'\]"):
        open_prepared(folder).rows("2")


def test_a_file_that_was_cut_is_named_with_its_sizes(folder):
    path = folder / "rows" / "0.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"0\.npy has 151 bytes; expected the 152 bytes"):
        open_prepared(folder)


def test_a_file_that_is_missing_is_named(folder):
    (folder / "held_out.npy").unlink()
    with pytest.raises(UserError, match=r"held_out\.npy is missing"):
        open_prepared(folder)


def test_a_flipped_bit_is_found_by_verify(folder):
    path = folder / "rows" / "0.npy"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    open_prepared(folder)
    with pytest.raises(UserError, match=r"0\.npy has changed since it was written"):
        verify(folder)


def test_a_folder_without_a_manifest_or_of_another_form_is_refused(folder):
    (folder / "manifest.json").write_text(json.dumps({"form": 99, "files": {}}))
    with pytest.raises(UserError, match="form 99; expected form 2"):
        open_prepared(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(UserError, match=r"no manifest\.json"):
        open_prepared(folder)


@pytest.mark.parametrize("number", [0, 1, 300, 513])
def test_a_token_store_holds_the_ids_of_every_document_in_order(tmp_path, number):
    texts = [f"document {index} " + "x" * (index % 7) for index in range(number)]
    documents = [Document("it", f"k{index}", text, "MIT") for index, text in enumerate(texts)]
    counts = write_tokens(tmp_path, "it", iter(documents), Screen((), FilterConfig()), lambda tokens: "")
    store = open_tokens(tmp_path, "it")
    assert [store.document(index).tolist() for index in range(number)] == [encode(text).tolist() for text in texts]
    assert store.keys == [document.key for document in documents] and counts["documents"] == number
    assert counts["tokens"] == len(store.tokens) == store.offsets[-1]
    assert len(np.unique(store.digests, axis=0)) == number


def test_what_a_filter_drops_leaves_its_count_and_nothing_else(tmp_path):
    documents = [Document("it", str(number), "a b c " * number, "MIT") for number in (1, 9, 2)]
    counts = write_tokens(
        tmp_path, "it", documents, Screen((), FilterConfig()), lambda tokens: "short" if len(tokens) < 9 else ""
    )
    assert open_tokens(tmp_path, "it").keys == ["9"]
    num_dropped = len(encode("a b c ")) + len(encode("a b c a b c "))
    assert counts["dropped"] == {"short": {"documents": 2, "tokens": num_dropped}}
