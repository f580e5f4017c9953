"""Prepare on workers that are killed, full disks and inputs that change: the same bytes, or a clear refusal."""

import functools
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from pipelines.lines import COPIES, bytes_of, corpus, finish, make_small, start, wait_for, workers
from xgen.core.errors import UserError
from xgen.core.ledger import read_json
from xgen.data.shards import verify
from xgen.engine.crew import Crew, OthersUnfinished, Share
from xgen.pieces.make import CRASHED
from xgen.pieces.plan import read_plan
from xgen.pipelines.prepare import prepare
from xgen.workspace.folders import data_folder


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    return corpus(tmp_path_factory.mktemp("lines"))


@pytest.fixture(autouse=True)
def small(monkeypatch):
    make_small(monkeypatch)


@pytest.fixture(scope="module")
def undisturbed(recipe, tmp_path_factory):
    """What two workers make that nobody disturbs."""
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch)
        return prepare(recipe, tmp_path_factory.mktemp("root"), crew=Crew(num_workers=2))


def test_the_cut_into_pieces_and_the_number_of_workers_change_no_row(recipe, undisturbed, tmp_path, monkeypatch):
    assert len(read_plan(undisturbed.folder).pieces) > 15 and len(list(undisturbed.folder.glob("rows/*/*.npy"))) > 8
    assert not workers(), "the crew goes home"
    monkeypatch.undo()  # one piece a source, no worker, one file a stage
    whole = prepare(recipe, tmp_path)
    assert len(read_plan(whole.folder).pieces) == 2
    for stage in recipe.stages:
        assert whole.rows(stage.name)[:].tobytes() == undisturbed_rows(undisturbed, recipe)[stage.name]
    near = {name: counts["near_duplicates"] for name, counts in whole.manifest["sources"].items()}
    held_out = near["code"].get("held out", 0)
    assert near == {"prose": {}, "code": {"prose": COPIES - held_out} | ({"held out": held_out} if held_out else {})}
    assert whole.manifest["sources"]["code"]["fates"]["near duplicate"]["documents"] == COPIES
    for key in ("stages", "sources"):
        assert whole.manifest[key] == undisturbed.manifest[key]
    assert (whole.folder / "held_out.npy").read_bytes() == (undisturbed.folder / "held_out.npy").read_bytes()


def undisturbed_rows(prepared, recipe):
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch)
        return {stage.name: prepared.rows(stage.name)[:].tobytes() for stage in recipe.stages}


def test_workers_that_are_killed_again_and_again_cost_nothing(recipe, undisturbed, tmp_path):
    killed = []

    def kill_some():
        for pattern, number in (("data/*/pieces/*.json", 3), ("data/*/pieces/*.json", 9), ("data/*/near/*.npy", 2)):
            wait_for(tmp_path, pattern, number)
            if found := workers():
                os.kill(found[-1], signal.SIGKILL)
                killed.append(found[-1])

    killer = threading.Thread(target=kill_some)
    killer.start()
    prepared = prepare(recipe, tmp_path, crew=Crew(num_workers=2))
    killer.join()
    assert len(set(killed)) >= 2
    assert bytes_of(prepared.folder) == bytes_of(undisturbed.folder)


@pytest.mark.slow
def test_a_driver_that_is_killed_is_continued_by_any_number_of_workers(recipe, undisturbed, tmp_path):
    for pattern, number, options in (
        ("data/*/pieces/*.tokens", 2, ("--workers", "2")),
        ("data/*/near/*.npy", 3, ("--workers", "1")),
    ):
        process = start(recipe, tmp_path, *options)
        wait_for(tmp_path, pattern, number, process)
        assert process.poll() is None
        process.kill()
        process.communicate()
    said = finish(start(recipe, tmp_path, "--workers", "2"))
    assert "data    prepared" in said
    assert bytes_of(data_folder(recipe, tmp_path)) == bytes_of(undisturbed.folder)


@pytest.mark.slow
def test_ten_kills_of_driver_or_worker_at_random_moments_cost_nothing(recipe, undisturbed, tmp_path):
    import random

    chance = random.Random(time.time_ns())
    for number in range(10):
        process = start(recipe, tmp_path, "--workers", "2")
        time.sleep(chance.uniform(0.2, 3.0))
        process.kill()
        process.communicate()
        if number % 3 == 0:
            threading.Timer(chance.uniform(1, 3), lambda: [os.kill(pid, signal.SIGKILL) for pid in workers()]).start()
    prepared = prepare(recipe, tmp_path, crew=Crew(num_workers=2))
    assert bytes_of(prepared.folder) == bytes_of(undisturbed.folder)


def test_a_disk_that_is_full_is_one_sentence_and_the_run_continues_when_there_is_room(recipe, undisturbed, tmp_path):
    said = finish(start(recipe, tmp_path, "--workers", "2", largest_file=2_000), code=2)
    assert "no space is left" in said and "Traceback" not in said
    assert not list(data_folder(recipe, tmp_path).glob("pieces/*.tokens"))
    assert bytes_of(prepare(recipe, tmp_path, crew=Crew(num_workers=1)).folder) == bytes_of(undisturbed.folder)


@pytest.mark.slow
def test_shares_of_the_work_make_together_what_one_run_makes(recipe, undisturbed, tmp_path):
    shares = [Crew(num_workers=1, share=Share(number, 2)) for number in range(2)]
    ended = []
    while not ended:
        for crew in shares:
            try:
                ended.append(prepare(recipe, tmp_path, crew=crew))
            except OthersUnfinished as others:
                assert "left to others" in str(others)
    assert bytes_of(data_folder(recipe, tmp_path)) == bytes_of(undisturbed.folder)


@pytest.mark.slow
def test_a_run_of_its_own_and_one_of_the_same_share_are_kept_out(recipe, tmp_path):
    process = start(recipe, tmp_path, "--workers", "1", "--shard", "0/2")
    wait_for(tmp_path, "data/*/pieces/*.json", 1, process)
    assert process.poll() is None
    for crew in (None, Crew(share=Share(0, 2))):
        with pytest.raises(UserError, match="one writer at a time"):
            prepare(recipe, tmp_path, crew=crew)
    assert "shard   0/2 is done" in finish(process)


def dies_on(needle, function, task):
    """Kill the worker that is handed a piece with this in it, as a defect in a library would."""
    files = getattr(getattr(task, "piece", None), "files", ())
    for file in files:
        if needle in Path(file.address).read_bytes()[file.start : file.stop]:
            os.kill(os.getpid(), signal.SIGKILL)
    function(task)


class Poisoned(Crew):
    """A crew whose workers die on some bytes."""

    needle = b""

    def do(self, function, tasks, is_tiny):
        return super().do(functools.partial(dies_on, self.needle, function), tasks, is_tiny)


@pytest.mark.slow
def test_a_piece_that_kills_its_worker_three_times_is_set_apart_by_name_and_the_rest_goes_on(
    recipe, undisturbed, tmp_path, capsys
):
    poison = read_plan(undisturbed.folder).pieces[1]
    crew = Poisoned(num_workers=2)
    (file,) = poison.files
    crew.needle = Path(file.address).read_bytes()[file.start + 20 : file.start + 400]
    prepared = prepare(recipe, tmp_path, crew=crew)
    prose = prepared.manifest["sources"]["prose"]
    assert prose["skipped"] == {CRASHED: 1}
    assert prose["examples"] == [f"{CRASHED}: {poison}"] and "a.jsonl (from 9,000 to 18,000)" in str(poison)
    assert f"{poison}; skipped" in capsys.readouterr().out.replace("\n", "")
    lost = read_json(undisturbed.folder / "pieces" / "000001.json")["documents"]
    assert prose["read"]["documents"] == undisturbed.manifest["sources"]["prose"]["read"]["documents"] - lost
    assert prepared.manifest["sources"]["code"]["read"] == undisturbed.manifest["sources"]["code"]["read"]
    verify(prepared.folder)
    begun = Poisoned(num_workers=1, share=Share(1, 8))  # the share with this piece
    begun.needle = crew.needle
    with pytest.raises(OthersUnfinished):
        prepare(recipe, tmp_path / "begun", crew=begun)
    again = prepare(recipe, tmp_path / "begun", crew=Crew(num_workers=2))
    assert bytes_of(again.folder) == bytes_of(undisturbed.folder), "before anything is chosen it is tried again"
    with pytest.raises(UserError, match="killed its worker"):
        strict = Poisoned(num_workers=2)
        strict.needle = crew.needle
        prepare(recipe, tmp_path / "strict", strict=True, crew=strict)


@pytest.fixture
def begun(tmp_path):
    """A run on inputs of its own, of which some pieces are there."""
    recipe = corpus(tmp_path / "in")
    with pytest.raises(OthersUnfinished):
        prepare(recipe, tmp_path, crew=Crew(num_workers=1, share=Share(0, 8)))
    return recipe


def test_a_resumed_run_refuses_inputs_that_have_changed_and_says_which(begun, tmp_path):
    prose = tmp_path / "in" / "prose"
    before = {path: path.read_bytes() for path in prose.iterdir()}
    times = {path: path.stat() for path in prose.iterdir()}

    def refused(found):
        with pytest.raises(UserError, match=found):
            prepare(begun, tmp_path)
        for path in prose.iterdir():
            path.unlink()
        for path, raw in before.items():
            path.write_bytes(raw)
            os.utime(path, ns=(times[path].st_atime_ns, times[path].st_mtime_ns))

    (prose / "aa.jsonl").write_text('{"text": "new"}\n')
    refused(r"source 'prose': \S*aa\.jsonl is new")
    (prose / "b.jsonl").unlink()
    refused(r"b\.jsonl is gone")
    with (prose / "a.jsonl").open("a") as file:
        file.write('{"text": "more"}\n')
    refused(r"a\.jsonl had [\d,]+ bytes and has [\d,]+")
    (prose / "c00.txt").write_bytes(before[prose / "c00.txt"])
    refused(r"c00\.txt was written again")
    assert prepare(begun, tmp_path).manifest["sources"]["prose"]["read"]["documents"] == 60


def test_a_resumed_run_refuses_another_version_of_what_decides_about_bytes(begun, tmp_path, monkeypatch):
    monkeypatch.setattr("xgen.pieces.plan.packages", lambda: {"tiktoken": "0.0"})
    with pytest.raises(UserError, match=r"was begun with packages\.\S+ \S+, which is now"):
        prepare(begun, tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr("xgen.pieces.plan.FORM", 99)
    with pytest.raises(UserError, match=r"was begun with form \d, which is now 99"):
        prepare(begun, tmp_path)


@pytest.mark.slow
def test_inputs_may_go_when_all_pieces_are_there(recipe, undisturbed, tmp_path):
    mine = corpus(tmp_path / "in")
    process = start(mine, tmp_path, "--workers", "1")
    wait_for(tmp_path, "data/*/near/*.npy", 1, process)
    process.kill()
    process.communicate()
    for path in (tmp_path / "in" / "prose").iterdir():
        path.unlink()
    prepared = prepare(mine, tmp_path)
    assert len(list(prepared.documents(mine.data.sources[0]))) > 20
    damaged = prepared.folder / "pieces" / "000003.tokens"
    damaged.write_bytes(b"")
    from xgen.cli import main

    assert main(["audit", str(prepared.folder), "--verify"]) == 2, "a piece cannot be made again without its input"
    assert (prepared.folder / "manifest.json").exists() and damaged.exists()
