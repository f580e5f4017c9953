"""Which conversations of a set are tuned on: screened, rendered, fitted to a row, drawn; each has one fate, counted."""

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, UInt16

from xgen.core.types import Conversation
from xgen.filters.verdict import Drop
from xgen.tokenizer.chat import Piece, render
from xgen.tokenizer.encoding import decode_bytes
from xgen.tune.config import InstructionSet

Judge = Callable[[Conversation], Conversation | Drop]
"""Judges a conversation before it is rendered: the conversation, perhaps changed, or why it is dropped."""
TOO_LONG = "longer than a row"
EXCHANGE = 4
"""Pieces of an exchange: tokenizer/chat.py:render."""


class Rendered(NamedTuple):
    """A conversation as ids, which of them teach, and how it was made to fit."""

    key: str
    ids: UInt16[np.ndarray, "n"]
    teaches: Bool[np.ndarray, "n"]
    cut: str = ""


@dataclass
class Selection:
    """What is taken of one set, in the order of the draw, and what became of the rest."""

    kept: list[Rendered] = field(default_factory=list)
    read: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    not_drawn: int = 0

    def counts(self) -> dict[str, Any]:
        """Account for the set: read = kept + dropped + not drawn; tokens and lengths are those of the kept."""
        lengths = [len(one.ids) for one in self.kept]
        assert self.read == len(self.kept) + sum(self.dropped.values()) + self.not_drawn
        return {
            "read": self.read,
            "kept": len(self.kept),
            "cut": dict(sorted(Counter(one.cut for one in self.kept if one.cut).items())),
            "dropped": dict(sorted(self.dropped.items())),
            "not_drawn": self.not_drawn,
            "tokens": sum(lengths),
            "teaching": sum(int(one.teaches.sum()) for one in self.kept),
            "lengths": {str(top): count for top, count in sorted(Counter(map(bucket_of, lengths)).items())},
        }


def bucket_of(length: int) -> int:
    """Give the power of two that a length does not exceed."""
    return 1 << max(length - 1, 0).bit_length()


def keep_all(conversation: Conversation) -> Conversation:
    """Screen nothing."""
    return conversation


def select(
    conversations: Iterable[Conversation],
    config: InstructionSet,
    template: str,
    context_length: int,
    seed: int,
    screen: Judge = keep_all,
    in_order: bool = False,
) -> Selection:
    """Take `max_conversations` (0: all) of those that follow the rules of a set.

    They are those of the lowest rank, a hash of key and seed: the order of reading has no say, and no more of them
    than that are held. With `in_order` they come ranked, and no more are read than needed.
    """
    rank_of = _ranks(seed, config.name)
    found = Selection()
    heap: list[tuple[int, int, Rendered]] = []
    dropped: list[tuple[int, str]] = []
    limit = config.max_conversations
    for number, conversation in enumerate(conversations):
        found.read += 1
        rank = number if in_order else rank_of(conversation.key)
        if limit and len(heap) == limit and rank >= -heap[0][0]:
            found.not_drawn += 1
            continue
        judged = screen(conversation)
        fitted = Drop(judged.reason) if isinstance(judged, Drop) else fit(judged, config, template, context_length)
        if isinstance(fitted, Drop):
            dropped.append((rank, fitted.reason))
            continue
        heapq.heappush(heap, (-rank, -number, fitted))
        if limit and len(heap) > limit:
            heapq.heappop(heap)
            found.not_drawn += 1
        if limit and in_order and len(heap) == limit:
            break
    last = -heap[0][0] if limit and len(heap) == limit else None
    # One that was dropped, but would not have been drawn, is not drawn: whenever it was read.
    beyond = [reason for rank, reason in dropped if last is not None and rank > last]
    found.not_drawn += len(beyond)
    found.dropped = dict(Counter(reason for rank, reason in dropped if last is None or rank <= last))
    found.kept = [one for _, _, one in sorted(heap, key=lambda entry: (-entry[0], -entry[1]))]
    return found


def _ranks(seed: int, name: str) -> Callable[[str], int]:
    keyed = hashlib.blake2b(key=hashlib.sha256(f"{seed}\0conversations of {name}".encode()).digest(), digest_size=8)

    def rank_of(key: str) -> int:
        each = keyed.copy()
        each.update(key.encode())
        return int.from_bytes(each.digest(), "big")

    return rank_of


def fit(conversation: Conversation, config: InstructionSet, template: str, context_length: int) -> Rendered | Drop:
    """Render a conversation, and cut one that is longer than a row by the rule of its set.

    A row of L positions holds L + 1 ids: the last is only asked for.
    """
    pieces, cut = render(conversation, template), ""
    excess = sum(len(piece.ids) for piece in pieces) - (context_length + 1)
    if excess + context_length + 1 < config.min_tokens:
        return Drop("under min_tokens")
    if excess > 0:
        pieces, cut = CUTS[config.when_long](pieces, context_length + 1), config.when_long
    if not pieces:
        return Drop(TOO_LONG)
    ids = np.concatenate([np.array(piece.ids, np.uint16) for piece in pieces])
    teaches = np.concatenate([np.full(len(piece.ids), piece.teaches) for piece in pieces])
    return Rendered(conversation.key, ids, teaches, cut)


def _cut_nothing(pieces: list[Piece], most: int) -> list[Piece]:
    return []


def _cut_turns(pieces: list[Piece], most: int) -> list[Piece]:
    """Keep the first exchanges, as many as fit."""
    ends = np.cumsum([len(piece.ids) for piece in pieces])[EXCHANGE - 1 :: EXCHANGE]
    return pieces[: EXCHANGE * int(np.searchsorted(ends, most, "right"))]


def _cut_prompt(pieces: list[Piece], most: int) -> list[Piece]:
    """Take the end of the longest question away, where the text of a long document stands; nothing if that is short."""
    place = max(range(1, len(pieces), EXCHANGE), key=lambda number: len(pieces[number].ids))
    left = len(pieces[place].ids) - (sum(len(piece.ids) for piece in pieces) - most)
    ids = pieces[place].ids[: max(left, 0)]
    while ids and not _whole(ids[-4:]):  # a character may be spread over several ids
        ids = ids[:-1]
    return [*pieces[:place], Piece(ids, teaches=False), *pieces[place + 1 :]] if ids else []


def _whole(ids: tuple[int, ...]) -> bool:
    """Say whether no character is begun at the end and not finished."""
    tail = decode_bytes(ids)[-4:]
    for length in range(1, len(tail) + 1):
        lead = tail[-length]
        if lead >= 0xC0:
            return length >= (2 if lead < 0xE0 else 3 if lead < 0xF0 else 4)
        if lead < 0x80:
            return True
    return True


CUTS: dict[str, Callable[[list[Piece], int], list[Piece]]] = {
    "drop": _cut_nothing,
    "cut_turns": _cut_turns,
    "cut_prompt": _cut_prompt,
}
