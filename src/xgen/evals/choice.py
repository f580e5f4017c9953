"""Multiple choice by log-likelihood, as lm-eval defines it: which continuation does the model find likeliest?

acc       the likeliest as a whole; of equals, the first
acc_norm  the likeliest a character, without the space that joins it to the question
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xgen.core.errors import UserError
from xgen.core.protocols import Tokenizer
from xgen.evals.files import DataSet, read
from xgen.evals.task import Candidate, Items, Record, Settings, Task, require_finite

Ids = tuple[list[int], list[int]]


@dataclass(frozen=True)
class Question:
    """One question. Each of `pairs` is a context and a continuation; `choices` are what lengths are counted of.

    Before each context stand `head` and `shots`. Where all is longer than the window, `drops_shots` leaves shots out
    from the last on (the original MMLU); otherwise the left end is cut, as lm-eval does. `labels` mark the last pairs
    as true or false (TruthfulQA's MC2).
    """

    key: str
    pairs: tuple[tuple[str, str], ...]
    gold: int
    choices: tuple[str, ...]
    group: str = ""
    head: str = ""
    shots: tuple[str, ...] = ()
    drops_shots: bool = False
    labels: tuple[int, ...] = ()


Judge = Callable[[Question, Sequence[float]], tuple[dict[str, float], dict[str, float]]]
"""From log-likelihoods to scores and to what chance would score, both by metric."""


def encode_pair(candidate: Candidate, context: str, continuation: str) -> Ids:
    """Encode a context and what follows so that the two together are encoded as one text.

    Spaces that end the context begin the continuation; no context at all is the end of a text before it.
    """
    tokenizer, bare = candidate.tokenizer, context.rstrip()
    if not bare:
        return [tokenizer.end_of_text], tokenizer.encode(context + continuation)
    start = _encoded(tokenizer, bare)
    return list(start), tokenizer.encode(context + continuation)[len(start) :]


@functools.lru_cache(maxsize=16)
def _encoded(tokenizer: Tokenizer, context: str) -> tuple[int, ...]:
    """Encode a context once for all its continuations."""
    return tuple(tokenizer.encode(context))


def accuracies(question: Question, logprobs: Sequence[float]) -> tuple[dict[str, float], dict[str, float]]:
    """Score one question by acc and acc_norm."""
    lengths = [len(choice) for choice in question.choices]
    chosen = {
        "acc": int(np.argmax(logprobs)),
        "acc_norm": int(np.argmax([value / length for value, length in zip(logprobs, lengths, strict=True)])),
    }
    scores = {metric: float(index == question.gold) for metric, index in chosen.items()}
    return scores, dict.fromkeys(scores, 1 / len(lengths))


def accuracy(question: Question, logprobs: Sequence[float]) -> tuple[dict[str, float], dict[str, float]]:
    """Score one question by acc alone, where the continuations are of one length or the same."""
    scores, chance = accuracies(question, logprobs)
    return {"acc": scores["acc"]}, {"acc": chance["acc"]}


def choice_task(
    name: str,
    title: str,
    headline: str,
    data: DataSet,
    question: Callable[[dict[str, Any]], Question],
    judge: Judge = accuracies,
    version: int = 1,
) -> Task:
    """Make a task of a data set each of whose rows is one question."""

    def load(settings: Settings) -> Items:
        rows, origin = read(data, settings.data)
        if settings.limit:
            rows = rows[: settings.limit]
        return Items([_made(question, row, name) for row in rows], origin)

    return Task(name, version, title, headline, load, answering(judge))


def _made(question: Callable[[dict[str, Any]], Question], row: dict[str, Any], name: str) -> Question:
    try:
        return question(row)
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise UserError(
            f"a row of {name} that cannot be read ({type(error).__name__}: {error}; it has {sorted(row)})",
            "the fields of the data set as it was published",
            "Check the files that --data names.",
        ) from None


def answering(judge: Judge) -> Callable[[Candidate, Sequence[Question], Settings], list[Record]]:
    """Make the function that asks questions: all log-likelihoods in one call of the model, one record a question."""

    def answer(candidate: Candidate, questions: Sequence[Question], settings: Settings) -> list[Record]:
        asked = [_fitted(candidate, question) for question in questions]
        likelihoods = candidate.model.score([pair for one in asked for pair in one.pairs])
        values = iter([likelihood.logprob for likelihood in likelihoods])
        records = []
        for question, one in zip(questions, asked, strict=True):
            logprobs = [next(values) for _ in one.pairs]
            require_finite(candidate, logprobs)
            scores, chance = judge(question, logprobs)
            records.append(
                {
                    "key": question.key,
                    "group": question.group,
                    "prompts": sorted({one.before + context for context, _ in question.pairs}),
                    "answers": [continuation for _, continuation in question.pairs],
                    "gold": question.gold,
                    "logprobs": logprobs,
                    "scores": scores,
                    "chance": chance,
                    "counts": {"shots_dropped": one.dropped, "tokens_cut": one.cut},
                }
            )
        return records

    return answer


@dataclass(frozen=True)
class _Fitted:
    pairs: list[Ids]
    before: str
    dropped: int
    cut: int


def _fitted(candidate: Candidate, question: Question) -> _Fitted:
    """Encode a question so that it fits into the window, by the rule of its protocol."""
    window = candidate.model.context_length
    for kept in range(len(question.shots), -1, -1):
        before = question.head + "".join(question.shots[:kept])
        pairs = [encode_pair(candidate, before + context, continuation) for context, continuation in question.pairs]
        longest = max(len(context) + len(continuation) - 1 for context, continuation in pairs)
        if longest <= window:
            return _Fitted(pairs, before, len(question.shots) - kept, 0)
        if not question.drops_shots:
            return _Fitted(list(_cut(pairs, window, candidate)), before, 0, longest - window)
    raise UserError(
        f"question {question.key} has {longest:,} tokens without a single example",
        f"at most {window:,}, the window of {candidate.model.name}",
        "This protocol shortens no question: take a longer context, or the lm-eval flavor, which cuts the left end.",
    )


def _cut(pairs: Iterable[Ids], window: int, candidate: Candidate) -> Iterable[Ids]:
    for context, continuation in pairs:
        over = max(0, len(context) + len(continuation) - 1 - window)
        if over >= len(context):
            raise UserError(
                f"an answer of {len(continuation):,} tokens",
                f"less than {window:,}, the window of {candidate.model.name}",
                "Take a longer context.",
            )
        yield context[over:], continuation
