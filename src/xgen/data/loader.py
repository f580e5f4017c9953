"""Turn rows of prepared data into the batch of a training step: a pure function of the rows' numbers."""

import numpy as np

from xgen.core.types import Batch
from xgen.data.shards import Rows
from xgen.tokenizer.specials import END_OF_TEXT


def batch_of(rows: Rows | np.ndarray, first_row: int, num_rows: int) -> Batch:
    """Return rows `first_row` and following as tokens and targets, which are the tokens one place to the left.

    What follows the last position of a row is not known here, so its weight is 0. Documents share a row, its positions
    and its attention, as in the report: section 2 separates them by <|endoftext|> and nothing else.
    """
    assert first_row >= 0 and first_row + num_rows <= len(rows), f"rows {first_row}+{num_rows} of {len(rows)}"
    tokens = np.asarray(rows[first_row : first_row + num_rows]).astype(np.int32)
    targets = np.full_like(tokens, END_OF_TEXT)
    targets[:, :-1] = tokens[:, 1:]
    weights = np.ones(tokens.shape, np.float32)
    weights[:, -1] = 0
    positions = np.broadcast_to(np.arange(tokens.shape[1], dtype=np.int32), tokens.shape)
    return Batch(tokens, targets, weights, positions, np.zeros_like(tokens))
