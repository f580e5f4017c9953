"""The tasks of the suite `instruct`, each from the files it needs to its scores, with all they were made of kept.

A task is handed a `Session` and returns plain scores; what it was made of lies in the session's folder, in the formats
of the benchmarks where they have one.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from xgen.core.errors import UserError
from xgen.core.ledger import write_json, write_json_lines
from xgen.judges import alpaca_eval, long_form_qa, mt_bench, mt_bench_scores, summarization
from xgen.judges.documents import read_documents
from xgen.speakers.asking import Asked

NOT_NAMED = Path()
Scores = dict[str, Any]


@dataclass(frozen=True)
class Files:
    """Where the tasks of the suite instruct lie. One whose files are not named is left out, and its row says so."""

    alpaca_eval: Path = NOT_NAMED
    """reference_outputs.json and alpaca_eval.txt."""
    mt_bench: Path = NOT_NAMED
    """question.jsonl, judge_prompts.jsonl, reference_answer/ and model_answer/, as FastChat has them."""
    baseline: str = "gpt-3.5-turbo"
    """The model of model_answer/ that the pairwise comparison is against."""
    long_texts: Path = NOT_NAMED
    """Long documents, by domain, to ask questions about."""
    ami: Path = NOT_NAMED
    fd: Path = NOT_NAMED
    tms: Path = NOT_NAMED
    recorded: Path = NOT_NAMED
    """Judgments of others to score instead of asking anybody: annotations.json, *_single.jsonl, *_pair.jsonl."""


@dataclass(frozen=True)
class Session:
    """What a task needs: who answers, judges and writes questions, what is read, and where the parts of scores go."""

    model: Asked
    judge: Asked | None
    writer: Asked | None
    files: Files
    limit: int
    folder: Path

    def judging(self) -> Asked:
        """Return the judge; UserError where none is named."""
        if self.judge is None:
            raise UserError("no judge is named", "one", "Name one: --judge.url and --judge.model, or --judge-folder.")
        return self.judge


def _alpaca_eval(session: Session) -> Scores:
    benchmark, judge = alpaca_eval.load(session.files.alpaca_eval, session.limit), session.judging()
    answers = [reply.text for reply in session.model.replies(alpaca_eval.answer_requests(benchmark))]
    verdicts = judge.replies(alpaca_eval.judge_requests(benchmark, answers))
    rows = alpaca_eval.annotations(benchmark, session.model.name, judge.name, answers, verdicts)
    write_json(session.folder / "alpaca_eval" / "annotations.json", rows)
    return alpaca_eval.score(rows) | {"expected": len(rows), "empty_answers": _empty(answers)}


def _answers(session: Session) -> tuple[mt_bench.MtBench, dict[int, tuple[str, ...]]]:
    """Let the model answer MT-Bench; the second of two tasks finds all of it in the record."""
    benchmark = mt_bench.load(session.files.mt_bench, limit=session.limit)
    rows = mt_bench.answer(benchmark, session.model)
    path = session.folder / "mt_bench" / "model_answer" / f"{file_name(session.model.name)}.jsonl"
    write_json_lines(path, rows)
    return benchmark, mt_bench.read_answers(path, benchmark.questions)


def _single(session: Session) -> Scores:
    (benchmark, answers), judge = _answers(session), session.judging()
    rows = mt_bench.judge_single(benchmark, session.model.name, answers, judge)
    write_json_lines(session.folder / "mt_bench" / "model_judgment" / f"{file_name(judge.name)}_single.jsonl", rows)
    scores = mt_bench_scores.single(rows, session.model.name, benchmark.categories)
    return scores | {"expected": len(rows), "empty_answers": _empty(chain(*answers.values()))}


def _pair(session: Session) -> Scores:
    (benchmark, answers), judge = _answers(session), session.judging()
    baseline = session.files.baseline
    others = mt_bench.read_answers(session.files.mt_bench / "model_answer" / f"{baseline}.jsonl", benchmark.questions)
    rows = mt_bench.judge_pair(benchmark, (session.model.name, baseline), (answers, others), judge)
    write_json_lines(session.folder / "mt_bench" / "model_judgment" / f"{file_name(judge.name)}_pair.jsonl", rows)
    scores = mt_bench_scores.pair(rows, session.model.name, baseline, benchmark.categories)
    return scores | {"expected": len(rows), "empty_answers": _empty(chain(*answers.values()))}


def _long_form(session: Session) -> Scores:
    documents, writer = read_documents(session.files.long_texts, session.limit), session.writer or session.judging()
    rows, writer_cut = long_form_qa.write_questions(documents, writer)
    answered, cut = long_form_qa.answer(documents, rows, session.model)
    graded = long_form_qa.grade(answered, session.judging())
    write_json_lines(session.folder / "long_form_qa.jsonl", graded)
    about = {"writer": writer.name, "writer_cut": writer_cut, "truncated": cut}
    return long_form_qa.score(graded) | about | {"empty_answers": _empty(row["answer"] for row in graded)}


def _summaries(dataset: str, place: str) -> Callable[[Session], Scores]:
    def measure(session: Session) -> Scores:
        dialogues = summarization.read_dialogues(getattr(session.files, place))
        chosen = dialogues[: session.limit] if session.limit else dialogues
        rows, scores = summarization.summarize(dataset, chosen, session.model)
        write_json_lines(session.folder / f"summarization_{dataset}.jsonl", rows)
        return scores

    return measure


def _empty(answers: Iterable[str]) -> int:
    """Count the answers without a word: those of a model whose context a question fills are among them."""
    return sum(not answer.strip() for answer in answers)


def file_name(name: str) -> str:
    """Write the name of a model as the name of a file."""
    return re.sub(r"[^\w.@-]+", "_", name)


@dataclass(frozen=True)
class Task:
    """`needs` is the field of `Files` without which the task is left out."""

    name: str
    needs: str
    measure: Callable[[Session], Scores]
    judged: bool

    def gap(self, session: Session) -> str:
        """Say why the task cannot be measured; empty where it can."""
        if getattr(session.files, self.needs) == NOT_NAMED:
            return f"no files are named (--files.{self.needs.replace('_', '-')})"
        if self.judged and session.judge is None:
            return "no judge is named (--judge.url and --judge.model, or --judge-folder)"
        return ""


TASKS = (
    Task("alpaca_eval", "alpaca_eval", _alpaca_eval, judged=True),
    Task("mt_bench_single", "mt_bench", _single, judged=True),
    Task("mt_bench_pair", "mt_bench", _pair, judged=True),
    Task("long_form_qa", "long_texts", _long_form, judged=True),
    Task("summarization_AMI", "ami", _summaries("AMI", "ami"), judged=False),
    Task("summarization_FD", "fd", _summaries("FD", "fd"), judged=False),
    Task("summarization_TMS", "tms", _summaries("TMS", "tms"), judged=False),
)
