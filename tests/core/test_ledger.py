"""Nothing is ever half written, and a run folder forgets nothing but what a restored step makes void."""

import json
import multiprocessing
import pickle

import pytest

from xgen.core.errors import UserError, suggest
from xgen.core.ledger import (
    Journal,
    MetricsLog,
    RunFolder,
    counted_beside,
    entry_of,
    fingerprint,
    locked,
    read_json,
    write_json,
    written_beside,
)


def test_a_file_that_fails_half_way_leaves_what_was_there(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), written_beside(path) as file:
        file.write(b"new")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_fingerprint_depends_on_content_and_not_on_order():
    assert fingerprint({"a": 1, "b": [2.0, "x"]}) == fingerprint({"b": [2.0, "x"], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_metrics_are_cut_to_the_restored_step_and_a_torn_line_is_no_line(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    assert log.read() == []
    for step in range(1, 6):
        log.append({"step": step, "loss": 1 / step})
    with log.path.open("a") as file:
        file.write('{"step": 6, "lo')
    assert [line["step"] for line in log.read()] == [1, 2, 3, 4, 5]
    log.cut_after(3)
    log.append({"step": 4, "loss": 0.5})
    assert [json.loads(line) for line in log.path.read_text().splitlines()] == [
        {"step": 1, "loss": 1.0},
        {"step": 2, "loss": 0.5},
        {"step": 3, "loss": 1 / 3},
        {"step": 4, "loss": 0.5},
    ]


def _try_to_lock(folder, answers):
    try:
        with locked(folder):
            answers.put("locked")
    except UserError as error:
        answers.put(str(error))


def test_a_lock_keeps_another_process_out_and_ends_with_its_holder(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    answers = spawn.Queue()

    def ask() -> str:
        process = spawn.Process(target=_try_to_lock, args=(tmp_path, answers))
        process.start()
        answer = answers.get(timeout=60)
        process.join()
        return answer

    with locked(tmp_path):
        assert "another xgen process is writing" in ask()
    assert ask() == "locked"


def test_a_run_folder_keeps_its_recipe_its_parent_and_every_start(tmp_path):
    run = RunFolder.create(tmp_path / "run", {"name": "a"}, parent={"run": "base"})
    run.add_environment({"time": 1})
    RunFolder.create(tmp_path / "run", {"name": "b"}).add_environment({"time": 2})
    again = RunFolder.open(tmp_path / "run")
    assert (again.recipe(), again.parent()) == ({"name": "a"}, {"run": "base"})
    assert again.environments() == [{"time": 1}, {"time": 2}]
    again.write_result("perplexity", {"x": 1})
    assert (again.read_result("perplexity"), again.read_result("export")) == ({"x": 1}, None)
    assert again.results() == ["perplexity"]


def test_what_is_missing_or_broken_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="has no recipe"):
        RunFolder.open(tmp_path)
    write_json(tmp_path / "a.json", {})
    (tmp_path / "a.json").write_bytes(b"{")
    with pytest.raises(UserError, match="is not valid JSON"):
        read_json(tmp_path / "a.json")


def test_a_user_error_survives_a_process_pool_and_a_suggestion_names_the_nearest():
    error = UserError("found", "expected", "do")
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == "found; expected expected. do"
    assert suggest("tinny", ["tiny", "micro"]) == "Did you mean 'tiny'?"
    assert suggest("zzz", ["b", "a"]) == "Known: a, b."


def test_a_journal_keeps_whole_lines_and_goes_on_after_a_half_one(tmp_path):
    path = tmp_path / "folder" / "journal.jsonl"
    journal = Journal(path)
    assert journal.read() == []
    for number in range(3):
        journal.append({"number": number, "text": "a\nb\udc80"})
    path.write_bytes(path.read_bytes()[:-4])
    again = Journal(path)
    assert [line["number"] for line in again.read()] == [0, 1]
    again.append({"number": 3})
    assert [line["number"] for line in Journal(path).read()] == [0, 1, 3]
    path.write_bytes(b"{no json}\n" + path.read_bytes())
    with pytest.raises(UserError, match=r"line 1 of .* is not valid JSON"):
        Journal(path).read()


def test_those_who_share_a_lock_do_not_keep_each_other_out_but_one_who_wants_it_alone(tmp_path):
    with locked(tmp_path, shared=True), locked(tmp_path, shared=True):
        with pytest.raises(UserError, match="one writer at a time"), locked(tmp_path):
            pass
        with locked(tmp_path, ".lock-other"):
            pass
    with locked(tmp_path), pytest.raises(UserError, match="one writer at a time"), locked(tmp_path, shared=True):
        pass


def test_what_is_counted_while_it_is_written_is_what_is_there(tmp_path):
    with counted_beside(tmp_path / "a") as file:
        for part in (b"one", b"", b"two"):
            file.write(part)
        assert not (tmp_path / "a").exists()
    assert file.entry() == entry_of(tmp_path / "a") and file.num_bytes == 6
