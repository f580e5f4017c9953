"""Conversations to rows and batches: one conversation a row, padded, and which of its tokens teach.

Shape letters: N conversations, T tokens of all of them, B rows of a batch, L positions of a row.
"""

import functools
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, UInt16

from xgen.core.errors import UserError
from xgen.core.types import Batch, Conversation
from xgen.data.mixture import shuffled
from xgen.tokenizer.chat import render
from xgen.tokenizer.encoding import decode
from xgen.tokenizer.specials import END_OF_TEXT
from xgen.tune.config import InstructConfig

CONVERSATION, PADDING = 0, 1
"""Segments of a row: neither attends to the other."""


@dataclass(frozen=True)
class Rows:
    """Conversations as ids, end to end; number n lies between `starts[n]` and `starts[n + 1]`."""

    context_length: int
    ids: UInt16[np.ndarray, "T"]
    teaches: Bool[np.ndarray, "T"]
    starts: Int64[np.ndarray, "_"]
    names: tuple[str, ...]
    """Source and key of each."""
    dropped: Mapping[str, int]
    """Conversations left out, by reason."""

    def __len__(self) -> int:
        return len(self.names)

    def conversation(self, number: int) -> slice:
        return slice(int(self.starts[number]), int(self.starts[number + 1]))


def rows_of(
    conversations: Iterable[Conversation], template: str, context_length: int, max_conversations: int = 0
) -> Rows:
    """Render conversations until `max_conversations` fit (0: all of them), dropping those longer than a row.

    A row of L positions holds L + 1 ids: the last is only asked for. UserError where none fits.
    """
    ids, teaches, lengths, names = [], [], [0], []
    dropped: Counter[str] = Counter()
    for conversation in conversations:
        pieces = render(conversation, template)
        length = sum(len(piece.ids) for piece in pieces)
        if length > context_length + 1:
            dropped["longer than a row"] += 1
            continue
        lengths.append(length)
        names.append(f"{conversation.source}/{conversation.key}")
        ids.extend(np.array(piece.ids, np.uint16) for piece in pieces)
        teaches.extend(np.full(len(piece.ids), piece.teaches) for piece in pieces)
        if len(names) == max_conversations:
            break
    if not names:
        raise UserError(
            f"no conversation for instruction tuning ({dict(dropped) or 'the dataset is empty'})",
            f"at least one of at most {context_length + 1:,} tokens",
            "Raise instruct.context-length, or choose another dataset.",
        )
    return Rows(
        context_length, np.concatenate(ids), np.concatenate(teaches), np.cumsum(lengths), tuple(names), dict(dropped)
    )


def num_steps(rows: Rows, config: InstructConfig) -> int:
    """Count the batches in which every conversation is seen `epochs` times; the last one may have empty rows."""
    return -(-len(rows) * config.epochs // config.batch_conversations)


def batch_of(rows: Rows, config: InstructConfig, seed: int, step: int) -> Batch:
    """Return the batch of a step: a pure function of the seed and the step.

    The epochs, each in an order of its own, follow one another without a gap, so a batch may hold the end of one and
    the beginning of the next. Where the last one ends within a batch, the rest of its rows is padding, without weight.
    """
    assert 0 <= step < num_steps(rows, config), f"step {step} of {num_steps(rows, config)}"
    B, L = config.batch_conversations, rows.context_length
    ids_BM = np.full((B, L + 1), END_OF_TEXT, np.int32)
    teaches_BM = np.zeros((B, L + 1), np.float32)
    lengths = np.zeros(B, np.int64)
    for b, place in enumerate(range(step * B, min((step + 1) * B, len(rows) * config.epochs))):
        epoch, within = divmod(place, len(rows))
        where = rows.conversation(_order(seed, epoch, len(rows))[within])
        lengths[b] = where.stop - where.start
        ids_BM[b, : lengths[b]] = rows.ids[where]
        teaches_BM[b, : lengths[b]] = rows.teaches[where]
    positions = np.broadcast_to(np.arange(L, dtype=np.int32), (B, L))
    segments = np.where(positions < lengths[:, None], CONVERSATION, PADDING).astype(np.int32)
    return Batch(ids_BM[:, :-1], ids_BM[:, 1:], teaches_BM[:, 1:], positions, segments)


@functools.lru_cache(maxsize=4)
def _order(seed: int, epoch: int, num_conversations: int) -> tuple[int, ...]:
    names = [str(number) for number in range(num_conversations)]
    return tuple(shuffled(seed, f"epoch {epoch} of conversations", names).tolist())


def show(rows: Rows, num_shown: int) -> list[list[tuple[str, bool]]]:
    """Give the first conversations as pieces of text, each with whether it teaches."""
    shown = []
    for number in range(min(num_shown, len(rows))):
        where = rows.conversation(number)
        tokens = zip(rows.ids[where].tolist(), rows.teaches[where].tolist(), strict=True)
        shown.append(
            [
                (decode([token for token, _ in group]), teaches)
                for teaches, group in itertools.groupby(tokens, key=lambda token: token[1])
            ]
        )
    return shown
