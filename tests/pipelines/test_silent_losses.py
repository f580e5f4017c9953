"""Ways in which another well-kept tool was seen to lose documents without a word, tried on us."""

import gzip
import json
import os

import pytest

from data.stores import recipe_over, sentence, write_corpus
from pipelines.lines import bytes_of, corpus, make_small, write_lines
from xgen.core.errors import UserError
from xgen.engine.crew import Crew, OthersUnfinished, Share
from xgen.pipelines.prepare import prepare
from xgen.workspace.folders import data_folder


def lines_of(number, first_seed=5_000):
    return [json.dumps({"text": sentence(first_seed + seed, 12)}).encode() for seed in range(number)]


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """A thousand lines with one bad byte, one broken, one empty, one missing, two of wrong types; a gzip cut short."""
    folder = tmp_path_factory.mktemp("faulty")
    prose = write_corpus(folder / "prose", 0)
    lines = lines_of(1000)
    lines[5] = lines[5][:20] + b"\xff" + lines[5][20:]
    lines[10:15] = [b'{"text": "cut', b'{"text": ""}', b'{"other": "x"}', b'["a list"]', b'{"text": 7}']
    (prose / "lines.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    packed = gzip.compress(b"\n".join(lines_of(400, 9_000)) + b"\n")
    (prose / "packed.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    recipe = recipe_over(prose, write_corpus(folder / "code", 1000))
    return recipe, prepare(recipe, folder)


def records_of(prepared):
    return [
        json.loads(line)
        for path in sorted(prepared.folder.glob("pieces/*.quarantine.jsonl"))
        for line in path.read_text().splitlines()
    ]


def test_one_bad_byte_costs_one_line_of_a_thousand_and_not_the_file(faulty):
    _, prepared = faulty
    (record,) = [record for record in records_of(prepared) if record["reason"] == "invalid UTF-8"]
    assert record["line"] == 6 and record["file"].endswith("lines.jsonl")
    from_lines = prepared.manifest["sources"]["prose"]["read"]["documents"] - 40
    assert 1000 - 6 < from_lines < 1000 - 6 + 400, "all other lines, and what the gzip gave"


def test_lines_that_are_left_out_are_all_counted_with_file_and_line(faulty):
    _, prepared = faulty
    skipped = prepared.manifest["sources"]["prose"]["skipped"]
    assert skipped == {
        "invalid UTF-8": 1,
        "broken JSON": 1,
        "empty text": 1,
        "no field `text`": 1,
        "JSON that is not an object": 1,
        "a `text` of type int": 1,
        "a damaged file": 1,
    }
    assert {record["line"] for record in records_of(prepared) if "lines" in record["file"]} == {6, 11, 13, 14, 15}


def test_what_goes_in_comes_out_or_is_accounted_for(faulty):
    _, prepared = faulty
    for source in prepared.manifest["sources"].values():
        for kind in ("documents", "tokens"):
            assert source["read"][kind] == sum(fate[kind] for fate in source["fates"].values())


def test_a_gzip_that_was_cut_short_gives_what_is_before_the_cut_and_is_named(faulty):
    _, prepared = faulty
    (record,) = [record for record in records_of(prepared) if record["reason"] == "a damaged file"]
    assert record["file"].endswith("packed.jsonl.gz") and 100 < record["line"] < 400
    assert prepared.manifest["sources"]["prose"]["read"]["documents"] == 40 + 994 + record["line"] - 1


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """A run of which a quarter is done, and what an undisturbed run makes of the same input."""
    make_small(monkeypatch)
    monkeypatch.setattr("xgen.pipelines.prepare.INLINE_BYTES", 1 << 30)
    recipe = corpus(tmp_path / "in")
    whole = prepare(recipe, tmp_path / "whole")
    with pytest.raises(OthersUnfinished):
        prepare(recipe, tmp_path, crew=Crew(share=Share(1, 4)))
    return recipe, whole


def test_a_run_that_goes_on_with_another_number_of_workers_loses_nothing_and_counts_all(begun, tmp_path):
    recipe, whole = begun
    resumed = prepare(recipe, tmp_path, crew=Crew(num_workers=3))
    assert resumed.manifest["sources"] == whole.manifest["sources"], "the counts are those of all runs together"
    assert bytes_of(resumed.folder) == bytes_of(whole.folder)


def test_a_file_that_appears_before_a_run_goes_on_shifts_nothing_and_is_not_left_out_in_silence(begun, tmp_path):
    recipe, whole = begun
    new = tmp_path / "in" / "prose" / "a-new-one.jsonl"
    new.write_bytes(b"\n".join(lines_of(5)))
    with pytest.raises(UserError, match=r"a-new-one\.jsonl is new; expected the files that its plan.json lists"):
        prepare(recipe, tmp_path)
    new.unlink()
    assert bytes_of(prepare(recipe, tmp_path).folder) == bytes_of(whole.folder)


@pytest.mark.slow
def test_on_ray_a_worker_that_dies_costs_nothing_and_an_error_is_an_error(tmp_path, monkeypatch):
    import signal
    import threading
    from pathlib import Path

    from pipelines.lines import wait_for

    ray = pytest.importorskip("ray", reason="the extra `cluster` is not installed")
    make_small(monkeypatch)
    recipe = corpus(tmp_path / "in")
    local = prepare(recipe, tmp_path / "local", crew=Crew(num_workers=2))
    killed = []

    def kill_a_worker():
        wait_for(tmp_path, "ray/data/*/pieces/*.json", 3)
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            if path.read_bytes().startswith(b"ray::_call"):
                os.kill(int(path.parent.name), signal.SIGKILL)
                killed.append(path)
                return

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100 << 20)
    killer = threading.Thread(target=kill_a_worker)
    killer.start()
    on_ray = prepare(recipe, tmp_path / "ray", crew=Crew("ray"))
    killer.join()
    assert killed and not ray.is_initialized()
    assert bytes_of(on_ray.folder) == bytes_of(local.folder)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100 << 20)
    write_lines(tmp_path / "other", 0, 60)
    (tmp_path / "other" / "a.jsonl").write_text("{broken\n")
    with pytest.raises(UserError, match="broken JSON"):
        prepare(recipe_over(tmp_path / "other", tmp_path / "in" / "code"), tmp_path, strict=True, crew=Crew("ray"))
    assert not (data_folder(recipe, tmp_path) / "manifest.json").exists()
