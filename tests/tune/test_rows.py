"""Rows and batches of instruction tuning: exactly the responses teach, and everyone is seen equally often."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenizer.texts import adversarial_text
from xgen.core.errors import UserError
from xgen.core.types import Conversation, Message
from xgen.tokenizer.chat import TEMPLATES, render
from xgen.tokenizer.encoding import decode
from xgen.tokenizer.specials import END_OF_TEXT
from xgen.train.config import OptimizerConfig
from xgen.tune.config import InstructConfig
from xgen.tune.rows import batch_of, num_steps, rows_of, show

OPTIMIZER = OptimizerConfig(
    peak_learning_rate=1e-3,
    final_fraction=0.1,
    warmup_tokens=0,
    beta1=0.9,
    beta2=0.99,
    epsilon=1e-8,
    weight_decay=0.0,
    clip_norm=1.0,
)
CONFIG = InstructConfig(
    dataset="messages",
    template="report",
    context_length=48,
    batch_conversations=4,
    epochs=2,
    max_conversations=0,
    optimizer=OPTIMIZER,
)


def talk(key: str, *texts: str) -> Conversation:
    said = tuple(Message("assistant" if turn % 2 else "human", text) for turn, text in enumerate(texts))
    return Conversation("test", key, said)


turns = st.lists(adversarial_text, min_size=2, max_size=4).filter(lambda texts: len(texts) % 2 == 0)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(turns, min_size=1, max_size=9),
    st.sampled_from(sorted(TEMPLATES)),
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(0, 3),
)
def test_exactly_the_responses_teach_and_everyone_is_seen_each_epoch(
    texts: list[list[str]], template: str, batch: int, epochs: int, seed: int
) -> None:
    config = dataclasses.replace(CONFIG, batch_conversations=batch, epochs=epochs)
    many = [talk(str(number), *said) for number, said in enumerate(texts)]
    rows = rows_of(many, template, 400)
    expected = {
        tuple(token for piece in render(each, template) for token in piece.ids): [
            decode(piece.ids) for piece in render(each, template) if piece.teaches
        ]
        for each in many
    }
    seen: list[tuple[int, ...]] = []
    for step in range(num_steps(rows, config)):
        each = batch_of(rows, config, seed, step)
        for b in range(batch):
            length = int((each.segments[b] == 0).sum())
            assert (each.segments[b, :length] == 0).all() and (each.segments[b, length:] == 1).all()
            assert (each.positions[b] == np.arange(400)).all()
            if length == 0:
                assert step == num_steps(rows, config) - 1 and not each.weights[b].any()
                continue
            assert each.tokens[b, 1:length].tolist() == each.targets[b, : length - 1].tolist()
            ids = tuple(each.tokens[b, :length].tolist())
            assert ids in expected
            assert "".join(expected[ids]) == decode(each.targets[b][each.weights[b] == 1])
            assert set(each.weights[b].tolist()) <= {0.0, 1.0} and not each.weights[b, length - 1 :].any()
            seen.append(ids)
    order = [tuple(rows.ids[rows.conversation(n)].tolist()) for n in range(len(rows))]
    for epoch in range(epochs):
        assert Counter(seen[epoch * len(rows) : (epoch + 1) * len(rows)]) == Counter(order), (
            "each epoch holds each once"
        )
    assert len(seen) == epochs * len(rows)


def test_a_row_of_four_positions_by_hand() -> None:
    config = dataclasses.replace(CONFIG, batch_conversations=2, epochs=1)
    batch = batch_of(rows_of([talk("k", "a", "b")], "report", 12), config, 0, 0)
    ids = [21017, 5524, 25, 257, 44386, 15286, 25, 275, END_OF_TEXT]
    pad = END_OF_TEXT
    assert batch.tokens.tolist() == [[*ids, pad, pad, pad], [pad] * 12]
    assert batch.targets[0].tolist() == [*ids[1:], pad, pad, pad, pad]
    assert batch.weights.tolist() == [[0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0], [0] * 12]
    assert batch.segments.tolist() == [[0] * 9 + [1] * 3, [1] * 12]
    assert [array.dtype for array in batch] == [np.int32, np.int32, np.float32, np.int32, np.int32]


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    rows = rows_of([talk(str(n), f"question {n}", f"answer {n}") for n in range(10)], "report", 48)
    forward = [batch_of(rows, CONFIG, 5, step) for step in range(num_steps(rows, CONFIG))]
    backward = [batch_of(rows, CONFIG, 5, step) for step in reversed(range(num_steps(rows, CONFIG)))][::-1]
    other = [batch_of(rows, CONFIG, 6, step) for step in range(num_steps(rows, CONFIG))]
    same = [all(map(np.array_equal, a, b)) for a, b in zip(forward, backward, strict=True)]
    assert len(forward) == 5 and all(same)
    assert not all(np.array_equal(a.tokens, b.tokens) for a, b in zip(forward, other, strict=True))


def test_the_epochs_have_orders_of_their_own() -> None:
    rows = rows_of([talk(str(n), "q", f"{n}") for n in range(12)], "report", 48)
    tokens = [batch_of(rows, dataclasses.replace(CONFIG, batch_conversations=12), 0, step).tokens for step in (0, 1)]
    assert not np.array_equal(*tokens)
    assert sorted(tokens[0].tolist()) == sorted(tokens[1].tolist())


def test_conversations_longer_than_a_row_are_dropped_and_counted() -> None:
    length = sum(len(piece.ids) for piece in render(talk("a", "x", "y"), "report"))
    many = [talk("long", "x", "y " * 100), talk("a", "x", "y"), talk("b", "x", "y z")]
    rows = rows_of(many, "report", length - 1)
    assert rows.names == ("test/a",) and rows.dropped == {"longer than a row": 2}
    full = batch_of(rows, CONFIG, 0, 0)
    assert full.targets[0, -1] == END_OF_TEXT and full.weights[0, -1] == 1, "the last id of a full row is asked for"
    with pytest.raises(UserError, match="longer than a row"):
        rows_of(many, "report", length - 2)


def test_no_more_are_read_than_are_wanted() -> None:
    def endless():
        while True:
            yield talk("a", "x", "y")

    assert len(rows_of(endless(), "report", 48, max_conversations=3)) == 3


def test_no_conversation_at_all_is_refused() -> None:
    with pytest.raises(UserError, match="the dataset is empty"):
        rows_of([], "report", 48)


def test_what_is_shown_is_the_text_and_what_teaches() -> None:
    rows = rows_of([talk("a", "Hi.", "Hello 🤖", "b", "c"), talk("b", "d", "e")], "report", 48)
    assert show(rows, 1) == [
        [
            ("### Human: Hi. ### Assistant:", False),
            (" Hello 🤖<|endoftext|>", True),
            ("### Human: b ### Assistant:", False),
            (" c<|endoftext|>", True),
        ]
    ]
    assert len(show(rows, 9)) == 2
