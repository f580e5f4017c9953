"""MT-Bench: 80 questions of two turns, answered and judged (section 5.2.2, tables 9 and 10).

All that is the benchmark's is read from its own files in FastChat's layout: `question.jsonl`, `judge_prompts.jsonl`,
and `<model>.jsonl` in `reference_answer` (for math, reasoning and coding) and in `model_answer`. Answers and judgments
are written in the same formats, so that tools for those read ours.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from xgen.core.errors import UserError, suggest
from xgen.core.ledger import fingerprint, read_json_lines
from xgen.speakers.asking import Asked, Reply, Request

TEMPERATURES = {
    "writing": 0.7,
    "roleplay": 0.7,
    "stem": 0.1,
    "humanities": 0.1,
    "extraction": 0.0,
    "math": 0.0,
    "coding": 0.0,
    "reasoning": 0.0,
}
WITH_REFERENCE = ("math", "reasoning", "coding")
ANSWER_TOKENS, JUDGE_TOKENS = 1_024, 2_048
RATING = re.compile(r"\[\[(\d+\.?\d*)\]\]"), re.compile(r"\[(\d+\.?\d*)\]")
NO_RATING = -1
PROMPTS = [
    kind + reference + turn
    for kind, reference in (("pair", "-v2"), ("pair", "-math-v1"), ("single", "-v1"), ("single", "-math-v1"))
    for turn in ("", "-multi-turn")
]
Row = dict[str, Any]
Kind = Literal["single", "pair"]


@dataclass(frozen=True)
class MtBench:
    """Questions in order, the judge's prompts by name, and the texts of both turns by question."""

    questions: tuple[Row, ...]
    prompts: dict[str, Row]
    references: dict[int, tuple[str, ...]]

    @property
    def categories(self) -> dict[int, str]:
        return {question["question_id"]: question["category"] for question in self.questions}


def load(folder: Path, reference: str = "gpt-4", limit: int = 0) -> MtBench:
    """Read the benchmark's files; `limit` above 0 keeps the first so many questions of each category."""
    questions = _rows(folder / "question.jsonl", ("question_id", "category", "turns"))
    for question in questions:
        if question["category"] not in TEMPERATURES or len(question["turns"]) != 2:
            raise UserError(
                f"question {question['question_id']} has {len(question['turns'])} turns in '{question['category']}'",
                f"two turns in one of {', '.join(TEMPERATURES)}",
                "Take the questions of MT-Bench.",
            )
    _require_once(folder / "question.jsonl", [question["question_id"] for question in questions])
    if limit:
        seen: dict[str, int] = {}
        for question in questions:
            question["rank"] = seen[question["category"]] = seen.get(question["category"], 0) + 1
        questions = [question for question in questions if question["rank"] <= limit]
    prompts = {
        row["name"]: row
        for row in _rows(folder / "judge_prompts.jsonl", ("name", "system_prompt", "prompt_template", "output_format"))
    }
    for name in PROMPTS:
        if name not in prompts:
            raise UserError(f"judge_prompts.jsonl has no prompt '{name}'", "all eight", suggest(name, prompts))
    needed = [question for question in questions if question["category"] in WITH_REFERENCE]
    path = folder / "reference_answer" / f"{reference}.jsonl"
    return MtBench(tuple(questions), prompts, read_answers(path, needed) if needed else {})


def answer(benchmark: MtBench, model: Asked) -> list[Row]:
    """Let a model answer both turns; returns rows of FastChat's `model_answer` files."""
    first = [reply.text for reply in model.replies([_turn(question) for question in benchmark.questions])]
    asked = [_turn(question, text) for question, text in zip(benchmark.questions, first, strict=True)]
    second = [reply.text for reply in model.replies(asked)]
    return [
        {
            "question_id": question["question_id"],
            "answer_id": fingerprint([model.name, *turns]),
            "model_id": model.name,
            "choices": [{"index": 0, "turns": list(turns)}],
            "tstamp": time.time(),
        }
        for question, *turns in zip(benchmark.questions, first, second, strict=True)
    ]


def _turn(question: Row, answer: str | None = None) -> Request:
    """Ask a question's first turn, or its second after the answer to the first."""
    first, second = question["turns"]
    turns = (first,) if answer is None else (first, answer, second)
    name = f"mt_bench/{question['question_id']}/turn {len(turns) // 2 + 1}"
    return Request(name, turns, TEMPERATURES[question["category"]], ANSWER_TOKENS)


def read_answers(path: Path, questions: Sequence[Row]) -> dict[int, tuple[str, ...]]:
    """Read a `model_answer` file: each of `questions` must have one row with both turns; others are left out."""
    rows = _rows(path, ("question_id", "choices"))
    _require_once(path, [row["question_id"] for row in rows])
    try:
        found = {row["question_id"]: tuple(row["choices"][0]["turns"]) for row in rows}
    except (LookupError, TypeError):
        raise UserError(
            f"{path} has a row without choices[0].turns", "FastChat's layout", "Restore the file."
        ) from None
    missing = [question["question_id"] for question in questions if len(found.get(question["question_id"], ())) != 2]
    if missing:
        raise UserError(
            f"{path} has no answer of two turns to {len(missing)} of {len(questions)} questions, the first of them "
            f"{missing[0]}",
            "answers to this question set",
            "Take the answers that belong to question.jsonl.",
        )
    return {question["question_id"]: found[question["question_id"]] for question in questions}


def judge_single(benchmark: MtBench, model: str, answers: dict[int, tuple[str, ...]], judge: Asked) -> list[Row]:
    """Let the judge grade each answer from 1 to 10; returns rows of FastChat's `<judge>_single.jsonl`."""
    cases = [(question, turn) for question in benchmark.questions for turn in (1, 2)]
    requests = [_single(benchmark, question, turn, answers[question["question_id"]]) for question, turn in cases]
    return [
        {
            "question_id": question["question_id"],
            "model": model,
            "judge": [judge.name, _prompt(benchmark, "single", question, turn)["name"]],
            "user_prompt": request.turns[0],
            "judgment": reply.failure or reply.text,
            "score": NO_RATING if reply.failure else rating(reply.text),
            "turn": turn,
            "tstamp": time.time(),
        }
        for (question, turn), request, reply in zip(cases, requests, judge.replies(requests), strict=True)
    ]


def judge_pair(
    benchmark: MtBench,
    models: tuple[str, str],
    answers: tuple[dict[int, tuple[str, ...]], dict[int, tuple[str, ...]]],
    judge: Asked,
) -> list[Row]:
    """Let the judge compare two models in both orders; returns rows of FastChat's `<judge>_pair.jsonl`."""
    cases = [(question, turn) for question in benchmark.questions for turn in (1, 2)]
    games = []
    for order in ((0, 1), (1, 0)):
        games.append(
            [
                _pair(benchmark, question, turn, [answers[place][question["question_id"]] for place in order], order)
                for question, turn in cases
            ]
        )
    replies = judge.replies([*games[0], *games[1]])
    rows = []
    for number, (question, turn) in enumerate(cases):
        first, second = replies[number], replies[len(cases) + number]
        rows.append(
            {
                "question_id": question["question_id"],
                "model_1": models[0],
                "model_2": models[1],
                "g1_winner": _winner(first, ("model_1", "model_2")),
                "g2_winner": _winner(second, ("model_2", "model_1")),
                "judge": [judge.name, _prompt(benchmark, "pair", question, turn)["name"]],
                "g1_user_prompt": games[0][number].turns[0],
                "g1_judgment": first.failure or first.text,
                "g2_user_prompt": games[1][number].turns[0],
                "g2_judgment": second.failure or second.text,
                "turn": turn,
                "tstamp": time.time(),
            }
        )
    return rows


def rating(judgment: str) -> int | float:
    """Read "[[7]]" or, where that is missing, "[7]"; -1 where there is neither."""
    for pattern in RATING:
        if found := pattern.search(judgment):
            value = float(found[1])
            return int(value) if value.is_integer() else value
    return NO_RATING


def verdict(judgment: str) -> str:
    """Read "[[A]]", "[[B]]" or, for a tie, "[[C]]", in this order; "error" where there is none."""
    named = {"[[A]]": "A", "[[B]]": "B", "[[C]]": "tie"}
    return next((name for mark, name in named.items() if mark in judgment), "error")


def _winner(reply: Reply, shown: tuple[str, str]) -> str:
    said = "error" if reply.failure else verdict(reply.text)
    return {"A": shown[0], "B": shown[1]}.get(said, said)


def _prompt(benchmark: MtBench, kind: Kind, question: Row, turn: int) -> Row:
    version = "math-v1" if question["category"] in WITH_REFERENCE else {"single": "v1", "pair": "v2"}[kind]
    return benchmark.prompts[f"{kind}-{version}{'-multi-turn' if turn == 2 else ''}"]


def _single(benchmark: MtBench, question: Row, turn: int, answers: tuple[str, ...]) -> Request:
    fields = {"answer": answers[0], "answer_1": answers[0], "answer_2": answers[1]}
    name = f"mt_bench/{question['question_id']}/turn {turn}/single"
    return _filled(benchmark, "single", question, turn, fields, name)


def _pair(
    benchmark: MtBench, question: Row, turn: int, answers: list[tuple[str, ...]], order: tuple[int, int]
) -> Request:
    fields = {}
    for letter, turns in zip("ab", answers, strict=True):
        fields |= {f"answer_{letter}": turns[0], f"answer_{letter}_1": turns[0], f"answer_{letter}_2": turns[1]}
    name = f"mt_bench/{question['question_id']}/turn {turn}/pair {order[0] + 1}{order[1] + 1}"
    return _filled(benchmark, "pair", question, turn, fields, name)


def _filled(benchmark: MtBench, kind: Kind, question: Row, turn: int, fields: dict[str, str], name: str) -> Request:
    prompt = _prompt(benchmark, kind, question, turn)
    first, second = question["turns"]
    fields = fields | {"question": first, "question_1": first, "question_2": second}
    for number, text in enumerate(benchmark.references.get(question["question_id"], ()), start=1):
        fields[f"ref_answer_{number}"] = text
    try:
        said = prompt["prompt_template"].format_map(fields)
    except (KeyError, IndexError, ValueError) as error:
        raise UserError(
            f"the prompt '{prompt['name']}' asks for a field that there is not ({error})",
            "the fields of MT-Bench's prompts",
            "Restore judge_prompts.jsonl.",
        ) from None
    return Request(name, (said,), 0.0, JUDGE_TOKENS, prompt["system_prompt"])


def _rows(path: Path, fields: tuple[str, ...]) -> list[Row]:
    rows = read_json_lines(path)
    for number, row in enumerate(rows, start=1):
        lacking = [field for field in fields if not isinstance(row, dict) or field not in row]
        if lacking:
            raise UserError(
                f"row {number} of {path} has no {', '.join(lacking)}", "FastChat's layout", "Restore the file."
            )
    if not rows:
        raise UserError(f"{path} is empty", "FastChat's layout", "Restore the file.")
    return rows


def _require_once(path: Path, ids: Sequence[Any]) -> None:
    twice = sorted({number for number in ids if ids.count(number) > 1})
    if twice:
        raise UserError(f"{path} has question {twice[0]} twice", "each once", "Remove one of the rows.")
