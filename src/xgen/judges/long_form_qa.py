"""Long-form questions about long documents (section 5.3.1, appendix A.1, tables 11 and 12).

A writer asks three questions about a passage (QG-passage) or about its summary (QG-summary) and answers them itself,
which is the reference. The model answers from the passage; a judge grades coherence, relevance and accuracy, 0 to 3.
The three prompts of the appendix are quoted to the letter. The report prints none for the paragraphs' place, the
reference, the answer and the grades: those are ours, and `PROMPTS_VERSION` names them beside each score.
"""

import re
import statistics
from collections.abc import Sequence
from typing import Any

from xgen.core.errors import UserError
from xgen.judges.documents import LongText
from xgen.speakers.asking import Asked, Reply, Request
from xgen.speakers.fitting import Fitted, fit

SUMMARIZE = "Summarize the paragraphs below in the context of {title} in {domain}."
ASK = (
    "Using the context below, come up with follow-up questions such that answers are beyond few words or a couple of "
    "phrases. Rank the generated questions in the order of decreasing complexity to answer and display only the top 3. "
    "{context}"
)
PROMPTS_VERSION = "xgen-1"
ANSWER = "Read the text below and answer the question that follows it.\n\n{context}\n\nQuestion: {question}"
GRADE = """\
A model was asked a question about a long text. Compare its answer with the reference answer and give three grades \
from 0 (worst) to 3 (best):

Coherence: are the sentences clear, and does each follow from the one before?
Relevance: does it answer this question and nothing else?
Accuracy: does what it says agree with the reference answer?

[Question]
{question}

[Reference answer]
{reference}

[Answer of the model]
{answer}
[End of the answer]

Explain your grades in two sentences. Then end with exactly three lines, each grade a whole number in double brackets:
Coherence: [[n]]
Relevance: [[n]]
Accuracy: [[n]]"""
SETTINGS = ("QG-passage", "QG-summary")
DIMENSIONS = ("coherence", "relevance", "accuracy")
ANSWER_TOKENS, SUMMARY_TOKENS, QUESTION_TOKENS, GRADE_TOKENS = 512, 512, 512, 512
NUM_QUESTIONS = 3
ITEM = re.compile(r"^\s*(?:\*\*)?(?:question\s*|q)?\d+\s*[.):]\s*(?:\*\*)?\s*(.*\S)", re.IGNORECASE)
Row = dict[str, Any]


def questions_of(reply: str) -> list[str]:
    """Take the first three numbered lines of a reply; where none is numbered, the lines that end in a question mark."""
    lines = reply.splitlines()
    numbered = [found[1].strip("* ") for line in lines if (found := ITEM.match(line))]
    asked = numbered or [line.strip("-*• ") for line in lines if line.strip().endswith("?")]
    return asked[:NUM_QUESTIONS]


def write_questions(documents: Sequence[LongText], writer: Asked) -> tuple[list[Row], int]:
    """Let the writer ask and answer; returns a row for each question, and how many documents it cut to read them."""
    passages = [_read(writer, number, "summary", document) for number, document in enumerate(documents)]
    summaries = [reply.text for reply in writer.replies([passage.request for passage in passages])]
    asked: list[tuple[int, str, Fitted]] = []
    for number, document in enumerate(documents):
        for setting, context in zip(SETTINGS, (document.text, summaries[number]), strict=True):
            name = f"long_form_qa/{number}/{setting}/questions"
            ask = fit(writer.speaker, name, context, lambda text: ASK.replace("{context}", text), QUESTION_TOKENS)
            asked.append((number, setting, ask))
    rows = []
    for (number, setting, _), reply in zip(asked, writer.replies([ask.request for *_, ask in asked]), strict=True):
        rows += [
            {
                "document": number,
                "title": documents[number].title,
                "domain": documents[number].domain,
                "setting": setting,
            }
            | {"question": question, "rank": rank}
            for rank, question in enumerate(questions_of(reply.text), start=1)
        ]
    if not rows:
        raise UserError(
            f"{writer.name} wrote no question about any of {len(documents)} documents",
            "a numbered list of three",
            f"Read its replies in {writer.record.path}, or name another writer (--writer.url, --writer.model).",
        )
    answered = writer.replies([_answer(writer, documents, row, "reference").request for row in rows])
    for row, reply in zip(rows, answered, strict=True):
        row["reference"] = reply.text
    return rows, sum(passage.cut_tokens > 0 for passage in passages)


def _read(writer: Asked, number: int, purpose: str, document: LongText) -> Fitted:
    """Ask for a summary: the appendix's sentence, then the paragraphs."""
    said = SUMMARIZE.format(title=document.title, domain=document.domain)
    name = f"long_form_qa/{number}/{purpose}"
    return fit(writer.speaker, name, document.text, lambda text: f"{said}\n\n{text}", SUMMARY_TOKENS)


def _answer(model: Asked, documents: Sequence[LongText], row: Row, purpose: str) -> Fitted:
    name = f"long_form_qa/{row['document']}/{row['setting']}/{row['rank']}/{purpose}"

    def frame(text: str) -> str:
        return ANSWER.format(context=text, question=row["question"])

    return fit(model.speaker, name, documents[row["document"]].text, frame, ANSWER_TOKENS)


def answer(documents: Sequence[LongText], rows: Sequence[Row], model: Asked) -> tuple[list[Row], int]:
    """Let the model answer each question from its document; also say how many documents were cut for it."""
    asked = [_answer(model, documents, row, "answer") for row in rows]
    replies = model.replies([each.request for each in asked])
    cut = len({row["document"] for row, each in zip(rows, asked, strict=True) if each.cut_tokens})
    return [{**row, "model": model.name, "answer": reply.text} for row, reply in zip(rows, replies, strict=True)], cut


def grade(rows: Sequence[Row], judge: Asked) -> list[Row]:
    """Let the judge grade each answer; grades that cannot be read are None, the raw reply stands beside them."""
    requests = [
        Request(
            f"long_form_qa/{row['document']}/{row['setting']}/{row['rank']}/grade",
            (GRADE.format(question=row["question"], reference=row["reference"], answer=row["answer"]),),
            0.0,
            GRADE_TOKENS,
        )
        for row in rows
    ]
    replies = judge.replies(requests)
    return [_graded(row, judge.name, reply) for row, reply in zip(rows, replies, strict=True)]


def _graded(row: Row, judge: str, reply: Reply) -> Row:
    grades: Row = grades_of(reply.text) or dict.fromkeys(DIMENSIONS)
    return {**row, "judge": judge, "judgment": reply.failure or reply.text, "prompts": PROMPTS_VERSION, **grades}


def grades_of(reply: str) -> dict[str, int] | None:
    """Read the last grade of each dimension, or None where one is missing or outside 0 to 3."""
    found = {}
    for dimension in DIMENSIONS:
        said = re.findall(rf"{dimension}\W{{0,6}}\[\[([0-3])\]\]", reply, re.IGNORECASE)
        if not said:
            return None
        found[dimension] = int(said[-1])
    return found


def score(rows: Sequence[Row]) -> dict[str, Any]:
    """Average the grades by dimension (table 11) and by setting over the three dimensions (table 12)."""
    graded = [row for row in rows if row["coherence"] is not None]
    if not graded:
        raise UserError(
            f"none of {len(rows)} replies has three grades", "grades from 0 to 3", "Read the judge's replies."
        )
    means = {dimension: statistics.fmean(row[dimension] for row in graded) for dimension in DIMENSIONS}
    settings = {
        setting: statistics.fmean(row[dimension] for row in of_it for dimension in DIMENSIONS)
        for setting in SETTINGS
        if (of_it := [row for row in graded if row["setting"] == setting])
    }
    return {
        **means,
        "average": statistics.fmean(means.values()),
        "by_setting": settings,
        "judged": len(graded),
        "not_understood": len(rows) - len(graded),
        "judge": sorted({row["judge"] for row in rows}),
        "prompts": PROMPTS_VERSION,
    }
