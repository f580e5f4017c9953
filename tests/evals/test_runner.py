"""The runner keeps every answer at once, continues after a kill, and lets one failure stop nothing else."""

import json
import math

import pytest

from evals.candidates import noise
from xgen.core.errors import UserError
from xgen.core.ledger import read_json, sha256_of_file
from xgen.core.types import Likelihood
from xgen.evals.choice import Question, accuracies, answering
from xgen.evals.runner import run, run_task
from xgen.evals.task import Items, Settings, Task, scores_of

WORDS = ["amber", "birch", "cedar", "delta", "ember", "flint", "grove", "heath"]


def task(name: str = "words", number: int = 8, at_once: int = 3) -> Task:
    def load(settings: Settings) -> Items:
        asked = [
            Question(word, ((f"{word}?", " yes"), (f"{word}?", " no way")), index % 2, ("yes", "no way"))
            for index, word in enumerate(WORDS[:number])
        ]
        return Items(asked[: settings.limit or None], {"files": "words", "sha256": str(number)})

    return Task(name, 1, "Words", "acc", load, answering(accuracies), at_once=at_once)


def test_a_result_says_scores_errors_counts_who_was_asked_and_every_answer(tmp_path):
    result = run_task(task(), noise(), Settings(), tmp_path)
    assert read_json(tmp_path / "words.json") == result
    lines = [json.loads(line) for line in (tmp_path / "words.jsonl").read_text().splitlines()]
    assert lines[0]["asked"]["candidate"] == {"model": "noise", "window": "100000"}
    assert [line["key"] for line in lines[1:]] == WORDS
    acc = [line["scores"]["acc"] for line in lines[1:]]
    mean = sum(acc) / 8
    assert result["scores"]["acc"] == {
        "value": pytest.approx(mean),
        "standard_error": pytest.approx(math.sqrt(sum((x - mean) ** 2 for x in acc) / 7 / 8)),
        "count": 8,
        "chance": 0.5,
    }
    assert lines[1]["prompts"] == ["amber?"] and lines[1]["answers"] == [" yes", " no way"]
    assert len(lines[1]["logprobs"]) == 2
    assert result["samples_sha256"] == sha256_of_file(tmp_path / "words.jsonl")


def test_a_complete_result_is_not_asked_again_and_another_question_is(tmp_path):
    who = noise()
    first = run_task(task(), who, Settings(), tmp_path)
    asked = who.model.asked
    assert run_task(task(), who, Settings(), tmp_path) == first and who.model.asked == asked
    shorter = run_task(task(), who, Settings(limit=4), tmp_path)
    assert shorter["scores"]["acc"]["count"] == 4 and who.model.asked == asked + 8


class Killed(Exception):
    """A kill in the middle of a task."""


@pytest.mark.parametrize("torn", ["", '{"step": 7, "key": "gro'])
def test_a_killed_task_continues_with_the_next_item_and_ends_the_same(tmp_path, torn):
    expected = run_task(task(), noise(), Settings(), tmp_path / "whole")
    who = noise()
    score, calls = who.model.score, []

    def failing(requests):
        calls.append(len(requests))
        if len(calls) == 3:
            raise Killed
        return score(requests)

    who.model.score = failing
    with pytest.raises(Killed):
        run_task(task(), who, Settings(), tmp_path)
    with (tmp_path / "words.jsonl").open("a") as file:
        file.write(torn)
    assert not (tmp_path / "words.json").exists()
    found = run_task(task(), who, Settings(), tmp_path)
    assert calls == [6, 6, 4, 4], "items of the first two saves are not asked again"
    assert found["scores"] == expected["scores"] and found["samples_sha256"] == expected["samples_sha256"]


def test_one_failure_is_a_sentence_in_its_result_and_the_rest_goes_on(tmp_path):
    who = noise()
    score = who.model.score
    who.model.score = lambda requests: (
        score(requests) if len(requests) > 2 else [Likelihood(math.nan, greedy=False)] * len(requests)
    )
    seen = []
    broken, whole, none = task("broken", number=1), task(number=6), task("none", number=0)
    found = run([broken, whole, none], who, Settings(), tmp_path, seen.append)
    assert "not finite" in found[0]["error"] and "error" not in found[1] and "no items" in found[2]["error"]
    assert seen == found
    who.model.score = score
    assert "error" not in run([broken], who, Settings(), tmp_path, seen.append)[0]


def test_a_metric_is_averaged_over_the_records_that_have_it():
    records = [{"scores": {"a": 1.0}}, {"scores": {"a": 0.0, "b": 0.25}}]
    found = scores_of(records)
    assert found["a"]["value"] == 0.5 and found["a"]["count"] == 2
    assert found["b"]["value"] == 0.25 and math.isnan(found["b"]["standard_error"])


def test_a_window_that_is_too_short_for_an_answer_is_told():
    with pytest.raises(UserError, match="an answer of 4 tokens"):
        task().answer(noise(3), task().load(Settings()).items, Settings())
