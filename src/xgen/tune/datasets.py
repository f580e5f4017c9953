"""Sets of conversations by name: an entry yields conversations, in the order of a shuffle under the seed."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import orjson

from xgen.core.errors import UserError, suggest
from xgen.core.types import Conversation, Document, Message
from xgen.data.mixture import shuffled
from xgen.sources.intake import Intake, Place
from xgen.sources.streams import DAMAGE, chunks_of, lines_of
from xgen.tune.tasks import tasks_of

Dataset = Callable[[Iterable[Document], str, int, Intake], Iterator[Conversation]]
"""From the documents that may be trained on, a location, the seed, and where to count what is broken."""

ROLES: dict[str, Literal["human", "assistant", "system"]] = {
    "human": "human",
    "user": "human",
    "assistant": "assistant",
    "system": "system",
}


def tasks_from_source(
    documents: Iterable[Document], location: str, seed: int, intake: Intake
) -> Iterator[Conversation]:
    """Ask for docstrings, bodies and continuations of Python functions, with true answers; other text gives none."""
    found = list(documents)
    for index in shuffled(seed, "documents to ask about", [f"{each.source}/{each.key}" for each in found]):
        yield from tasks_of(found[index], seed, intake)


def messages(documents: Iterable[Document], location: str, seed: int, intake: Intake) -> Iterator[Conversation]:
    """Read a JSONL file, gzip and zstd too, of {"messages": [{"role": "user", "content": ".."}, ..]}.

    A role is user or human, assistant, or, for a first message, system. What is none of this is counted and skipped.
    """
    path = Path(location)
    if not location or not path.is_file():
        raise UserError(
            f"the dataset 'messages' reads '{location}', which is no file",
            'a JSONL file of {"messages": [..]}',
            "Set instruct.location.",
        )
    found = list(_conversations(path, intake))
    for index in shuffled(seed, "conversations", [each.key for each in found]):
        yield found[index]


DATASETS: dict[str, Dataset] = {"tasks_from_source": tasks_from_source, "messages": messages}


def dataset_named(name: str) -> Dataset:
    """Return a dataset, or name the nearest one that exists."""
    if name not in DATASETS:
        raise UserError(f"there is no dataset '{name}'", "a dataset of tune/datasets.py", suggest(name, DATASETS))
    return DATASETS[name]


def _conversations(path: Path, intake: Intake) -> Iterator[Conversation]:
    number = end = 0
    try:
        for number, offset, line, num_bytes in lines_of(chunks_of(path)):
            end = offset + num_bytes + 1
            if not line.strip():
                intake.skip("blank line")
                continue
            place = Place(str(path), number, offset)
            try:
                row = orjson.loads(line.removeprefix(b"\xef\xbb\xbf"))
            except orjson.JSONDecodeError as error:
                intake.bad("broken JSON", place, "one JSON object a line, in UTF-8", line, str(error))
                continue
            if fault := _fault(row):
                intake.bad(fault[0], place, fault[1], line)
            else:
                yield _conversation(intake.source, f"{path.name}:{number}", row["messages"])
    except DAMAGE as error:
        intake.bad("a damaged file", Place(str(path), number + 1, end), "a whole file", detail=str(error))


def _fault(row: Any) -> tuple[str, str] | None:
    """Say what keeps a row from being a conversation, and what it should be."""
    said = row.get("messages") if isinstance(row, dict) else None
    if not isinstance(said, list):
        return "no list `messages`", '{"messages": [..]}'
    if not all(
        isinstance(each, dict) and isinstance(each.get("role"), str) and isinstance(each.get("content"), str)
        for each in said
    ):
        return "a message without text", "the strings `role` and `content` in each message"
    if unknown := [each["role"] for each in said if each["role"] not in ROLES]:
        return f"the role '{unknown[0]}'", f"one of {', '.join(ROLES)}"
    roles = [ROLES[each["role"]] for each in said]
    turns = roles[1:] if roles[:1] == ["system"] else roles
    if "human" not in turns:
        return "no human turn", "a question and its answer"
    if turns != [("human", "assistant")[turn % 2] for turn in range(len(turns))]:
        return "roles that do not alternate", "human and assistant in turn, the human first, at most one system before"
    if turns[-1] != "assistant":
        return "no last response", "the assistant's turn at the end"
    if not all(each["content"].strip() for each in said):
        return "an empty message", "text in each message"
    return None


def _conversation(source: str, key: str, said: list[dict[str, str]]) -> Conversation:
    system = said[0]["content"] if said[0]["role"] == "system" else ""
    turns = []
    for each in said:
        role = ROLES[each["role"]]
        if role != "system":
            turns.append(Message(role, each["content"]))
    return Conversation(source, key, tuple(turns), system)
