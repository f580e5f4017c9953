"""The audit: against a count in plain Python, and it refuses to be written where a document is lost or told twice."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.stores import sentence
from xgen.core.ledger import write_array
from xgen.data.accounts import intake_counts
from xgen.data.choice import FATES
from xgen.data.composition import NOT_STATED, compose, group_tables, read_audit, require_balance, write_audit
from xgen.filters.config import FilterConfig
from xgen.pieces import plan as planning
from xgen.pieces.make import CRASHED, PieceTask, make_piece, quarantine_of, read_ledger, set_apart
from xgen.pieces.plan import make_plan
from xgen.pieces.store import read_table
from xgen.sources.config import Source
from xgen.tokenizer.encoding import encode

LICENCES = ("MIT", "ISC", "")
SOURCES = {"a": 14, "b": 9}
SHORTEST = 20


def lines_of(source):
    return [
        {"text": sentence(number + 100 * len(source), 6 + 3 * number), "licence": LICENCES[number % 3]}
        for number in range(SOURCES[source])
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two sources in several pieces, each with broken lines, and one piece that was set apart."""
    folder = tmp_path_factory.mktemp("data")
    sources = []
    for name in SOURCES:
        (folder / name).mkdir()
        lines = "".join(json.dumps(line) + "\n" for line in lines_of(name))
        (folder / name / "x.jsonl").write_text(lines[:-1] + "\n{broken\n\n[1]\n")
        (folder / name / "y.jsonl").write_text("never read\n" * 300)
        sources.append(Source(name, "files", str(folder / name), "CC0-1.0", 0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "PIECE_BYTES", 900)
        plan = make_plan(folder, sources, FilterConfig(), {})
    by_name = {source.name: source for source in sources}
    for piece in plan.pieces:
        task = PieceTask(folder, piece, by_name[piece.source], FilterConfig(), SHORTEST, strict=False)
        (set_apart if "y.jsonl" in piece.files[0].key else make_piece)(task)
    ledgers = [read_ledger(folder, piece.number) for piece in plan.pieces]
    counts = {}
    for source in sources:
        mine = [ledger for ledger in ledgers if ledger["source"] == source.name]
        intake = intake_counts(source, mine, None)
        read = {kind: sum(fate[kind] for fate in intake["fates"].values()) for kind in ("documents", "tokens")}
        counts[source.name] = intake | {"read": read, "near_duplicates": {}}
    return folder, plan, {"sources": counts, "stages": []}


def fates_of(folder, plan, seed):
    """Draw what becomes of the documents that the pieces kept."""
    chance, numbers = np.random.default_rng(seed), Counter()
    for piece in plan.pieces:
        numbers[piece.source] += int(np.count_nonzero(read_table(folder, piece.number)["fate"] == 0))
    return {source: chance.integers(0, len(FATES), number, np.uint8) for source, number in numbers.items()}


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**32))
def test_every_document_is_told_once_under_its_source_and_its_licence(made, seed):
    folder, plan, chosen = made
    fates = fates_of(folder, plan, seed)
    audit = compose(folder, plan, chosen, fates)
    require_balance(audit)
    expected: dict[str, Counter] = {"sources": Counter(), "licences": Counter()}
    bins = Counter()
    for source in SOURCES:
        left = iter(fates[source].tolist())
        for line in lines_of(source):
            length, size = len(encode(line["text"])), len(line["text"].encode())
            fate = "under min_document_tokens" if length < SHORTEST else FATES[next(left)]
            for kind, name in (("sources", source), ("licences", line["licence"] or NOT_STATED)):
                for unit, number in (("documents", 1), ("tokens", length), ("bytes", size)):
                    expected[kind][name, fate, unit] += number
            bins[source, length.bit_length()] += 1
    for kind, table in expected.items():
        told = {
            (name, fate, unit): n
            for name, row in audit[kind].items()
            for fate, units in ({each: row[each] for each in ("kept", "held out")} | row["dropped"]).items()
            for unit, n in units.items()
            if n
        }
        assert told == dict(table)
    for source, row in audit["sources"].items():
        assert row["lengths"]["in"] == [bins[source, place] for place in range(len(row["lengths"]["in"]))]
        assert sum(row["lengths"]["kept"]) == row["kept"]["documents"]
        pieces = sum(piece.source == source and "y.jsonl" in piece.files[0].key for piece in plan.pieces)
        assert row["quarantined"] == {"broken JSON": 1, "JSON that is not an object": 1, CRASHED: pieces}
        assert row["left_out"] == {"blank line": 1}
        assert row["in"]["documents"] == SOURCES[source] + 3 + pieces


def test_it_is_written_as_it_was_composed_and_shown_as_tables(made):
    folder, plan, chosen = made
    fates = fates_of(folder, plan, 0)
    write_audit(folder, plan, chosen, fates)
    assert read_audit(folder) == compose(folder, plan, chosen, fates)
    shown = list(group_tables(read_audit(folder)))
    assert [len(table.rows) for table in shown] == [2, 1, 3]
    assert all(len(row) == len(table.columns) for table in shown for row in table.rows)


@pytest.mark.parametrize(
    "loss", ["a record of the quarantine", "a row of a table", "a fate", "a count", "tokens of a row"]
)
def test_what_is_lost_on_the_way_stops_the_audit(made, loss):
    folder, plan, chosen = made
    fates = fates_of(folder, plan, 1)
    chosen = json.loads(json.dumps(chosen))
    number = next(piece.number for piece in plan.pieces if quarantine_of(folder, piece.number).exists())
    quarantine, table = quarantine_of(folder, number), folder / "pieces" / "000000.documents.npy"
    whole = {path: path.read_bytes() for path in (quarantine, table)}
    if loss == "a record of the quarantine":
        quarantine.write_text("".join(quarantine.read_text().splitlines(keepends=True)[1:]))
    elif loss == "a row of a table":
        rows = np.load(table)
        write_array(table, np.delete(rows, np.flatnonzero(rows["fate"] != 0)[0]))
    elif loss == "a fate":
        fates["b"] = fates["b"][1:]
    elif loss == "a count":
        chosen["sources"]["a"]["read"]["documents"] -= 1
    else:
        rows = np.load(table)
        rows["length"][0] += 1
        write_array(table, rows)
    try:
        with pytest.raises(AssertionError):
            write_audit(folder, plan, chosen, fates)
    finally:
        for path, raw in whole.items():
            path.write_bytes(raw)
