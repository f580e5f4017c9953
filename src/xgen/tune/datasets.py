"""Sets of conversations: from the files of a set, or the run's own sources, to conversations that follow the rules."""

from collections.abc import Iterable, Iterator

from xgen.core.errors import UserError, suggest
from xgen.core.types import Conversation, Document, Message
from xgen.data.mixture import shuffled
from xgen.sources.addresses import File, list_files
from xgen.sources.config import Source
from xgen.sources.intake import Intake
from xgen.sources.json_arrays import read_json
from xgen.sources.layouts import BadRow
from xgen.sources.rows import JSON_LINES, Row, kind_of, read_parquet
from xgen.tune.config import InstructionSet
from xgen.tune.layouts import LAYOUTS, Layout, Talk
from xgen.tune.tasks import tasks_of

MADE = "tasks_from_source"
"""The layout of a set that is made here, and read from no file."""
ROLES = {
    **dict.fromkeys(("human", "user"), "human"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bing", "bard"), "assistant"),
    "system": "system",
}


def files_of(config: InstructionSet) -> list[File]:
    """List the files of a set; UserError where its layout is not known, or nothing lies where it reads."""
    if config.layout == MADE:
        return []
    if config.layout not in LAYOUTS:
        raise UserError(
            f"the instruction set '{config.name}' names the layout '{config.layout}'",
            "an entry of LAYOUTS in tune/layouts.py",
            suggest(config.layout, (*LAYOUTS, MADE)),
        )
    try:
        return list_files(Source(config.name, "files", config.location, config.licence, max_tokens=0))
    except UserError as error:
        raise UserError(
            f"the instruction set '{config.name}': {error.found}",
            error.expected,
            "Put its files there, or set the location in instruct.datasets. " + error.do,
        ) from None


def read_set(
    config: InstructionSet, documents: Iterable[Document], seed: int, intake: Intake
) -> Iterator[Conversation]:
    """Yield the conversations of a set; one that is made of `documents` comes in the order of the seed.

    What is no conversation is counted by `intake` and skipped. UserError where a file has none and another layout
    fits.
    """
    if config.layout == MADE:
        return tasks_from_source(documents, seed, intake)
    return (conversation for file in files_of(config) for conversation in _of_file(config, file, intake))


def tasks_from_source(documents: Iterable[Document], seed: int, intake: Intake) -> Iterator[Conversation]:
    """Ask for docstrings, bodies and continuations of Python functions, with true answers; other text gives none."""
    found = list(documents)
    for index in shuffled(seed, "documents to ask about", [f"{each.source}/{each.key}" for each in found]):
        yield from tasks_of(found[index], seed, intake)


def _of_file(config: InstructionSet, file: File, intake: Intake) -> Iterator[Conversation]:
    layout = LAYOUTS[config.layout]
    kind = kind_of(file)
    if kind == "parquet":
        rows = read_parquet(file, intake, layout.fields[0], layout.fields[1:])
    elif kind in JSON_LINES:
        rows = read_json(file, intake)
    else:
        return intake.skip("a file that is neither JSON nor Parquet")
    first, num_found = None, 0
    for row in layout.gather(rows, intake) if layout.gather else rows:
        first = first or row
        for conversation in _of_row(config, layout, row, intake):
            num_found += 1
            yield conversation
    if first is not None and not num_found:
        _require_layout(config, first)


def _of_row(config: InstructionSet, layout: Layout, row: Row, intake: Intake) -> Iterator[Conversation]:
    try:
        for suffix, talk in layout.talks(row.fields, config.ask, intake):
            if fault := fault_of(talk):
                intake.bad(fault[0], row.place(), fault[1], row.raw)
            else:
                yield _conversation(config.name, f"{row.file.key}:{row.number}{suffix}", talk)
    except BadRow as fault:
        intake.bad(fault.reason, row.place(), fault.expected, row.raw)


def _require_layout(config: InstructionSet, row: Row) -> None:
    """Refuse a file without any conversation if its first object has another layout."""
    silent = Intake(config.name, strict=False, keep=None)
    fitting = []
    for name, layout in LAYOUTS.items():
        try:
            talks = [talk for _, talk in layout.talks(row.fields, "", silent)]
        except BadRow:
            continue
        if talks and not any(map(fault_of, talks)):
            fitting.append(name)
    if fitting:
        raise UserError(
            f"the instruction set '{config.name}': no object of {row.file.address} has the layout '{config.layout}'",
            f"{', '.join(LAYOUTS[config.layout].fields)} in each",
            f"Its first object has the layout {' or '.join(fitting)}: set that in instruct.datasets.",
        )


def fault_of(talk: Talk) -> tuple[str, str] | None:
    """Say what keeps messages from being a conversation, and what they should be."""
    if unknown := [role for role, _ in talk if role not in ROLES]:
        return f"the role '{unknown[0]}'", f"one of {', '.join(ROLES)}"
    roles = [ROLES[role] for role, _ in talk]
    turns = roles[1:] if roles[:1] == ["system"] else roles
    if "human" not in turns:
        return "no human turn", "a question and its answer"
    if turns != [("human", "assistant")[turn % 2] for turn in range(len(turns))]:
        return "roles that do not alternate", "human and assistant in turn, the human first, at most one system before"
    if turns[-1] != "assistant":
        return "no last response", "the assistant's turn at the end"
    if not all(text.strip() for role, text in talk if ROLES[role] == "assistant"):
        return "an empty response", "text in each response"
    if not all(text.strip() for _, text in talk):
        return "an empty message", "text in each message"
    return None


def _conversation(source: str, key: str, talk: Talk) -> Conversation:
    system = talk[0][1] if ROLES[talk[0][0]] == "system" else ""
    turns = talk[1:] if ROLES[talk[0][0]] == "system" else talk
    said = tuple(Message("human" if ROLES[role] == "human" else "assistant", text) for role, text in turns)
    return Conversation(source, key, said, system)
