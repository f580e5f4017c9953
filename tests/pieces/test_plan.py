"""The plan: every byte of the input in exactly one piece, the same for all who read it."""

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xgen.core.errors import UserError
from xgen.filters.config import FilterConfig
from xgen.pieces import plan as planning
from xgen.pieces.plan import make_plan, read_plan, refuse_another_recipe, refuse_changed_inputs, write_plan
from xgen.sources.config import Source
from xgen.sources.files import read_files
from xgen.sources.intake import Intake


def source_at(folder, **changes):
    return dataclasses.replace(Source("it", "files", str(folder), "MIT", 0), **changes)


SIZES = st.lists(st.tuples(st.sampled_from(("jsonl", "txt", "jsonl.gz")), st.integers(0, 60)), min_size=1, max_size=8)


@settings(deadline=None, max_examples=30)
@given(SIZES, st.integers(10, 200))
def test_the_pieces_hold_every_file_once_in_order_and_large_ones_in_parts(tmp_path_factory, sizes, piece_bytes):
    folder = tmp_path_factory.mktemp("in")
    for number, (ending, lines) in enumerate(sizes):
        (folder / f"{number}.{ending}").write_bytes(b'{"text": "x"}\n' * lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "PIECE_BYTES", piece_bytes)
        plan = make_plan(folder, [source_at(folder)], FilterConfig(), {})
    files = [file for piece in plan.pieces for file in piece.files]
    parts = {number: [] for number in range(len(sizes))}
    for file in files:
        parts[int(file.key.split(".")[0])].append((file.start, file.stop))
    assert [int(file.key.split(".")[0]) for file in files] == sorted(int(file.key.split(".")[0]) for file in files)
    for number, (ending, lines) in enumerate(sizes):
        size = 14 * lines
        if ending == "jsonl" and size > piece_bytes:
            assert parts[number][0][0] == 0 and parts[number][-1][1] == size
            assert [start for start, _ in parts[number][1:]] == [stop for _, stop in parts[number][:-1]]
        else:
            assert parts[number] == [(0, None)]
    assert all(piece.num_bytes <= piece_bytes or len(piece.files) == 1 for piece in plan.pieces)
    assert [piece.number for piece in plan.pieces] == list(range(len(plan.pieces)))


def test_large_parquet_files_are_cut_between_row_groups(tmp_path, monkeypatch):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    texts = [f"{number} " * 50 for number in range(100)]
    parquet.write_table(pyarrow.table({"text": texts}), tmp_path / "a.parquet", row_group_size=10, compression="none")
    (tmp_path / "b.parquet").write_bytes(b"PAR1 and then nothing" * 400)
    monkeypatch.setattr(planning, "PIECE_BYTES", 4_000)
    source = source_at(tmp_path)
    plan = make_plan(tmp_path, [source], FilterConfig(), {})
    spans = [(file.key, file.start, file.stop) for piece in plan.pieces for file in piece.files]
    assert spans[0][1] == 0 and len(spans) > 4 and spans[-2][2] == 10 and spans[-1] == ("b.parquet", 0, None)
    assert [start for _, start, _ in spans[1:-1]] == [stop for _, _, stop in spans[:-2]]
    intake = Intake("it", strict=False)
    found = [
        document.text
        for piece in plan.pieces
        for file in piece.files
        for document in read_files.read_file(source, file, intake)
    ]
    assert found == texts and dict(intake.skipped) == {"a damaged file": 1}


def test_a_plan_is_read_back_as_it_was_written(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    for name in ("a.jsonl", "b.jsonl", "c.txt"):
        (tmp_path / "in" / name).write_bytes(b'{"text": "x"}\n' * 9)
    monkeypatch.setattr(planning, "PIECE_BYTES", 100)
    plan = make_plan(tmp_path, [source_at(tmp_path / "in")], FilterConfig(), {"recipe": {"seed": 1}})
    write_plan(tmp_path, plan)
    assert read_plan(tmp_path) == plan
    assert plan.made_of["form"] == planning.FORM and "tiktoken" in plan.made_of["packages"]


def test_very_large_inputs_are_cut_into_larger_pieces(tmp_path, monkeypatch):
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "x"}\n' * 1000)
    monkeypatch.setattr(planning, "PIECE_BYTES", 10)
    monkeypatch.setattr(planning, "MAX_PIECES", 4)
    assert len(make_plan(tmp_path, [source_at(tmp_path)], FilterConfig(), {}).pieces) == 4


def test_lists_that_filters_and_readers_use_may_not_change_either(tmp_path):
    for name in ("in", "evaluations"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "a.txt").write_text("x")
    (tmp_path / "evaluations" / "a.txt").write_text("y")
    (tmp_path / "licences.jsonl").write_text("{}\n")
    config = FilterConfig(evaluations=str(tmp_path / "evaluations"), word_list=str(tmp_path / "unused"))
    sources = [source_at(tmp_path / "in", filters=("decontamination",), licences=str(tmp_path / "licences.jsonl"))]
    plan = make_plan(tmp_path, sources, config, {})
    assert [file.key for file in plan.asides] == ["licences.jsonl", "a.txt"]
    refuse_changed_inputs(tmp_path, plan, sources, config)
    (tmp_path / "evaluations" / "b.txt").write_text("z")
    (tmp_path / "licences.jsonl").write_text("{} \n")
    with pytest.raises(UserError, match=r"b\.txt is new; \S*licences\.jsonl had 3 bytes and has 4"):
        refuse_changed_inputs(tmp_path, plan, sources, config)


def test_another_recipe_is_refused_with_the_value_that_differs(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    made_of = {"data": {"min_document_tokens": 100, "sources": [{"name": "a"}, {"name": "b"}]}, "seed": 0}
    plan = make_plan(tmp_path, [source_at(tmp_path)], FilterConfig(), made_of)
    refuse_another_recipe(tmp_path, plan, json.loads(json.dumps(made_of)))
    for changed, found in (
        ({**made_of, "seed": 1}, "seed 0, which is now 1"),
        ({**made_of, "data": {**made_of["data"], "min_document_tokens": 9}}, "data.min_document_tokens 100, which is"),
        ({**made_of, "data": {**made_of["data"], "sources": [{"name": "a"}, {"name": "c"}]}}, "data.sources.1.name b"),
        ({**made_of, "more": 1}, "more None, which is now 1"),
    ):
        with pytest.raises(UserError, match=f"was begun with {found}"):
            refuse_another_recipe(tmp_path, plan, changed)
