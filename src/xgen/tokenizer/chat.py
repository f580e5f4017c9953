"""Conversations to token ids: the form of section 4, its two cousins, and which tokens teach.

The form is text around text: its markers are ordinary words, the model has no tokens of their own for them. So:

- Every text, marker or message, is encoded as data. The one control token, <|endoftext|>, is put here, after each
  response, and nowhere else: no message can end a response or the conversation, whatever is written in it.
- No message can forge a turn. Where one says "### Human:" or "### Assistant:", its "###" is encoded as "#" and "##":
  the same text by other ids, so the ids of a marker stand where this file put one, and nowhere else.
- What teaches is decided by the turns, not by the words.
- Where pieces meet, nothing merges: their ids are the ids of the whole text (tested), so pieces cost no tokens, and
  what `render_prompt` gives is the exact beginning of what `render` trains on.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from xgen.core.errors import UserError, suggest
from xgen.core.types import Conversation
from xgen.tokenizer.encoding import encode
from xgen.tokenizer.specials import END_OF_TEXT


@dataclass(frozen=True)
class Template:
    """The words around messages. A message follows its marker after one space; a response ends with <|endoftext|>."""

    system: str
    """Said first where a conversation brings no system message of its own; empty says nothing."""
    after_system: str
    human: str
    assistant: str
    """Follows the human's message; a prompt ends with it, without a space: the model's first token brings that."""
    between: str
    """Stands between <|endoftext|> and the next turn."""


class Piece(NamedTuple):
    """Tokens of one origin. Those of a response and its <|endoftext|> teach; prompts and markers do not."""

    ids: tuple[int, ...]
    teaches: bool


RELEASED_SYSTEM = (
    "A chat between a curious human and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the human's questions."
)

TEMPLATES: dict[str, Template] = {
    # Section 4. It knows no system message; one that a conversation brings stands in a paragraph before.
    "report": Template(system="", after_system="\n\n", human="### Human:", assistant=" ### Assistant:", between=""),
    # The card of the released instruct models. It stops at "###" and lets the model write " Assistant:".
    "released": Template(
        system=RELEASED_SYSTEM, after_system="\n\n", human="### Human:", assistant="\n### Assistant:", between="\n"
    ),
    # FastChat's "xgen": a third line break after the system message, because its separator follows it.
    "fastchat": Template(
        system=RELEASED_SYSTEM, after_system="\n\n\n", human="### Human:", assistant="\n### Assistant:", between="\n"
    ),
}


def template_named(name: str) -> Template:
    """Return a template, or name the nearest one that exists."""
    if name not in TEMPLATES:
        raise UserError(f"there is no template '{name}'", "a template of tokenizer/chat.py", suggest(name, TEMPLATES))
    return TEMPLATES[name]


def render(conversation: Conversation, template: str) -> list[Piece]:
    """Give the pieces of a finished conversation, in order: what a row of instruction tuning holds.

    Four for each exchange: a marker, the human's message, a marker, the response with its <|endoftext|>.
    """
    _require_turns(conversation, last="assistant")
    return list(_pieces(conversation, template_named(template)))


def render_prompt(conversation: Conversation, template: str) -> list[int]:
    """Give the ids that ask for the next response; the last message is the human's."""
    _require_turns(conversation, last="human")
    return [token for piece in _pieces(conversation, template_named(template)) for token in piece.ids]


def _pieces(conversation: Conversation, form: Template) -> Iterator[Piece]:
    for turn, message in enumerate(conversation.messages):
        said = said_ids(" " + message.text)
        if message.role == "assistant":
            yield Piece((*said, END_OF_TEXT), teaches=True)
        else:
            before = _opening(conversation.system or form.system, form) if turn == 0 else form.between
            yield Piece(tuple(said_ids(before + form.human, len(before))), teaches=False)
            yield Piece(tuple(said), teaches=False)
            yield Piece(tuple(encode(form.assistant).tolist()), teaches=False)


MARKERS = {form.human.strip() for form in TEMPLATES.values()} | {form.assistant.strip() for form in TEMPLATES.values()}
FORGED = re.compile("|".join(sorted(map(re.escape, MARKERS))))


def said_ids(text: str, end: int | None = None) -> list[int]:
    """Encode what somebody says, up to `end`, and what follows it: no marker in what is said has a marker's ids."""
    forged = FORGED.finditer(text, 0, len(text) if end is None else end)
    cuts = [0, *(found.start() + 1 for found in forged), len(text)]
    return [token for start, end in itertools.pairwise(cuts) for token in encode(text[start:end]).tolist()]


def _opening(system: str, form: Template) -> str:
    return system + form.after_system if system else ""


def _require_turns(conversation: Conversation, last: str) -> None:
    roles = [message.role for message in conversation.messages]
    alternating = [("human", "assistant")[turn % 2] for turn in range(len(roles))]
    if not roles or roles != alternating or roles[-1] != last:
        raise UserError(
            f"conversation {conversation.key} has the turns {', '.join(roles) or '(none)'}",
            f"human and assistant in turn, the human first, the {last} last",
            "Add, remove or join messages.",
        )
