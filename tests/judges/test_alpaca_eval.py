"""AlpacaEval: the published win rates from the recorded annotations, and the way from answers to verdicts."""

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judges.evaldata import evaldata
from xgen.core.errors import UserError
from xgen.judges import alpaca_eval
from xgen.judges.alpaca_eval import AlpacaEval
from xgen.speakers.asking import Reply

# Wins, losses, draws as the benchmark publishes them, and the win rate of table 8.
PUBLISHED = {
    "gpt4": (761, 32, 12, 95.28),
    "wizardlm-13b": (601, 194, 9, 75.31),
    "vicuna-13b": (566, 237, 2, 70.43),
    "falcon-40b-instruct": (366, 435, 4, 45.71),
    "alpaca-7b": (205, 584, 16, 26.46),
}
PROMPT = "<|im_start|>system\nRank.\n<|im_end|>\n<|im_start|>user\n{instruction}|{output_1}|{output_2}\n<|im_end|>"


def benchmark(number: int = 6) -> AlpacaEval:
    rows = [{"instruction": f"do {i}", "output": f"reference {i}", "dataset": "made"} for i in range(number)]
    return AlpacaEval(tuple(rows), "Rank.", "{instruction}|{output_1}|{output_2}")


@pytest.mark.parametrize("model", PUBLISHED)
def test_recorded_annotations_give_the_published_counts_and_win_rate(model: str) -> None:
    folder = evaldata("alpaca_eval")
    found = alpaca_eval.score(
        alpaca_eval.read_annotations(folder / "annotations" / f"{model}.json", alpaca_eval.load(folder))
    )
    wins, losses, draws, rate = PUBLISHED[model]
    assert (found["wins"], found["losses"], found["draws"]) == (wins, losses, draws)
    assert round(found["win_rate"], 2) == rate
    assert found["judged"] + found["not_understood"] == 805
    with (folder / "leaderboard.csv").open(encoding="utf-8") as file:
        row = next(row for row in csv.DictReader(file) if row[""] == model)
    assert found["win_rate"] == pytest.approx(float(row["win_rate"]), abs=1e-6)
    assert found["standard_error"] == pytest.approx(float(row["standard_error"]), abs=1e-6)


def test_each_answer_is_shown_once_against_the_reference_in_either_order() -> None:
    real = benchmark(200)
    answers = [f"answer {i}" for i in range(200)]
    prompts = [request.turns[0].split("|") for request in alpaca_eval.judge_requests(real, answers)]
    for number, (instruction, *pair) in enumerate(prompts):
        assert instruction == f"do {number}"
        assert sorted(pair) == [f"answer {number}", f"reference {number}"]
    shown_first = sum(pair[1].startswith("answer") for pair in prompts)
    assert 70 < shown_first < 130
    assert prompts == [request.turns[0].split("|") for request in alpaca_eval.judge_requests(real, answers)]


def test_a_judge_that_prefers_an_answer_wherever_it_stands_is_understood() -> None:
    real = benchmark(40)
    replies = []
    for request in alpaca_eval.judge_requests(real, ["answer"] * 40):
        first = 1 if request.turns[0].split("|")[1] == "answer" else 2
        said = f"[{{'model': 'model_1', 'rank': {first}}}, {{'model': 'model_2', 'rank': {3 - first}}}]"
        replies.append(Reply(said, "stop", 1, 1))
    rows = alpaca_eval.annotations(real, "ours", "judge-1", ["answer"] * 40, replies)
    found = alpaca_eval.score(rows)
    assert (found["wins"], found["losses"], found["win_rate"], found["standard_error"]) == (40, 0, 100.0, 0.0)
    assert found["judge"] == ["judge-1"]
    assert rows[3]["raw_completion"] == replies[3].text


def test_an_answer_that_speaks_of_the_prompts_fields_is_not_filled_in() -> None:
    (request,) = alpaca_eval.judge_requests(benchmark(1), ["say {output_1} and {instruction}"])
    assert sorted(request.turns[0].split("|")[1:]) == ["reference 0", "say {output_1} and {instruction}"]


@pytest.mark.parametrize(
    ("reply", "rank"),
    [
        ("[{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 2}]", 1),
        ('```python\n[{"model": "model_2", "rank": 1}, {"model": "model_1", "rank": 2}]\n```', 2),
        ("[{'model': 'model_1', 'rank': 3}, {'model': 'model_2', 'rank': 1}]", None),
        ("[{'model': 'model_1', 'rank': 1}, {'model': 'model_2', 'rank': 1}]", None),
        ("[{'model': 'model_1', 'rank': 1}]", None),
        ("[{'model': ['model_1'], 'rank': 1}, {'model': 'model_2', 'rank': 2}]", None),
        ("model_1 is better", None),
        ("__import__('os').system('false')", None),
        ("[" * 5_000, None),
        ("", None),
    ],
)
def test_only_a_ranking_of_both_models_is_a_verdict(reply: str, rank: int | None) -> None:
    assert alpaca_eval.rank_of_first(reply) == rank


@settings(max_examples=40)
@given(st.text())
def test_no_reply_makes_the_parser_fail(reply: str) -> None:
    assert alpaca_eval.rank_of_first(reply) in (1, 2, None)
    assert alpaca_eval.rank_of_first(f"[{reply}]") in (1, 2, None)


def test_verdicts_that_are_not_understood_are_dropped_and_counted() -> None:
    rows = [{"preference": value} for value in (2, 2, 1, 0, 1.5, None, None)]
    found = alpaca_eval.score(rows)
    assert (found["wins"], found["losses"], found["draws"], found["not_understood"]) == (2, 1, 2, 2)
    assert found["win_rate"] == pytest.approx(60.0)
    with pytest.raises(UserError, match=r"none of 2 verdicts is a ranking"):
        alpaca_eval.score([{"preference": None}] * 2)
    with pytest.raises(UserError, match=r"a preference of 7"):
        alpaca_eval.score([{"preference": 7}])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda rows: [*rows, rows[0]], "1 of the instructions are twice"),
        (lambda rows: rows[1:], "1 of the instructions are missing, the first of them 'do 0'"),
        (lambda rows: [{**row, "instruction": "x" + row["instruction"]} for row in rows], "6 of the .* are missing"),
        (lambda rows: [*rows, {**rows[0], "instruction": "else"}], "not of this set, the first of them 'else'"),
        (lambda rows: [{**row, "output_1": "other"} for row in rows], "with other outputs than those of the reference"),
        (lambda rows: [{"instruction": "do 0"}], "row 0 of .* has no output_1, output_2, preference"),
        (lambda rows: {}, "holds no rows"),
    ],
)
def test_annotations_of_another_question_set_are_refused(change, sentence: str, tmp_path: Path) -> None:
    real = benchmark()
    rows = alpaca_eval.annotations(real, "m", "j", ["a"] * 6, [Reply("", "stop", 1, 1)] * 6)
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(change(rows)))
    with pytest.raises(UserError, match=sentence):
        alpaca_eval.read_annotations(path, real)
    path.write_text(json.dumps(rows))
    assert alpaca_eval.read_annotations(path, real) == rows


def test_the_benchmarks_files_are_read_or_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no file .*reference_outputs.json"):
        alpaca_eval.load(tmp_path)
    (tmp_path / "reference_outputs.json").write_text(json.dumps([{"instruction": "a", "output": "b"}] * 3))
    with pytest.raises(UserError, match=r"the judge's prompt cannot be read"):
        alpaca_eval.load(tmp_path)
    (tmp_path / "alpaca_eval.txt").write_text("nothing")
    with pytest.raises(UserError, match=r"asks nothing"):
        alpaca_eval.load(tmp_path)
    (tmp_path / "alpaca_eval.txt").write_text(PROMPT)
    loaded = alpaca_eval.load(tmp_path, limit=2)
    assert (len(loaded.rows), loaded.system, loaded.prompt) == (2, "Rank.", "{instruction}|{output_1}|{output_2}")


def test_the_real_prompt_shows_both_answers_as_they_are() -> None:
    real = alpaca_eval.load(evaldata("alpaca_eval"), limit=4)
    for request in alpaca_eval.judge_requests(real, ['an answer with {braces} and "quotes"'] * 4):
        assert 'an answer with {braces} and "quotes"' in request.turns[0]
        assert "<|im_" not in request.turns[0] + request.system
        assert request.system == "You are a helpful assistant, that ranks models by the quality of their answers."
