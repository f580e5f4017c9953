"""Rows and batches of instruction tuning: exactly the responses teach, and everyone is seen equally often."""

import dataclasses
from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenizer.texts import adversarial_text
from xgen.core.types import Batch, Conversation, Message
from xgen.tokenizer.chat import TEMPLATES, render
from xgen.tokenizer.encoding import decode
from xgen.tokenizer.specials import END_OF_TEXT
from xgen.train.config import OptimizerConfig
from xgen.tune.config import InstructConfig, InstructionSet
from xgen.tune.rows import Rows, batch_of, members, num_steps, packed, plan, show

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
    name="chats",
    datasets=(InstructionSet("chats", "messages", "chats.jsonl", "MIT"),),
    template="report",
    context_length=48,
    batch_conversations=4,
    epochs=2,
    optimizer=OPTIMIZER,
)
PACKED = dataclasses.replace(CONFIG, rows="packed")


def talk(key: str, *texts: str) -> Conversation:
    said = tuple(Message("assistant" if turn % 2 else "human", text) for turn, text in enumerate(texts))
    return Conversation("test", key, said)


def rows_of(conversations: list[Conversation], template: str, context_length: int) -> Rows:
    pieces = [render(each, template) for each in conversations]
    ids = [np.array([token for piece in each for token in piece.ids], np.uint16) for each in pieces]
    teaches = [np.concatenate([np.full(len(piece.ids), piece.teaches) for piece in each]) for each in pieces]
    names = tuple(f"{each.source}/{each.key}" for each in conversations)
    starts = np.cumsum([0, *map(len, ids)])
    return Rows(context_length, np.concatenate(ids), np.concatenate(teaches), starts, names)


turns = st.lists(adversarial_text, min_size=2, max_size=4).filter(lambda texts: len(texts) % 2 == 0)


def conversations_in(batch: Batch, b: int) -> list[tuple[tuple[int, ...], list[int]]]:
    """Read a row back by its segments: the ids of each conversation, and those that teach; the last one is padding."""
    found = []
    segments = batch.segments[b]
    assert (np.diff(segments) >= 0).all()
    for segment in np.unique(segments[batch.weights[b] > 0]):
        here = segments == segment
        assert (batch.positions[b][here] == np.arange(here.sum())).all()
        tokens, targets = batch.tokens[b][here], batch.targets[b][here]
        assert (tokens[1:] == targets[:-1]).all()
        found.append(((*tokens.tolist(), int(targets[-1])), targets[batch.weights[b][here] == 1].tolist()))
    return found


@settings(deadline=None, max_examples=60)
@given(
    st.lists(turns, min_size=1, max_size=9),
    st.sampled_from(sorted(TEMPLATES)),
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(0, 3),
    st.sampled_from(["single", "packed"]),
)
def test_exactly_the_responses_teach_and_everyone_is_seen_each_epoch(
    texts: list[list[str]], template: str, batch: int, epochs: int, seed: int, form: str
) -> None:
    config = dataclasses.replace(CONFIG, batch_conversations=batch, epochs=epochs)
    many = [talk(str(number), *said) for number, said in enumerate(texts)]
    config = dataclasses.replace(config, rows=form)
    rows = rows_of(many, template, 400)
    expected = {
        tuple(token for piece in render(each, template) for token in piece.ids): [
            decode(piece.ids) for piece in render(each, template) if piece.teaches
        ]
        for each in many
    }
    planned = plan(rows, config, seed)
    numbers: list[int] = []
    for step in range(planned.num_steps):
        each = batch_of(rows, config, seed, step, planned.rows_per_batch)
        assert each.tokens.shape == (planned.rows_per_batch, 400)
        found = [one for b in range(planned.rows_per_batch) for one in conversations_in(each, b)]
        assert len(found) == min(batch, epochs * len(rows) - step * batch), "a batch is counted in conversations"
        for ids, taught in found:
            assert ids in expected
            assert "".join(expected[ids]) == decode(taught)
        seen = [ids for ids, _ in found]
        order = [tuple(rows.ids[rows.conversation(n)].tolist()) for n in members(rows, config, seed, step)]
        assert Counter(seen) == Counter(order), "whatever the rows, a batch has its members"
        numbers += members(rows, config, seed, step)
    for epoch in range(epochs):
        assert sorted(numbers[epoch * len(rows) : (epoch + 1) * len(rows)]) == list(range(len(rows)))
    assert len(numbers) == epochs * len(rows)


def test_a_row_of_twelve_positions_by_hand() -> None:
    config = dataclasses.replace(CONFIG, batch_conversations=2, epochs=1)
    rows = rows_of([talk("k", "a", "b")], "report", 12)
    batch = batch_of(rows, config, 0, 0, 2)
    ids = [21017, 5524, 25, 257, 44386, 15286, 25, 275, END_OF_TEXT]
    pad = END_OF_TEXT
    assert batch.tokens.tolist() == [[*ids[:-1], pad, pad, pad, pad], [pad] * 12]
    assert batch.targets[0].tolist() == [*ids[1:], pad, pad, pad, pad]
    assert batch.weights.tolist() == [[0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0], [0] * 12]
    assert batch.segments.tolist() == [[0] * 8 + [1] * 4, [0] * 12]
    assert [array.dtype for array in batch] == [np.int32, np.int32, np.float32, np.int32, np.int32]


def test_two_conversations_in_a_row_by_hand() -> None:
    rows = rows_of([talk("k", "a", "b"), talk("l", "c", "d")], "report", 17)
    batch = batch_of(rows, dataclasses.replace(PACKED, batch_conversations=2, epochs=1), 0, 0, 1)
    assert batch.segments.tolist() == [[0] * 8 + [1] * 8 + [2]]
    assert batch.positions.tolist() == [[*range(8), *range(8), 16]]
    assert batch.weights.tolist() == [[0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 0]]
    assert batch.targets[0, [7, 15]].tolist() == [END_OF_TEXT] * 2
    assert batch.tokens[0, 8] == 21017, "the token that ends the first is asked for, and not read by the second"


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60))
def test_packing_loses_none_and_no_two_rows_would_fit_into_one(lengths: list[int]) -> None:
    starts = np.cumsum([0, *(length + 1 for length in lengths)])
    nothing = np.zeros(starts[-1], np.uint16)
    rows = Rows(40, nothing, nothing.astype(bool), starts, tuple(map(str, range(len(lengths)))))
    found = packed(list(range(len(lengths))), rows)
    assert sorted(number for row in found for number in row) == list(range(len(lengths)))
    sums = [sum(lengths[number] for number in row) for row in found]
    assert max(sums) <= 40
    assert len(found) == 1 or sum(sorted(sums)[:2]) > 40


def test_the_fullest_batch_decides_how_many_rows_all_have() -> None:
    many = [talk(str(n), "a", "b" + " b" * (n % 7)) for n in range(30)]
    rows = rows_of(many, "report", 32)
    planned = plan(rows, PACKED, 3)
    assert planned.num_steps == 15 and planned.rows_per_batch in (2, 3)
    assert plan(rows, PACKED, 3, multiple=4).rows_per_batch == 4
    assert plan(rows, CONFIG, 3).rows_per_batch == 4
    assert plan(rows, PACKED, 3).filled > 1.3 * plan(rows, CONFIG, 3).filled
    weights = [batch_of(rows, PACKED, 3, step, planned.rows_per_batch).weights.sum() for step in range(15)]
    assert weights == [batch_of(rows, CONFIG, 3, step, 4).weights.sum() for step in range(15)], "the same batches"


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    rows = rows_of([talk(str(n), f"question {n}", f"answer {n}") for n in range(10)], "report", 48)
    forward = [batch_of(rows, CONFIG, 5, step, 4) for step in range(num_steps(rows, CONFIG))]
    backward = [batch_of(rows, CONFIG, 5, step, 4) for step in reversed(range(num_steps(rows, CONFIG)))][::-1]
    other = [batch_of(rows, CONFIG, 6, step, 4) for step in range(num_steps(rows, CONFIG))]
    same = [all(map(np.array_equal, a, b)) for a, b in zip(forward, backward, strict=True)]
    assert len(forward) == 5 and all(same)
    assert not all(np.array_equal(a.tokens, b.tokens) for a, b in zip(forward, other, strict=True))


def test_the_epochs_have_orders_of_their_own() -> None:
    rows = rows_of([talk(str(n), "q", f"{n}") for n in range(12)], "report", 48)
    tokens = [
        batch_of(rows, dataclasses.replace(CONFIG, batch_conversations=12), 0, step, 12).tokens for step in (0, 1)
    ]
    assert not np.array_equal(*tokens)
    assert sorted(tokens[0].tolist()) == sorted(tokens[1].tolist())


def test_what_is_shown_is_the_text_and_what_teaches() -> None:
    rows = rows_of([talk("a", "Hi.", "Hello 🤖", "b", "c"), talk("b", "d", "e")], "report", 48)
    assert show(rows, [0]) == [
        [
            ("### Human: Hi. ### Assistant:", False),
            (" Hello 🤖<|endoftext|>", True),
            ("### Human: b ### Assistant:", False),
            (" c<|endoftext|>", True),
        ]
    ]
