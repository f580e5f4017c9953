"""Conversations to token ids: the form of section 4, its two cousins, and which tokens teach.

The form is text around text: its markers are ordinary words, the model has no tokens of their own for them. So:

- Every text, marker or message, is encoded as data. The one control token, <|endoftext|>, is put here, after each
  response, and nowhere else: no message can end a response or the conversation, whatever is written in it.
- A message that says "### Human:" gives the same ids as the marker and can look like one to the model; it moves no
  boundary. What teaches is decided by the turns, not by the words, and a true later turn follows <|endoftext|>.
- Where pieces meet, nothing merges: their ids are the ids of the whole text (tested), so pieces cost no tokens, and
  what `render_prompt` gives is the exact beginning of what `render` trains on.
"""

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
    """Give the pieces of a finished conversation, in order: what a row of instruction tuning holds."""
    _require_turns(conversation, last="assistant")
    return list(_pieces(conversation, template_named(template)))


def render_prompt(conversation: Conversation, template: str) -> list[int]:
    """Give the ids that ask for the next response; the last message is the human's."""
    _require_turns(conversation, last="human")
    return [token for piece in _pieces(conversation, template_named(template)) for token in piece.ids]


def _pieces(conversation: Conversation, form: Template) -> Iterator[Piece]:
    for turn, message in enumerate(conversation.messages):
        said = encode(" " + message.text).tolist()
        if message.role == "assistant":
            yield Piece((*said, END_OF_TEXT), teaches=True)
        else:
            before = _opening(conversation.system or form.system, form) if turn == 0 else form.between
            yield Piece(_marker(before + form.human), teaches=False)
            yield Piece(tuple(said), teaches=False)
            yield Piece(_marker(form.assistant), teaches=False)


def _opening(system: str, form: Template) -> str:
    return system + form.after_system if system else ""


def _marker(text: str) -> tuple[int, ...]:
    return tuple(encode(text).tolist())


def _require_turns(conversation: Conversation, last: str) -> None:
    roles = [message.role for message in conversation.messages]
    alternating = [("human", "assistant")[turn % 2] for turn in range(len(roles))]
    if not roles or roles != alternating or roles[-1] != last:
        raise UserError(
            f"conversation {conversation.key} has the turns {', '.join(roles) or '(none)'}",
            f"human and assistant in turn, the human first, the {last} last",
            "Add, remove or join messages.",
        )
