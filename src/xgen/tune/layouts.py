"""Layouts that sets of conversations are published in: from an object of a file to who says what, in turn.

    messages         {"messages": [{"role", "content"}, ..]}: user or human, assistant, and a first system
    sharegpt         {"id", "conversations": [{"from", "value"}, ..]}: human, gpt; also Vicuna's data
    evol_instruct    WizardLM's: as sharegpt (V2, 196K) or {"instruction", "output"} (70K)
    alpaca           {"instruction", "input", "output"}; also GPTeacher's with "response"
    dolly            {"instruction", "context", "response", "category"}
    dolly_hhrlhf     {"prompt", "response"}, the prompt in Alpaca's words, which are taken off
    baize            {"input": "..[|Human|] .. [|AI|] .. [|Human|]"}
    oasst_trees      {"message_tree_id", "prompt": {"text", "role", "rank", "replies": [..]}}: trees.py
    oasst_messages   the same messages one by one, {"message_id", "parent_id", "text", "role", ..}: trees.py
    scrolls          {"id", "pid", "input", "output"}, the question before the text where there is one
    qmsum            QMSum's own: a meeting, its queries and answers
    squality         SQuALITY's own: a story, its questions and several responses to each

A row that does not follow its layout is bad input.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from xgen.sources.intake import Intake
from xgen.sources.layouts import BadRow
from xgen.sources.rows import Row
from xgen.tune.trees import threads_of, trees_of

Fields = dict[str, Any]
Talk = list[tuple[str, str]]
"""Roles and texts."""
Talks = Callable[[Fields, str, Intake], Iterator[tuple[str, Talk]]]
"""From an object and what to ask about a text, the conversations in it, each with the end of its key."""

HUMAN = ("human", "user")
BAIZE_TURN = re.compile(r"\[\|(Human|AI)\|\]")
ALPACA_PROMPT = re.compile(r"\ABelow is an instruction.*?\n\n### Instruction:\n(.*?)\n\n### Response:\s*\Z", re.DOTALL)


@dataclass(frozen=True)
class Layout:
    """Where the objects of a set keep what is said."""

    fields: tuple[str, ...]
    """The first is in each object; these are the columns that are read of a Parquet file."""
    talks: Talks
    gather: Callable[[Iterator[Row], Intake], Iterator[Row]] | None = None
    """Puts the objects of a file together first, where a conversation is spread over several."""


def _text(fields: Fields, name: str, *others: str) -> str:
    """Return a field that must be a string; of several names the first that is there."""
    found = next((fields[each] for each in (name, *others) if fields.get(each) is not None), None)
    if not isinstance(found, str):
        raise BadRow(f"no text `{name}`", f"a string `{name}`")
    return found.strip()


def _optional(fields: Fields, name: str) -> str:
    return _text(fields, name) if fields.get(name) is not None else ""


def _joined(*texts: str) -> str:
    return "\n\n".join(text for text in texts if text)


def _said(fields: Fields, name: str, role: str, text: str, strip: bool) -> Talk:
    said = fields.get(name)
    if not isinstance(said, list):
        raise BadRow(f"no list `{name}`", f'{{"{name}": [..]}}')
    if not all(
        isinstance(each, dict) and isinstance(each.get(role), str) and isinstance(each.get(text), str) for each in said
    ):
        raise BadRow("a message without text", f"the strings `{role}` and `{text}` in each message")
    return [(each[role], each[text].strip() if strip else each[text]) for each in said]


def trimmed(talk: Talk, intake: Intake) -> Talk:
    """Leave out responses before the first question and a last question without a response, as splitting leaves them.

    The rest of such a conversation is whole.
    """
    system = talk[:1] if talk and talk[0][0] == "system" else []
    turns = talk[len(system) :]
    first = next((place for place, (role, _) in enumerate(turns) if role in HUMAN), len(turns))
    last = next((place for place in range(len(turns), first, -1) if turns[place - 1][0] not in HUMAN), first)
    if first < last < len(turns):
        intake.skip("a last question without a response")
    if 0 < first < last:
        intake.skip("a response before the first question")
    return [*system, *turns[first:last]] if first < last else talk


def _messages(fields: Fields, ask: str, intake: Intake) -> Iterator[tuple[str, Talk]]:
    yield "", _said(fields, "messages", "role", "content", strip=False)


def _sharegpt(fields: Fields, ask: str, intake: Intake) -> Iterator[tuple[str, Talk]]:
    yield "", trimmed(_said(fields, "conversations", "from", "value", strip=True), intake)


def _evol_instruct(fields: Fields, ask: str, intake: Intake) -> Iterator[tuple[str, Talk]]:
    yield from (_sharegpt if "conversations" in fields else _alpaca)(fields, ask, intake)


def _alpaca(fields: Fields, ask: str, intake: Intake) -> Iterator[tuple[str, Talk]]:
    asked = _joined(_text(fields, "instruction"), _optional(fields, "input"))
    yield "", [("human", asked), ("assistant", _text(fields, "output", "response"))]


def _dolly(fields: Fields, ask: str, intake: Intake) -> Iterator[tuple[str, Talk]]:
    asked = _joined(_text(fields, "instruction"), _optional(fields, "context"))
    yield "", [("human", asked), ("assistant", _text(fields, "response"))]


def _dolly_hhrlhf(fields: Fields, ask: str, intake: Intake) -> Iterator[tuple[str, Talk]]:
    asked = fields.get("prompt")
    found = ALPACA_PROMPT.match(asked) if isinstance(asked, str) else None
    if found is None:
        raise BadRow("no `prompt` in Alpaca's words", '"### Instruction:" and "### Response:" around the prompt')
    yield "", [("human", found[1].strip()), ("assistant", _text(fields, "response"))]


def _baize(fields: Fields, ask: str, intake: Intake) -> Iterator[tuple[str, Talk]]:
    _, *said = BAIZE_TURN.split(_text(fields, "input"))
    if not said:
        raise BadRow("no turn in `input`", 'turns after "[|Human|]" and "[|AI|]"')
    talk = [
        ({"Human": "human", "AI": "assistant"}[who], text.strip())
        for who, text in zip(said[::2], said[1::2], strict=True)
    ]
    yield "", trimmed(talk[:-1] if talk[-1] == ("human", "") else talk, intake)  # each ends with an open turn


def _oasst_trees(fields: Fields, ask: str, intake: Intake) -> Iterator[tuple[str, Talk]]:
    if not isinstance(fields.get("prompt"), dict):
        raise BadRow("no `prompt` of a tree", 'a message tree: {"prompt": {"text": .., "replies": [..]}}')
    yield from threads_of(fields["prompt"], intake)


def _scrolls(fields: Fields, ask: str, intake: Intake) -> Iterator[tuple[str, Talk]]:
    yield "", [("human", _joined(ask, _text(fields, "input"))), ("assistant", _text(fields, "output"))]


def _qmsum(fields: Fields, ask: str, intake: Intake) -> Iterator[tuple[str, Talk]]:
    said = _said(fields, "meeting_transcripts", "speaker", "content", strip=True)
    meeting = "\n".join(f"{speaker}: {text}" for speaker, text in said)
    for kind in ("general_query_list", "specific_query_list"):
        for number, (query, answer) in enumerate(_said(fields, kind, "query", "answer", strip=True)):
            yield f"/{kind[0]}{number}", [("human", _joined(query, meeting)), ("assistant", answer)]


def _squality(fields: Fields, ask: str, intake: Intake) -> Iterator[tuple[str, Talk]]:
    story, questions = _text(fields, "document"), fields.get("questions")
    if not isinstance(questions, list) or not all(isinstance(each, dict) for each in questions):
        raise BadRow("no list `questions`", "a story with its questions")
    for number, question in enumerate(questions):
        asked = _joined(_text(question, "question_text"), story)
        for place, response in enumerate(question.get("responses") or []):
            yield f"/{number}.{place}", [("human", asked), ("assistant", _text(response, "response_text"))]


LAYOUTS: dict[str, Layout] = {
    "messages": Layout(("messages",), _messages),
    "sharegpt": Layout(("conversations",), _sharegpt),
    "evol_instruct": Layout(("conversations",), _evol_instruct),
    "alpaca": Layout(("instruction", "input", "output"), _alpaca),
    "dolly": Layout(("instruction", "context", "response"), _dolly),
    "dolly_hhrlhf": Layout(("prompt", "response"), _dolly_hhrlhf),
    "baize": Layout(("input",), _baize),
    "oasst_trees": Layout(("prompt",), _oasst_trees),
    "oasst_messages": Layout(
        ("message_id", "parent_id", "text", "role", "rank", "deleted", "review_result"), _oasst_trees, trees_of
    ),
    "scrolls": Layout(("input", "output"), _scrolls),
    "qmsum": Layout(("meeting_transcripts", "general_query_list", "specific_query_list"), _qmsum),
    "squality": Layout(("document", "questions"), _squality),
}
