"""The suite `instruct` end to end: a tuned model of ours answers, a server judges over a socket and fails at it."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import pytest

pytest.importorskip("openai", reason="the extra 'eval' is not installed")
pytest.importorskip("rouge_score", reason="the extra 'eval' is not installed")

from judges.evaldata import evaldata
from pipelines.benchmarks import verdict, write_benchmarks
from pipelines.runs import tuned_of
from speakers.server import Server, serving
from xgen.core.errors import UserError
from xgen.judges.tasks import Files
from xgen.pipelines import evaluate
from xgen.pipelines.judge import Options
from xgen.speakers.asking import Record, Request, ask
from xgen.speakers.config import Endpoint
from xgen.workspace.speakers import peer_of, speaker_of
from xgen.workspace.target import resolve

FAULTS = ["rate limit", "stall", "half json", "cut", "server fault", "no message", "nonsense"]


@pytest.fixture(scope="module")
def place(finished, tmp_path_factory) -> Path:
    """A copy of the finished run of `micro`, with small benchmarks beside it."""
    root = tmp_path_factory.mktemp("judged")
    shutil.copytree(finished[0] / "runs", root / "runs")
    (root / ".cache").symlink_to(finished[0] / ".cache")
    write_benchmarks(root / "files")
    return root


def options(place: Path, judge: Endpoint, **changes) -> evaluate.Options:
    files = Files(
        alpaca_eval=place / "files/alpaca",
        mt_bench=place / "files/mt_bench",
        long_texts=place / "files/texts",
        ami=place / "files/ami",
    )
    judged = Options(**{"judge": judge, "files": files, "stress": 0, **changes})
    return evaluate.Options(root=place, suite="instruct", judged=judged)


def evaluated(place: Path, judge: Endpoint, capsys, **changes) -> str:
    target = resolve(str(tuned_of(place)))
    evaluate.run(target, target.recipe, options(place, judge, **changes))
    return capsys.readouterr().out


def patient(server: Server, **changes) -> Endpoint:
    return server.endpoint(attempts=30, **changes)


def test_every_fault_of_a_judge_is_survived_and_nothing_is_asked_twice(place: Path, capsys) -> None:
    with serving(verdict, FAULTS * 3) as server:
        printed = evaluated(place, patient(server), capsys)
        asked = len(server.seen)
        again = evaluated(place, patient(server), capsys)
        assert len(server.seen) == asked, "the second run finds all of it in the record"
    tables = re.findall(r"Table (\d+) of the report", printed)
    assert tables == ["8", "9", "10", "11", "12", "13"]
    assert re.findall(r"\| .*measured\) .*", printed) == re.findall(r"\| .*measured\) .*", again)
    found = json.loads((tuned_of(place) / "results" / "instruct.json").read_text())
    ((name, scores),) = found.items()
    assert name.startswith("micro-inst-") and "@" in name
    assert scores["alpaca_eval"]["judged"] + scores["alpaca_eval"]["not_understood"] == 4
    assert scores["mt_bench_single"]["judged"] + scores["mt_bench_single"]["not_understood"] == 8
    assert scores["mt_bench_pair"]["judged"] + scores["mt_bench_pair"]["not_understood"] == 8
    assert scores["long_form_qa"]["judged"] + scores["long_form_qa"]["not_understood"] == 6
    nonsense = sum(scores[task].get("not_understood", 0) for task in scores)
    assert 1 <= nonsense <= 6, "what made no sense was dropped and counted, not asked again"
    assert scores["summarization_AMI"]["summaries"] == 4
    assert "named (--files.fd)" in scores["summarization_FD"]["error"]
    assert f"not measured: {scores['summarization_FD']['error']}" in printed
    kept = tuned_of(place) / "judged" / name
    assert json.loads((kept / "alpaca_eval" / "annotations.json").read_text())[0]["annotator"] == "judge-1"
    single = (kept / "mt_bench" / "model_judgment" / "judge-1_single.jsonl").read_text().splitlines()
    assert {"user_prompt", "judgment", "score", "judge"} <= set(json.loads(single[0]))
    assert (kept / "mt_bench.svg").read_text().startswith("<svg")
    events = [json.loads(line) for line in (place / "judged" / "judge-1.jsonl").read_text().splitlines()]
    why = " ".join(event["why"] for event in events if event["event"] == "failed")
    for words in ("slow down", "no reply within", "half a reply", "connection broke", "it broke", "no message"):
        assert words in why, words


def test_a_record_replays_without_anybody_and_a_base_model_stands_beside_its_tuned_one(place: Path, capsys) -> None:
    files = Files(alpaca_eval=place / "files/alpaca")
    target = resolve(str(tuned_of(place)))
    with serving(verdict) as server:
        evaluated(place, patient(server), capsys, files=files)
        values = options(place, patient(server), files=files)
        evaluate.run(target, target.recipe, dataclasses.replace(values, checkpoint="base"))
    rows = re.findall(r"\| (micro\S+) \(measured\) +\| +\d", capsys.readouterr().out)
    assert len(set(rows)) == 2, "the tuned run and its base"
    nobody = Endpoint(url="http://127.0.0.1:9/v1", model="judge-1")
    assert "Table 8 of the report" in evaluated(place, nobody, capsys, replay=True, files=files)
    with pytest.raises(UserError, match=r"holds no reply of judge-2 to 4 requests"):
        evaluated(place, dataclasses.replace(nobody, model="judge-2"), capsys, replay=True, files=files)


def test_a_peer_behind_an_endpoint_answers_in_its_own_words(place: Path, capsys) -> None:
    with serving(verdict) as judge, serving(lambda _: "I am the peer.") as peer:
        printed = evaluated(place, patient(judge), capsys, peer=peer.endpoint(model="org/peer-7b"))
    assert "org/peer-7b (measured)" in printed
    row = json.loads((tuned_of(place) / "judged" / "org_peer-7b" / "alpaca_eval" / "annotations.json").read_text())[0]
    assert (row["output_2"], row["generator_2"]) == ("I am the peer.", "org/peer-7b")
    assert all(asked["model"] == "org/peer-7b" for asked in peer.seen)


def test_a_budget_that_is_spent_ends_in_a_sentence_and_a_larger_one_goes_on(place: Path, capsys) -> None:
    prices = {"model": "costly", "price_in": 1e4, "price_out": 1e4, "concurrency": 1}
    with serving(verdict) as server:
        with pytest.raises(UserError, match=r"of the budget of \$12 are spent"):
            evaluated(place, patient(server, budget=12.0, **prices), capsys)
        asked = len(server.seen)
        assert 0 < asked < 10
        printed = evaluated(place, patient(server, budget=1_000.0, **prices), capsys)
        sent = [json.dumps(each["messages"]) for each in server.seen]
        assert not set(sent[:asked]) & set(sent[asked:]), "what was paid is not asked again"
    assert re.search(r"costly: \$\d+\.\d\d spent in all", printed)


def test_without_a_judge_what_needs_none_is_measured_and_the_rest_says_why(place: Path, capsys) -> None:
    with serving(lambda _: "I'm sorry, I can't say. Which one?") as peer:
        printed = evaluated(place, Endpoint(), capsys, peer=peer.endpoint(model="peer"), stress=1)
    assert printed.count("not measured: no judge is named (--judge.url and --judge.model, or --judge-folder)") == 4
    assert re.search(r"\| malicious +\| +100.0 of 1 \|", printed)
    assert re.search(r"\| harmless +\| +0.0 of 1 \|", printed)
    with pytest.raises(UserError, match=r"there is no task 'instrukt'"):
        target = resolve(str(tuned_of(place)))
        evaluate.run(target, target.recipe, evaluate.Options(root=place, suite="instrukt"))


def test_a_model_of_ours_judges_too(place: Path, capsys) -> None:
    """It is too small to be understood: all verdicts are nonsense, which is one clear sentence."""
    with pytest.raises(UserError, match=r"none of \d+ verdicts is a ranking"):
        evaluated(place, Endpoint(), capsys, judge_folder=tuned_of(place))


@pytest.mark.slow
@pytest.mark.parity
def test_a_folder_answers_alike_through_our_engine_and_through_transformers(finished, tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="the extra 'parity' is not installed")
    folder = finished[0] / json.loads((tuned_of(finished[0]) / "results" / "export.json").read_text())["folder"]
    ours = speaker_of(resolve(str(folder)), resolve("micro").recipe, tmp_path, "latest")
    theirs = peer_of(folder, seed=0)
    conversations = (("What is a list?",), ("Write it.", "It is written.", "Again?"))
    requests = [Request(f"q{i}", turns, 0.0, 12) for i, turns in enumerate(conversations)]
    assert [ours.render(request) for request in requests] == [theirs.render(request) for request in requests]
    said = [ask(who, requests, Record(tmp_path / str(i), who.name)) for i, who in enumerate((ours, theirs))]
    assert [reply.text for reply in said[0]] == [reply.text for reply in said[1]]
    assert any(reply.text for reply in said[0])
    (tmp_path / "other").mkdir()
    for path in folder.iterdir():
        (tmp_path / "other" / path.name).symlink_to(path)
    (tmp_path / "other" / "chat_template.jinja").unlink()
    (tmp_path / "other" / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    assert peer_of(tmp_path / "other", 0).render(requests[0]) == ours.encode("What is a list?")
    with pytest.raises(UserError, match=r"a chat template that is none of ours.*--peer-folder"):
        speaker_of(resolve(str(tmp_path / "other")), resolve("micro").recipe, tmp_path, "latest")
    with pytest.raises(UserError, match=r"transformers cannot load"):
        peer_of(tmp_path, 0)


def test_recorded_judgments_print_their_published_numbers(place: Path, tmp_path: Path, capsys) -> None:
    folder = evaldata("alpaca_eval")
    (tmp_path / "annotations.json").symlink_to(folder / "annotations" / "vicuna-13b.json")
    for kind in ("single", "pair"):
        (tmp_path / f"gpt-4_{kind}.jsonl").symlink_to(evaldata(f"mt_bench/judgments/gpt-4_{kind}.jsonl"))
    files = Files(alpaca_eval=folder, mt_bench=evaldata("mt_bench"), baseline="phi-3", recorded=tmp_path)
    evaluate.run(
        resolve("micro"), resolve("micro").recipe, evaluate.Options(suite="instruct", judged=Options(files=files))
    )
    printed = capsys.readouterr().out
    assert re.search(r"vicuna-13b \(measured\) +\| 70.4 ± 1.6", printed)
    assert re.search(r"llama2_chat_7b \(measured\) +\| +6.19", printed)
    assert re.search(r"phi-3-dpo \(measured\) +\| +20 \| +18 \| +35 \| +27.4 \| +24.7 \| +51.4", printed)
