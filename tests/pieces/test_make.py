"""One piece: what it holds is what was read, judged and encoded, whatever happens while it is made."""

import dataclasses
import json
import os

import numpy as np
import pytest

from xgen.core.errors import UserError
from xgen.core.ledger import sha256_of_file
from xgen.filters.catalog import FILTERS
from xgen.filters.config import FilterConfig
from xgen.filters.verdict import Drop
from xgen.pieces import make
from xgen.pieces.make import CRASHED, STAYS, TOO_SHORT, PieceTask, make_piece, read_ledger, set_apart
from xgen.pieces.plan import make_plan, write_plan
from xgen.pieces.store import TokenFiles, open_store, read_table
from xgen.sources.config import Source
from xgen.tokenizer.encoding import encode

LINES = [
    {"text": "one two three four", "licence": "MIT"},
    {"text": "x"},
    {"text": "drop me, please do", "licence": "ISC"},
    {"text": "one two three four", "licence": "MIT"},
    {"text": "éa " * 40},
]


@pytest.fixture
def task(tmp_path):
    """A piece of five lines and one that is broken; documents under three tokens are too short."""
    (tmp_path / "in").mkdir()
    lines = "".join(json.dumps(line) + "\n" for line in LINES) + "{broken\n"
    (tmp_path / "in" / "a.jsonl").write_text(lines)
    source = Source("it", "files", str(tmp_path / "in"), "CC0-1.0", 0, filters=("picky",))
    plan = make_plan(tmp_path, [source], FilterConfig(), {})
    write_plan(tmp_path, plan)
    return PieceTask(tmp_path, plan.pieces[0], source, FilterConfig(), min_document_tokens=3, strict=False)


@pytest.fixture(autouse=True)
def picky(monkeypatch):
    """A filter that drops one text and changes another."""

    def judge(document):
        if document.text.startswith("drop"):
            return Drop("picky")
        return dataclasses.replace(document, text=document.text.strip())

    monkeypatch.setitem(FILTERS, "picky", lambda config: judge)
    make._screen.cache_clear()


def test_the_table_has_every_document_that_was_read_and_the_tokens_those_that_stay(task):
    make_piece(task)
    ledger, table = read_ledger(task.folder, 0), read_table(task.folder, 0)
    fates = list(ledger["fates"])
    assert [fates[row["fate"]] for row in table] == [STAYS, TOO_SHORT, "picky", STAYS, STAYS]
    texts = [line["text"] for line in LINES]
    texts[4] = texts[4].strip()
    assert table["length"].tolist() == [len(encode(text)) for text in texts]
    assert [list(ledger["licences"])[code] for code in table["licence"]] == ["MIT", "CC0-1.0", "ISC", "MIT", "CC0-1.0"]
    tokens = np.fromfile(task.folder / "pieces" / "000000.tokens", "<u2")
    kept = np.concatenate([encode(texts[index]) for index in (0, 3, 4)])
    np.testing.assert_array_equal(tokens, kept)
    assert (table["digest"][0] == table["digest"][3]).all() and (table["id"][0] != table["id"][3]).any()
    assert make.DOCUMENT.itemsize == 47


@pytest.mark.parametrize(("length", "fate"), [(99, TOO_SHORT), (100, STAYS)])
def test_a_document_of_less_than_100_tokens_is_dropped(task, length, fate):
    path = task.folder / "in" / "a.jsonl"
    path.write_text(json.dumps({"text": " the" * length}))
    source = dataclasses.replace(task.source, filters=())
    (piece,) = make_plan(task.folder, [source], FilterConfig(), {}).pieces
    make_piece(dataclasses.replace(task, piece=piece, source=source, min_document_tokens=100))
    table = read_table(task.folder, 0)
    assert table["length"].tolist() == [length] == [len(encode(" the" * length))]
    assert [list(read_ledger(task.folder, 0)["fates"])[code] for code in table["fate"]] == [fate]


def test_the_ledger_accounts_for_everything(task):
    make_piece(task)
    ledger = read_ledger(task.folder, 0)
    assert ledger["documents"] == 5 == sum(fate["documents"] for fate in ledger["fates"].values())
    assert ledger["fates"]["picky"] == {"documents": 1, "tokens": len(encode("drop me, please do"))}
    assert ledger["bytes"] == sum(len(line["text"].encode()) for line in LINES)
    assert ledger["filters"] == {"picky": {"seen": 5, "dropped": 1, "changed": 1}}
    assert ledger["skipped"] == {"broken JSON": 1} and "line 6" in ledger["examples"][0]
    for name, entry in ledger["files"].items():
        path = task.folder / name
        assert entry == {"bytes": path.stat().st_size, "sha256": sha256_of_file(path)}
    assert len(ledger["files"]) == 3 and json.loads((task.folder / "pieces" / "000000.quarantine.jsonl").read_text())


def test_a_piece_that_is_made_twice_has_the_same_bytes_and_counts(task):
    def all_bytes():
        return {path.name: path.read_bytes() for path in (task.folder / "pieces").iterdir()}

    make_piece(task)
    first = all_bytes()
    make_piece(task)
    assert all_bytes() == first


def test_a_store_reads_documents_over_the_files_of_all_pieces(tmp_path):
    (tmp_path / "in").mkdir()
    texts = [f"document {number} " + "x " * (number % 5) for number in range(40)]
    for number, text in enumerate(texts):
        (tmp_path / "in" / f"{number:02}.txt").write_text(text)
    source = Source("it", "files", str(tmp_path / "in"), "MIT", 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xgen.pieces.plan.PIECE_BYTES", 100)
        patch.setattr("xgen.pieces.store.MAX_OPEN", 2)
        plan = make_plan(tmp_path, [source], FilterConfig(), {})
        for piece in plan.pieces:
            make_piece(PieceTask(tmp_path, piece, source, FilterConfig(), 1, strict=False))
        store = open_store(tmp_path, plan, "it")
        order = np.random.default_rng(0).permutation(40)
        assert len(plan.pieces) > 4 and len(store) == 40
        assert all(store.document(index).tolist() == encode(texts[index]).tolist() for index in order)
    assert len(np.unique(store.ids, axis=0)) == 40


def test_tokens_that_are_not_there_are_a_sentence_and_not_zeros(tmp_path):
    (tmp_path / "a").write_bytes(b"\1\0" * 5)
    files = TokenFiles([tmp_path / "a"], [6])
    assert files[1:4].tolist() == [1, 1, 1] and len(files) == 6 and files[6:6].tolist() == []
    with pytest.raises(UserError, match=r"ends before byte 12"):
        files[3:6]


def append(path):
    with path.open("a") as file:
        file.write('{"text": "more"}\n')


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (append, r"a\.jsonl had [\d,]+ bytes and has [\d,]+"),
        (lambda path: path.unlink(), r"a\.jsonl is gone"),
        (lambda path: os.utime(path, ns=(1, 1)), r"a\.jsonl was written again"),
    ],
)
@pytest.mark.parametrize("when", ["since the plan was made", "while it was read"])
def test_a_file_that_changes_is_refused_and_leaves_no_piece(task, change, found, when, monkeypatch):
    path = task.folder / "in" / "a.jsonl"
    if when == "while it was read":
        left = [change]  # once, with the first document
        monkeypatch.setattr(make, "encode", lambda text: (left.pop()(path) if left else None, encode(text))[1])
    else:
        change(path)
    with pytest.raises(UserError, match=f"{found} {when}"):
        make_piece(task)
    assert read_ledger(task.folder, 0) is None
    assert not (task.folder / "pieces" / "000000.tokens").exists()


def test_a_piece_whose_files_were_cut_is_not_complete(task):
    make_piece(task)
    path = task.folder / "pieces" / "000000.tokens"
    path.write_bytes(path.read_bytes()[:-2])
    assert read_ledger(task.folder, 0) is None


def test_strict_stops_at_the_first_fault(task):
    with pytest.raises(UserError, match=r"broken JSON in .*a\.jsonl, line 6"):
        make_piece(dataclasses.replace(task, strict=True))
    with pytest.raises(UserError, match=r"a\.jsonl killed its worker again and again"):
        set_apart(dataclasses.replace(task, strict=True))


def test_a_piece_that_is_set_apart_is_complete_and_says_why_it_is_empty(task):
    set_apart(task)
    ledger = read_ledger(task.folder, 0)
    assert ledger["documents"] == 0 and ledger["skipped"] == {CRASHED: 1} and len(read_table(task.folder, 0)) == 0
    assert ledger["examples"] == [f"{CRASHED}: {task.piece}"] and str(task.piece).endswith("a.jsonl")
