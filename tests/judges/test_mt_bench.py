"""MT-Bench: recorded judgments give their published numbers, and prompts and verdicts follow the protocol."""

import json
from collections import Counter
from pathlib import Path

import pytest

from judges.evaldata import evaldata
from speakers.scripted import scripted
from xgen.core.errors import UserError
from xgen.core.ledger import write_json_lines
from xgen.judges import mt_bench, mt_bench_scores
from xgen.judges.mt_bench import MtBench
from xgen.speakers.asking import Request


def benchmark() -> MtBench:
    """Two questions of our own, one with a reference, and prompts that show which fields they were given."""
    questions = (
        {"question_id": 1, "category": "writing", "turns": ["Q1", "Q2"]},
        {"question_id": 2, "category": "math", "turns": ["M1", "M2"]},
    )
    templates = {
        "single-v1": "{question}|{answer}",
        "single-v1-multi-turn": "{question_1}|{answer_1}|{question_2}|{answer_2}",
        "single-math-v1": "{question}|{ref_answer_1}|{answer}",
        "single-math-v1-multi-turn": "{question_1}|{ref_answer_1}|{question_2}|{ref_answer_2}|{answer_1}|{answer_2}",
        "pair-v2": "{question}|{answer_a}|{answer_b}",
        "pair-v2-multi-turn": "{question_1}|{question_2}|{answer_a_1}|{answer_a_2}|{answer_b_1}|{answer_b_2}",
        "pair-math-v1": "{question}|{ref_answer_1}|{answer_a}|{answer_b}",
        "pair-math-v1-multi-turn": "{ref_answer_1}|{ref_answer_2}|{answer_a_2}|{answer_b_2}",
    }
    prompts = {
        name: {"name": name, "system_prompt": f"as {name}", "prompt_template": text} for name, text in templates.items()
    }
    return MtBench(questions, prompts, {2: ("R1", "R2")})


ANSWERS = {1: ("a1", "a2"), 2: ("m1", "m2")}
OTHERS = {1: ("o1", "o2"), 2: ("p1", "p2")}


def test_the_recorded_comparisons_give_20_wins_18_losses_and_35_ties() -> None:
    folder = evaldata("mt_bench")
    categories = mt_bench.load(folder).categories
    rows = mt_bench_scores.read_judgments(folder / "judgments" / "gpt-4_pair.jsonl", categories)
    found = mt_bench_scores.pair(rows, "phi-3-dpo", "phi-3", categories)
    assert (found["win"], found["loss"], found["tie"], found["not_understood"]) == (20, 18, 35, 2)
    rates = [round(found[name], 4) for name in ("win_rate", "loss_rate", "win_rate_adjusted")]
    assert rates == [0.2740, 0.2466, 0.5137]
    mirrored = mt_bench_scores.pair(rows, "phi-3", "phi-3-dpo", categories)
    assert (mirrored["win"], mirrored["loss"], mirrored["tie"]) == (18, 20, 35)


def test_the_recorded_grades_of_llama_2_7b_chat_give_6_19() -> None:
    folder = evaldata("mt_bench")
    categories = mt_bench.load(folder).categories
    rows = mt_bench_scores.read_judgments(folder / "judgments" / "gpt-4_single.jsonl", categories)
    found = mt_bench_scores.single(rows, "llama2_chat_7b", categories)
    assert (round(found["score"], 2), found["judged"], found["duplicates"]) == (6.19, mt_bench_scores.EXPECTED, 0)
    assert mt_bench_scores.single(rows, "llama2_7b", categories)["score"] == 3.96875
    assert sorted(found["by_category"]) == sorted(mt_bench.TEMPERATURES)
    doubled = mt_bench_scores.single([*rows, *rows], "llama2_chat_7b", categories)
    assert (doubled["score"], doubled["duplicates"]) == (found["score"], 160)


def test_the_real_prompts_are_filled_as_the_recorded_judgments_were(tmp_path: Path) -> None:
    """The recorded rows hold the prompt that GPT-4 was shown; the answers are cut out of them and filled in again."""
    folder = evaldata("mt_bench")
    real = mt_bench.load(folder)
    rows = mt_bench_scores.read_judgments(folder / "judgments" / "gpt-4_single.jsonl", real.categories)
    of = {(row["question_id"], row["turn"]): row for row in rows if row["model"] == "llama2_chat_7b"}
    answers = {}
    for question in real.questions:
        text = of[question["question_id"], 2]["user_prompt"]
        parts = text.split("### Assistant A:\n")
        first, second = parts[1].split("\n\n### User:\n")[0], parts[2].split("\n\n<|The End of Assistant A's")[0]
        answers[question["question_id"]] = (first, second)
    judge = scripted(lambda _: "[[5]]", tmp_path)
    found = mt_bench.judge_single(real, "llama2_chat_7b", answers, judge)
    assert len(found) == 160
    assert all(row["user_prompt"] == of[row["question_id"], row["turn"]]["user_prompt"] for row in found)
    assert all(row["judge"][1] == of[row["question_id"], row["turn"]]["judge"][1] for row in found)


def test_the_second_turn_follows_the_answer_to_the_first_at_the_temperature_of_its_category(tmp_path: Path) -> None:
    model = scripted(lambda request: f"to {request.turns[-1]}", tmp_path)
    rows = mt_bench.answer(benchmark(), model)
    assert [row["choices"][0]["turns"] for row in rows] == [["to Q1", "to Q2"], ["to M1", "to M2"]]
    asked = {request.turns: request for request in model.speaker.asked}
    assert set(asked) == {("Q1",), ("Q1", "to Q1", "Q2"), ("M1",), ("M1", "to M1", "M2")}
    assert {request.turns[0]: request.temperature for request in asked.values()} == {"Q1": 0.7, "M1": 0.0}
    assert {request.max_tokens for request in asked.values()} == {1_024}
    path = tmp_path / "model_answer" / "scripted.jsonl"
    write_json_lines(path, rows)
    assert mt_bench.read_answers(path, benchmark().questions) == {1: ("to Q1", "to Q2"), 2: ("to M1", "to M2")}


def test_references_are_shown_for_math_and_grades_that_cannot_be_read_are_dropped(tmp_path: Path) -> None:
    grades = {"Q1|a1": "good [[8]]", "Q1|a1|Q2|a2": "Rating: [6]", "M1|R1|m1": "nice", "M1|R1|M2|R2|m1|m2": "[[4.5]]"}
    rows = mt_bench.judge_single(benchmark(), "ours", ANSWERS, scripted(lambda it: grades[it.turns[0]], tmp_path))
    assert [row["score"] for row in rows] == [8, 6, -1, 4.5]
    assert [row["judge"][1] for row in rows] == [
        "single-v1", "single-v1-multi-turn", "single-math-v1", "single-math-v1-multi-turn",
    ]  # fmt: skip
    found = mt_bench_scores.single(rows, "ours", benchmark().categories)
    assert (found["score"], found["not_understood"]) == (pytest.approx(18.5 / 3), 1)
    assert found["by_category"] == {"math": 4.5, "writing": 7.0}
    assert found["by_turn"] == {"1": 8.0, "2": 5.25}


def test_a_win_needs_both_orders(tmp_path: Path) -> None:
    def first(_: Request) -> str:
        return "I like [[A]]"

    def ours(request: Request) -> str:
        shown = request.turns[0].split("|")
        mine = [place for place, text in enumerate(shown) if text[0] in "am" and text[1:].isdigit()]
        others = [place for place, text in enumerate(shown) if text[0] in "op"]
        return "[[A]]" if min(mine) < min(others) else "[[B]]"

    real, models = benchmark(), ("ours", "baseline")
    rows = mt_bench.judge_pair(real, models, (ANSWERS, OTHERS), scripted(first, tmp_path, "first"))
    found = mt_bench_scores.pair(rows, "ours", "baseline", real.categories)
    assert (found["win"], found["loss"], found["tie"]) == (0, 0, 4), "a judge that likes whoever stands first"
    rows = mt_bench.judge_pair(real, models, (ANSWERS, OTHERS), scripted(ours, tmp_path, "ours"))
    found = mt_bench_scores.pair(rows, "ours", "baseline", real.categories)
    assert (found["win"], found["loss"], found["tie"], found["win_rate_adjusted"]) == (4, 0, 0, 1.0)
    assert mt_bench_scores.pair(rows, "baseline", "ours", real.categories)["loss"] == 4
    rows = mt_bench.judge_pair(real, models, (ANSWERS, OTHERS), scripted(lambda _: "[[C]]", tmp_path, "ties"))
    assert Counter(row["g1_winner"] + row["g2_winner"] for row in rows) == {"tietie": 4}
    rows[0]["g2_winner"] = "error"
    found = mt_bench_scores.pair([*rows, rows[1]], "ours", "baseline", real.categories)
    assert (found["tie"], found["not_understood"], found["duplicates"]) == (3, 1, 1)


@pytest.mark.parametrize(
    ("judgment", "grade"),
    [("[[10]]", 10), ("[7] then [[3]]", 3), ("8/10", -1), ("[[x]] [5.5]", 5.5), ("", -1), ("[[rating]]", -1)],
)
def test_a_rating_stands_in_brackets(judgment: str, grade: int | float) -> None:
    assert mt_bench.rating(judgment) == grade


def broken(folder: Path, name: str, change) -> None:
    rows = [json.loads(line) for line in (folder / name).read_text().splitlines()]
    write_json_lines(folder / name, change(rows))


def files(folder: Path) -> Path:
    made = benchmark()
    write_json_lines(folder / "question.jsonl", made.questions)
    write_json_lines(
        folder / "judge_prompts.jsonl", [{**row, "output_format": "[[A]]"} for row in made.prompts.values()]
    )
    reference = [{"question_id": 2, "choices": [{"index": 0, "turns": ["R1", "R2"]}]}]
    write_json_lines(folder / "reference_answer" / "gpt-4.jsonl", reference)
    return folder


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("question.jsonl", lambda rows: [*rows, rows[0]], r"has question 1 twice"),
        ("question.jsonl", lambda rows: [{**rows[0], "category": "cooking"}], r"has 2 turns in 'cooking'"),
        ("question.jsonl", lambda rows: [{"question_id": 3}], r"row 1 of .* has no category, turns"),
        ("question.jsonl", lambda rows: [], r"is empty"),
        ("judge_prompts.jsonl", lambda rows: rows[1:], r"has no prompt 'single-v1'"),
        (
            "reference_answer/gpt-4.jsonl",
            lambda rows: [{**rows[0], "question_id": 9}],
            r"no answer of two turns to 1 of",
        ),
        ("reference_answer/gpt-4.jsonl", lambda rows: [{**rows[0], "choices": []}], r"without choices\[0\]"),
    ],
)
def test_files_that_are_not_the_benchmarks_are_refused(name: str, change, sentence: str, tmp_path: Path) -> None:
    folder = files(tmp_path)
    assert mt_bench.load(folder).references == {2: ("R1", "R2")}
    broken(folder, name, change)
    with pytest.raises(UserError, match=sentence):
        mt_bench.load(folder)


def test_judgments_of_other_questions_or_models_are_refused(tmp_path: Path) -> None:
    real = benchmark()
    rows = mt_bench.judge_single(real, "ours", ANSWERS, scripted(lambda _: "[[5]]", tmp_path))
    path = tmp_path / "judge_single.jsonl"
    write_json_lines(path, rows)
    assert mt_bench_scores.read_judgments(path, real.categories) == rows
    with pytest.raises(UserError, match=r"judges 2 answers to other questions, the first of them to 2"):
        mt_bench_scores.read_judgments(path, [1])
    with pytest.raises(UserError, match=r"no judgment of theirs.*Judged: ours"):
        mt_bench_scores.single(rows, "theirs", real.categories)
    with pytest.raises(UserError, match=r"none of 1 judgments of ours has a rating"):
        mt_bench_scores.single([{**rows[0], "score": -1}], "ours", real.categories)
    path.write_text("{}\n")
    with pytest.raises(UserError, match=r"row 1 of .* is no judgment"):
        mt_bench_scores.read_judgments(path, [1])
