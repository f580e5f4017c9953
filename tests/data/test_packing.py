"""Rows from documents: no token lost, repeated or reordered; the separator; the orders; and the batch of a step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.stores import store_of
from xgen.data.loader import batch_of
from xgen.data.mixture import take
from xgen.data.packing import merge, pack, row_order
from xgen.data.shards import write_rows
from xgen.tokenizer.specials import END_OF_TEXT

DOCUMENTS = st.lists(st.lists(st.integers(0, 50_255), min_size=2, max_size=30), min_size=1, max_size=12)


def streamed(documents, quotas, seed=0):
    """Make two sources of `documents`, and a stage that takes `quotas` tokens of them."""
    stores = [store_of(name, {f"{name}{number}": ids for number, ids in enumerate(documents)}) for name in ("a", "b")]
    slices = [
        take(store.source, np.arange(len(documents)), store.lengths + 1, store.ids, quota, seed)
        for store, quota in zip(stores, quotas, strict=True)
    ]
    return slices, stores, merge(slices, stores, seed, "s")


@settings(deadline=None, max_examples=100)
@given(DOCUMENTS, st.integers(1, 40), st.integers(1, 9), st.data())
def test_rows_in_the_order_of_the_stream_are_the_concatenated_documents(documents, length, num_rows, data):
    total = length * num_rows
    if total < 4:
        return
    first = data.draw(st.integers(2, total - 2))
    slices, _, stream = streamed(documents, (first, total - first))
    rows = np.concatenate(list(pack(stream, np.arange(num_rows), length)))
    assert rows.shape == (num_rows, length) and rows.dtype == np.uint16
    # Every document that was taken, cut where the quota cut it, is there once, whole, with one separator behind it.
    flat = rows.reshape(-1).tolist()
    assert flat[-1] == END_OF_TEXT
    pieces, piece = [], []
    for token in flat:
        if token == END_OF_TEXT:
            pieces.append(tuple(piece))
            piece = []
        else:
            piece.append(token)
    wanted = [
        tuple(documents[index][: taken - 1])
        for one in slices
        for index, taken in zip(one.documents.tolist(), one.taken.tolist(), strict=True)
    ]
    assert sorted(pieces) == sorted(wanted)
    assert all(pieces)  # never two separators in a row


@settings(deadline=None, max_examples=50)
@given(DOCUMENTS, st.integers(1, 20), st.integers(2, 9), st.integers(0, 9))
def test_the_order_of_training_has_every_row_once(documents, length, num_rows, seed):
    _, _, stream = streamed(documents, (length * num_rows // 2 + 2, length * num_rows + 2))
    order = row_order(seed, "s", num_rows)
    assert sorted(order.tolist()) == list(range(num_rows))
    plain = np.concatenate(list(pack(stream, np.arange(num_rows), length)))
    np.testing.assert_array_equal(np.concatenate(list(pack(stream, order, length))), plain[order])


def test_documents_of_all_sources_lie_in_one_uniform_order():
    documents = [[number] * 3 for number in range(400)]
    _, _, stream = streamed(documents, (1600, 1600))
    positions = np.flatnonzero(stream.sources == 0)
    assert len(positions) == 400 and abs(positions.mean() - 399.5) < 40  # 5 standard deviations are 58 / 2 ** 0.5
    runs = np.count_nonzero(np.diff(stream.sources)) + 1
    assert 330 < runs < 470


def test_a_document_that_repeats_may_lie_anywhere_and_not_beside_its_first_copy():
    documents = [[number] * 3 for number in range(50)]
    _, _, stream = streamed(documents, (400, 4))
    places = [np.flatnonzero((stream.sources == 0) & (stream.places == 3 * number)) for number in range(50)]
    assert all(len(place) == 2 for place in places)
    assert np.mean([np.ptp(place) for place in places]) > 20


def test_rows_that_do_not_arrive_leave_no_file(tmp_path):
    with pytest.raises(AssertionError, match="1 rows of 2"):
        write_rows(tmp_path / "rows.npy", (2, 3), iter([np.zeros((1, 3), np.uint16)]))
    assert list(tmp_path.iterdir()) == []


def test_a_batch_asks_for_the_next_token_and_nothing_at_the_end_of_a_row():
    rows = np.array([[5, 6, END_OF_TEXT], [7, 8, 9], [1, 2, 3]], np.uint16)
    batch = batch_of(rows, 1, 2)
    np.testing.assert_array_equal(batch.tokens, [[7, 8, 9], [1, 2, 3]])
    np.testing.assert_array_equal(batch.targets, [[8, 9, END_OF_TEXT], [2, 3, END_OF_TEXT]])
    np.testing.assert_array_equal(batch.weights, [[1, 1, 0], [1, 1, 0]])
    np.testing.assert_array_equal(batch.positions, [[0, 1, 2], [0, 1, 2]])
    np.testing.assert_array_equal(batch.segments, np.zeros((2, 3)))
    assert [array.dtype for array in batch] == [np.int32, np.int32, np.float32, np.int32, np.int32]
    with pytest.raises(AssertionError):
        batch_of(rows, 2, 2)


def test_the_batches_of_a_stage_are_its_rows_once_each():
    rows = np.arange(24, dtype=np.uint16).reshape(8, 3)
    batches = [batch_of(rows, first, 2).tokens for first in range(0, 8, 2)]
    np.testing.assert_array_equal(np.concatenate(batches), rows)
