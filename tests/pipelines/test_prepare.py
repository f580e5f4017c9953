"""The whole of prepare on folders of text and on the recipe `micro`: same bytes, exact quotas, no leaks, no loss."""

import dataclasses
import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data.stores import recipe_over, sentence, write_corpus
from xgen.core.errors import UserError
from xgen.data.filters import WINDOW
from xgen.data.packing import row_order
from xgen.data.shards import verify
from xgen.filters.catalog import FILTERS
from xgen.filters.verdict import Drop
from xgen.pipelines.prepare import prepare
from xgen.recipes.micro import MICRO
from xgen.recipes.schema import to_plain
from xgen.similarity.windows import window_hashes
from xgen.tokenizer.encoding import decode, encode
from xgen.tokenizer.specials import END_OF_TEXT
from xgen.workspace.folders import data_folder


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    return write_corpus(folder / "prose", 0), write_corpus(folder / "code", 1000)


@pytest.fixture(scope="module")
def recipe(corpora):
    return recipe_over(*corpora)


@pytest.fixture(scope="module")
def prepared(recipe, tmp_path_factory):
    return prepare(recipe, tmp_path_factory.mktemp("root"))


def bytes_of(folder: Path) -> dict[str, str]:
    """The sha256 of every file that is no lock."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".lock")
    }


def windows_in(text: str) -> set[int]:
    return set(window_hashes(encode(text), WINDOW).tolist())


def trained_texts(prepared, recipe):
    """Undo the order of the rows of every stage, and cut the stream at the separators."""
    for stage in recipe.stages:
        rows = np.asarray(prepared.rows(stage.name))
        assert rows.shape == (stage.num_rows, stage.context_length) and rows.dtype == np.uint16
        stream = np.empty_like(rows)
        stream[row_order(recipe.seed, stage.name, stage.num_rows)] = rows
        ends = np.flatnonzero(stream.reshape(-1) == END_OF_TEXT)
        assert ends[-1] == stream.size - 1
        for start, end in zip([-1, *ends[:-1]], ends, strict=True):
            yield stage, decode(stream.reshape(-1)[start + 1 : end])


def test_every_piece_of_every_stage_is_a_document_or_its_beginning(prepared, recipe):
    kept = {document.text: source.name for source in recipe.data.sources for document in prepared.documents(source)}
    tokens: dict[tuple[str, str], int] = {}
    for stage, text in trained_texts(prepared, recipe):
        source = kept.get(text) or next(source for whole, source in kept.items() if whole.startswith(text))
        tokens[stage.name, source] = tokens.get((stage.name, source), 0) + len(encode(text)) + 1
    for stage in prepared.manifest["stages"]:
        for source, share in stage["sources"].items():
            assert tokens[stage["name"], source] == share["tokens"]
            assert abs(share["tokens"] - share["wanted"] * stage["tokens"]) < 1


def test_every_document_that_was_read_is_accounted_for(prepared, recipe, corpora):
    source_named = {source.name: source for source in recipe.data.sources}
    for name, source in prepared.manifest["sources"].items():
        fates = source["fates"]
        assert source["read"]["documents"] == 40 == sum(fate["documents"] for fate in fates.values())
        assert fates["kept"]["documents"] == len(list(prepared.documents(source_named[name])))
        texts = [path.read_text(encoding="utf-8") for path in corpora[name == "code"].iterdir()]
        lengths = [len(encode(text)) for text in texts]
        assert source["read"]["tokens"] == sum(lengths)
        assert fates["under min_document_tokens"]["documents"] == sum(length < 100 for length in lengths) > 0


def test_what_a_filter_drops_or_changes_is_accounted_for_and_never_read(recipe, corpora, tmp_path, monkeypatch):
    def judge(document):
        if document.key.startswith("007"):
            return Drop("the seventh")
        return dataclasses.replace(document, text=document.text + " changed") if "011" in document.key else document

    monkeypatch.setitem(FILTERS, "seventh", lambda config: judge)
    prose = dataclasses.replace(recipe.data.sources[0], filters=("seventh",))
    data = dataclasses.replace(recipe.data, sources=(prose, recipe.data.sources[1]))
    judged = prepare(dataclasses.replace(recipe, data=data), tmp_path)
    counts = judged.manifest["sources"]["prose"]
    assert counts["filters"] == {"seventh": {"seen": 40, "dropped": 1, "changed": 1}}
    assert judged.manifest["sources"]["code"]["filters"] == {}
    dropped = (corpora[0] / "007.txt").read_text(encoding="utf-8")
    assert counts["fates"]["the seventh"] == {"documents": 1, "tokens": len(encode(dropped))}
    assert counts["read"]["documents"] == 40 == sum(fate["documents"] for fate in counts["fates"].values())
    assert counts["read"]["tokens"] == sum(fate["tokens"] for fate in counts["fates"].values())
    texts = {document.text for document in judged.documents(prose)}
    assert dropped not in texts and any(text.endswith(" changed") for text in texts)


def test_a_filter_that_cannot_be_made_is_refused_before_anything_is_read(recipe, tmp_path):
    sources = (dataclasses.replace(recipe.data.sources[0], filters=("decontamination",)), recipe.data.sources[1])
    with pytest.raises(UserError, match="no run of 13 words"):
        prepare(dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, sources=sources)), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_held_out_documents_are_long_and_no_stage_reads_any_of_them(prepared, recipe):
    held_out = prepared.held_out()
    assert held_out.shape == (6, recipe.context_length) and held_out.dtype == np.uint16 and END_OF_TEXT not in held_out
    assert len({row.tobytes() for row in held_out}) == 6
    fates = [source["fates"]["held out"]["documents"] for source in prepared.manifest["sources"].values()]
    assert fates == [4, 2]  # 0.7 and 0.3 of 6
    beginnings = {decode(row)[:60] for row in held_out}
    trained = [text for _, text in trained_texts(prepared, recipe)]
    instructed = [document.text for source in recipe.data.sources for document in prepared.documents(source)]
    assert not any(beginning in text for beginning in beginnings for text in [*trained, *instructed])


def test_near_copies_of_held_out_documents_are_dropped_and_counted(recipe, corpora, prepared, tmp_path):
    held_out = {decode(row)[:60] for row in prepared.held_out()}
    copies = tmp_path / "prose"
    copies.mkdir()
    for path in corpora[0].iterdir():
        text = path.read_text(encoding="utf-8")
        (copies / path.name).write_text(text, encoding="utf-8")
        if text[:60] in held_out:
            words = text.split()
            (copies / f"a-{path.name}").write_text(f"{sentence(7, 30)}\n    " + "\n    ".join(words), encoding="utf-8")
            (copies / f"b-{path.name}").write_text(" ".join(words[20:200]), encoding="utf-8")
            (copies / f"c-{path.name}").write_text(text, encoding="utf-8")
    again = prepare(recipe_over(copies, corpora[1]), tmp_path)
    fates = again.manifest["sources"]["prose"]["fates"]
    assert fates["exact duplicate"]["documents"] >= 3
    held_out_texts = [decode(row) for row in again.held_out()]
    for _, text in trained_texts(again, recipe):
        windows = windows_in(text)
        assert all(len(windows & windows_in(other)) < 0.5 * len(windows_in(other)) for other in held_out_texts)
    assert fates["near copy of a held-out document"]["documents"] >= 3


def test_another_seed_gives_other_rows_and_other_held_out_documents(recipe, prepared, tmp_path):
    other = prepare(dataclasses.replace(recipe, seed=1), tmp_path)
    assert not np.array_equal(other.rows("1a"), prepared.rows("1a"))
    assert {row.tobytes() for row in other.held_out()} != {row.tobytes() for row in prepared.held_out()}


def test_a_second_call_says_that_all_is_there_and_writes_nothing(recipe, prepared, capsys):
    times = {path: path.stat().st_mtime_ns for path in prepared.folder.rglob("*")}
    prepare(recipe, prepared.folder.parents[1])
    assert "complete" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in prepared.folder.rglob("*")} == times


KILLED = """
import json, os, signal, sys
from pathlib import Path
from xgen.filters.catalog import FILTERS
from xgen.filters.verdict import Drop
from xgen.pipelines.prepare import prepare
from xgen.recipes.schema import from_plain
left, replace = int(sys.argv[3]), Path.replace
def replace_or_die(self, target):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)
Path.replace = replace_or_die
prepare(from_plain(json.loads(Path(sys.argv[1]).read_text())), Path(sys.argv[2]))
"""


def test_killed_again_and_again_it_ends_with_the_bytes_of_an_undisturbed_run(recipe, prepared, corpora, tmp_path):
    (tmp_path / "recipe.json").write_text(json.dumps(to_plain(recipe)))
    killed = 0
    for files_before in (1, 5, 12, 4, 9, 17):  # what is chosen is written anew by each start until all of it is there
        ended = subprocess.run(
            [sys.executable, "-c", KILLED, tmp_path / "recipe.json", tmp_path, str(files_before)],
            capture_output=True,
            text=True,
            check=False,
        )
        killed += ended.returncode == -signal.SIGKILL
        assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    assert killed == 6
    assert list(data_folder(recipe, tmp_path).rglob(".*.tmp"))  # what was being written when it was killed
    resumed = prepare(recipe, tmp_path)
    assert bytes_of(resumed.folder) == bytes_of(prepared.folder)
    verify(resumed.folder)


def test_a_short_source_repeats_and_says_how_often(corpora, tmp_path, capsys):
    few = write_corpus(tmp_path / "few", 2000, num_documents=9)
    short = recipe_over(few, corpora[1], held_out_documents=2)
    stages = prepare(short, tmp_path).manifest["stages"]
    assert all(stage["sources"]["code"]["repeats"] <= 1 for stage in stages)
    share = max((stage["sources"]["prose"] for stage in stages), key=lambda share: share["repeats"])
    assert share["repeats"] == share["tokens"] / share["part_tokens"] > 2
    assert share["documents"] > 2 * share["part_documents"]
    assert f"{share['repeats']:.2f}" in capsys.readouterr().out


def test_broken_input_is_counted_and_with_strict_one_sentence(corpora, tmp_path):
    prose = tmp_path / "prose"
    prose.mkdir()
    lines = [json.dumps({"text": path.read_text(encoding="utf-8")}) for path in sorted(corpora[0].iterdir())]
    (prose / "a.jsonl").write_text("\n".join([*lines[:3], "{broken", *lines[3:]]), encoding="utf-8")
    broken = recipe_over(prose, corpora[1])
    with pytest.raises(UserError, match=r"source 'prose': broken JSON in .*a\.jsonl, line 4, byte .*--strict"):
        prepare(broken, tmp_path, strict=True)
    manifest = prepare(broken, tmp_path).manifest
    assert manifest["sources"]["prose"]["skipped"] == {"broken JSON": 1}
    assert "line 4" in manifest["sources"]["prose"]["examples"][0]
    with pytest.raises(UserError, match=r"broken JSON in .* line 4, byte .*, skipped by the run that wrote"):
        prepare(broken, tmp_path, strict=True)


def test_documents_that_are_all_too_short_are_one_sentence(corpora, tmp_path):
    (tmp_path / "prose").mkdir()
    (tmp_path / "prose" / "a.txt").write_text("too short")
    with pytest.raises(UserError, match=r"no document of the source 'prose' has 100 tokens or more"):
        prepare(recipe_over(tmp_path / "prose", corpora[1]), tmp_path)


def test_a_second_writer_is_refused(recipe, tmp_path):
    from xgen.core.ledger import locked

    with locked(data_folder(recipe, tmp_path)), pytest.raises(UserError, match="one writer at a time"):
        prepare(recipe, tmp_path)


def test_the_recipe_micro_reads_its_own_corpus_about_once(tmp_path):
    prepared = prepare(MICRO, tmp_path)
    assert len(prepared.held_out()) == MICRO.data.held_out_documents
    assert all(share["repeats"] <= 2 for stage in prepared.manifest["stages"] for share in stage["sources"].values())
    assert {source["read"]["documents"] > 15 for source in prepared.manifest["sources"].values()} == {True}
