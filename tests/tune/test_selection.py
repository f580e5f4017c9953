"""Which conversations are taken: every one has one fate, the draw has no order, and what is cut still teaches."""

import dataclasses
import random
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenizer.texts import adversarial_text
from xgen.core.types import Conversation, Message
from xgen.filters.verdict import Drop
from xgen.tokenizer.chat import render, render_prompt
from xgen.tokenizer.encoding import decode
from xgen.tokenizer.specials import END_OF_TEXT
from xgen.tune.config import InstructionSet
from xgen.tune.selection import Selection, bucket_of, fit, select

SET = InstructionSet("chats", "messages", "chats.jsonl", "MIT")


def talk(key: str, *texts: str) -> Conversation:
    said = tuple(Message("assistant" if turn % 2 else "human", text) for turn, text in enumerate(texts))
    return Conversation("test", key, said)


def ids_of(conversation: Conversation) -> list[int]:
    return [token for piece in render(conversation, "report") for token in piece.ids]


MANY = [talk(str(n), "a" + " a" * (n % 5), "b" + " b" * (n % 11)) for n in range(60)]


def chosen(many: list[Conversation], **changes: object) -> Selection:
    return select(many, dataclasses.replace(SET, **changes), "report", 16, seed=3)


@pytest.mark.parametrize("limit", [0, 1, 7, 30, 60, 99])
def test_the_draw_and_all_counts_are_the_same_in_any_order_of_reading(limit: int) -> None:
    found = chosen(MANY, max_conversations=limit)
    for seed in range(3):
        mixed = random.Random(seed).sample(MANY, len(MANY))
        again = chosen(mixed, max_conversations=limit)
        assert [one.key for one in again.kept] == [one.key for one in found.kept]
        assert again.counts() == found.counts()
    whole = chosen(MANY)
    assert [one.key for one in found.kept] == [one.key for one in whole.kept][: limit or None], (
        "a draw begins the order"
    )
    assert found.read == 60 and found.dropped.get("longer than a row", 0) <= whole.dropped["longer than a row"]


def test_another_seed_draws_others() -> None:
    config = dataclasses.replace(SET, max_conversations=10)
    drawn = [{one.key for one in select(MANY, config, "report", 32, seed).kept} for seed in range(3)]
    assert len({frozenset(keys) for keys in drawn}) == 3


def test_of_a_set_that_comes_in_order_no_more_is_read_than_is_wanted() -> None:
    def endless() -> Iterator[Conversation]:
        number = 0
        while True:
            number += 1
            yield talk(str(number), "x", "y" if number % 2 else "y " * 99)

    found = select(endless(), dataclasses.replace(SET, max_conversations=3), "report", 48, 0, in_order=True)
    assert [one.key for one in found.kept] == ["1", "3", "5"]
    assert found.dropped == {"longer than a row": 2}


def test_what_a_screen_says_is_a_fate_and_what_it_changes_is_rendered() -> None:
    def screen(conversation: Conversation) -> Conversation | Drop:
        return Drop("odd") if int(conversation.key) % 2 else talk(conversation.key, "q", "r")

    found = select(MANY, SET, "report", 16, 0, screen)
    assert found.dropped == {"odd": 30} and len(found.kept) == 30
    assert {decode(one.ids) for one in found.kept} == {"### Human: q ### Assistant: r<|endoftext|>"}


def test_a_row_takes_one_id_more_than_it_has_positions() -> None:
    length = len(ids_of(talk("a", "x", "y")))
    whole = fit(talk("a", "x", "y"), SET, "report", length - 1)
    assert not isinstance(whole, Drop) and whole.ids.tolist() == ids_of(talk("a", "x", "y")) and not whole.cut
    assert fit(talk("a", "x", "y"), SET, "report", length - 2) == Drop("longer than a row")


def test_only_long_examples_are_taken_where_a_set_says_so() -> None:
    config = dataclasses.replace(SET, min_tokens=10)
    assert isinstance(fit(talk("a", "x", "y z"), config, "report", 99), Drop) is (
        len(ids_of(talk("a", "x", "y z"))) < 10
    )
    assert fit(talk("a", "x", "y"), dataclasses.replace(SET, min_tokens=99), "report", 99) == Drop("under min_tokens")


def test_turns_are_cut_to_the_exchanges_that_fit() -> None:
    config, long = dataclasses.replace(SET, when_long="cut_turns"), talk("k", "a", "b", "c", "d", "e", "f")
    for length in range(len(ids_of(long)) + 1):
        found = fit(long, config, "report", length - 1)
        fitting = [ids for turns in (2, 4, 6) if len(ids := ids_of(talk("k", *"abcdef"[:turns]))) <= length]
        if not fitting:
            assert found == Drop("longer than a row")
        else:
            assert not isinstance(found, Drop)
            assert found.ids.tolist() == fitting[-1]
            assert found.cut == ("" if len(fitting) == 3 else "cut_turns")


@settings(deadline=None, max_examples=80)
@given(st.lists(adversarial_text, min_size=1, max_size=2), adversarial_text, st.integers(8, 60))
def test_a_long_question_loses_its_end_and_no_response_an_id(texts: list[str], answer: str, length: int) -> None:
    asked = "Why?\n\n" + "\n".join(texts) + " 🤖 and more text é 世界" * 3
    long = talk("k", asked, answer)
    found = fit(long, dataclasses.replace(SET, when_long="cut_prompt"), "report", length)
    if isinstance(found, Drop):
        rest = len(ids_of(long)) - len(render(long, "report")[1].ids)
        assert rest + 8 > length, "only where nothing of the question would be left"
        return
    assert len(found.ids) <= length + 1
    assert len(found.ids) >= min(length - 6, len(ids_of(long)))
    assert found.ids[found.teaches].tolist() == [*render(long, "report")[3].ids]
    prompt = decode(found.ids[~found.teaches])
    assert prompt.removesuffix(" ### Assistant:") in decode(render_prompt(talk("k", asked), "report"))
    assert found.ids[-1] == END_OF_TEXT


def test_lengths_are_counted_in_powers_of_two() -> None:
    assert [bucket_of(length) for length in (1, 2, 3, 4, 5, 8, 9, 8192, 8193)] == [1, 2, 4, 4, 8, 8, 16, 8192, 16384]
    counts = chosen(MANY).counts()
    assert sum(counts["lengths"].values()) == counts["kept"]
    assert counts["teaching"] == sum(int(np.sum(one.teaches)) for one in chosen(MANY).kept)
