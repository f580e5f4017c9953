"""Conversations to rows and batches, one conversation a row or several, and which of their tokens teach.

A batch is counted in conversations. The order of each epoch, and so the conversations of a batch, are the same in
either form, and so is the loss of each: in a packed row nobody sees a neighbor, and positions begin at each again.

Shape letters: N conversations, T tokens of all of them, B rows of a batch, L positions of a row.
"""

import functools
import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, UInt16

from xgen.core.types import Batch
from xgen.data.mixture import shuffled
from xgen.tokenizer.encoding import decode
from xgen.tokenizer.specials import END_OF_TEXT
from xgen.tune.config import InstructConfig


@dataclass(frozen=True)
class Rows:
    """Conversations as ids, end to end; number n lies between `starts[n]` and `starts[n + 1]`."""

    context_length: int
    ids: UInt16[np.ndarray, "T"]
    teaches: Bool[np.ndarray, "T"]
    starts: Int64[np.ndarray, "_"]
    names: tuple[str, ...]
    """Source and key of each."""

    def __len__(self) -> int:
        return len(self.names)

    def conversation(self, number: int) -> slice:
        return slice(int(self.starts[number]), int(self.starts[number + 1]))

    @functools.cached_property
    def positions(self) -> Int64[np.ndarray, "N"]:
        """How many positions of a row each takes: its last id is only asked for."""
        return np.diff(self.starts) - 1


@dataclass(frozen=True)
class Plan:
    """How a run goes through its conversations: steps, rows of each batch, and how full they are."""

    num_steps: int
    rows_per_batch: int
    filled: float
    """The share of positions that hold a token of a conversation."""


def num_steps(rows: Rows, config: InstructConfig) -> int:
    """Count the batches in which every conversation is seen `epochs` times; the last one may have empty rows."""
    return -(-len(rows) * config.epochs // config.batch_conversations)


def plan(rows: Rows, config: InstructConfig, seed: int, multiple: int = 1) -> Plan:
    """Find how many rows the fullest batch of the run needs, so that all have one shape; a multiple of `multiple`."""
    steps = num_steps(rows, config)
    needed = config.batch_conversations
    if config.rows == "packed":
        needed = max(len(placed(rows, config, seed, step)) for step in range(steps))
    needed = -(-needed // multiple) * multiple
    tokens = config.epochs * int(rows.positions.sum())
    return Plan(steps, needed, tokens / (steps * needed * rows.context_length))


def members(rows: Rows, config: InstructConfig, seed: int, step: int) -> list[int]:
    """Name the conversations of a batch.

    The epochs, each in an order of its own, follow one another without a gap, so a batch may hold the end of one and
    the beginning of the next. The last batch may have fewer.
    """
    assert 0 <= step < num_steps(rows, config), f"step {step} of {num_steps(rows, config)}"
    first = step * config.batch_conversations
    places = range(first, min(first + config.batch_conversations, len(rows) * config.epochs))
    return [_order(seed, place // len(rows), len(rows))[place % len(rows)] for place in places]


def placed(rows: Rows, config: InstructConfig, seed: int, step: int) -> list[list[int]]:
    """Lay the conversations of a batch out in rows."""
    chosen = members(rows, config, seed, step)
    return packed(chosen, rows) if config.rows == "packed" else [[number] for number in chosen]


def packed(numbers: list[int], rows: Rows) -> list[list[int]]:
    """Pack conversations into few rows: the longest first, each into the first row that has room for it."""
    found: list[list[int]] = []
    left: list[int] = []
    for number in sorted(numbers, key=lambda number: (-rows.positions[number], number)):
        need = int(rows.positions[number])
        place = next((place for place, room in enumerate(left) if room >= need), len(left))
        if place == len(left):
            found.append([])
            left.append(rows.context_length)
        found[place].append(number)
        left[place] -= need
    return found


def batch_of(rows: Rows, config: InstructConfig, seed: int, step: int, num_rows: int) -> Batch:
    """Return the batch of a step: a pure function of the seed and the step.

    What is left of a row, and of `num_rows` rows, is padding: a segment of its own, without weight.
    """
    layout = placed(rows, config, seed, step)
    assert len(layout) <= num_rows, f"{len(layout)} rows in a batch of {num_rows}"
    shape = (num_rows, rows.context_length)
    tokens_BL, targets_BL = np.full(shape, END_OF_TEXT, np.int32), np.full(shape, END_OF_TEXT, np.int32)
    weights_BL = np.zeros(shape, np.float32)
    positions_BL = np.tile(np.arange(rows.context_length, dtype=np.int32), (num_rows, 1))
    segments_BL = np.zeros(shape, np.int32)
    for b, numbers in enumerate(layout):
        segments_BL[b] = len(numbers)
        start = 0
        for segment, number in enumerate(numbers):
            where = rows.conversation(number)
            here = slice(start, start + int(rows.positions[number]))
            tokens_BL[b, here] = rows.ids[where][:-1]
            targets_BL[b, here] = rows.ids[where][1:]
            weights_BL[b, here] = rows.teaches[where][1:]
            positions_BL[b, here] = np.arange(here.stop - start)
            segments_BL[b, here] = segment
            start = here.stop
    return Batch(tokens_BL, targets_BL, weights_BL, positions_BL, segments_BL)


@functools.lru_cache(maxsize=4)
def _order(seed: int, epoch: int, num_conversations: int) -> tuple[int, ...]:
    names = [str(number) for number in range(num_conversations)]
    return tuple(shuffled(seed, f"epoch {epoch} of conversations", names).tolist())


def show(rows: Rows, numbers: list[int]) -> list[list[tuple[str, bool]]]:
    """Give conversations as pieces of text, each with whether it teaches."""
    shown = []
    for number in numbers:
        where = rows.conversation(number)
        tokens = zip(rows.ids[where].tolist(), rows.teaches[where].tolist(), strict=True)
        shown.append(
            [
                (decode([token for token, _ in group]), teaches)
                for teaches, group in itertools.groupby(tokens, key=lambda token: token[1])
            ]
        )
    return shown
