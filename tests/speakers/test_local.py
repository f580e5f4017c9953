"""A model in this process: batches by length, answers that come back to who asked, memory that is bounded."""

from pathlib import Path

import pytest

from xgen.core.types import Generation
from xgen.speakers.asking import Record, Request, ask
from xgen.speakers.fitting import fit
from xgen.speakers.local import ROWS_AT_ONCE, TOKENS_AT_ONCE, LocalSpeaker


def speaker(context_length: int, batches: list) -> LocalSpeaker:
    """A model that repeats the first letter of what it is asked."""

    def generate(prompts, temperature, max_new_tokens):
        batches.append((len(prompts), max(map(len, prompts)), temperature, max_new_tokens))
        return [Generation((prompt[0],) * 2, (0.0, 0.0), "stop") for prompt in prompts]

    return LocalSpeaker(
        "echo",
        context_length,
        lambda request: list(request.turns[-1].encode()),
        generate,
        lambda text: list(text.encode()),
        lambda ids: bytes(ids).decode(),
    )


def test_each_request_gets_its_answer_whatever_batch_it_is_in(tmp_path: Path) -> None:
    batches: list = []
    requests = [
        Request(f"r/{i}", (chr(97 + i % 26) * (1 + i % 7),), (0.0, 0.7)[i % 2], (4, 8)[i % 3 == 0]) for i in range(60)
    ]
    replies = ask(speaker(64, batches), requests, Record(tmp_path / "record.jsonl", "echo"))
    assert [reply.text for reply in replies] == [request.turns[0][0] * 2 for request in requests]
    assert sum(rows for rows, *_ in batches) == 60 and max(rows for rows, *_ in batches) <= ROWS_AT_ONCE
    assert {how for _, _, *how in map(list, batches) for how in [tuple(how)]} == {
        (0.0, 4),
        (0.0, 8),
        (0.7, 4),
        (0.7, 8),
    }


def test_long_prompts_stand_in_small_batches(tmp_path: Path) -> None:
    batches: list = []
    requests = [Request(f"r/{i}", ("a" * 6_000 + str(i),), 0.0, 512) for i in range(5)]
    ask(speaker(8_192, batches), requests, Record(tmp_path / "record.jsonl", "echo"))
    assert all(rows * (length + 512) <= TOKENS_AT_ONCE for rows, length, *_ in batches)
    assert [rows for rows, *_ in batches] == [2, 2, 1]


def test_a_prompt_without_room_for_an_answer_fails_alone(tmp_path: Path) -> None:
    requests = [Request("short", ("abc",), 0.0, 4), Request("long", ("a" * 64,), 0.0, 4)]
    short, long = ask(speaker(64, []), requests, Record(tmp_path / "record.jsonl", "echo"))
    assert (short.text, short.failure) == ("aa", "")
    assert (long.text, long.failure) == ("", "a prompt of 64 tokens leaves no room in a context of 64")


@pytest.mark.parametrize("length", [10, 1_000, 10_000])
def test_a_source_is_cut_at_its_end_so_that_prompt_and_answer_fit(length: int) -> None:
    model = speaker(1_024, [])
    fitted = fit(model, "name", "x" * length, lambda text: f"<{text}> say", 512)
    prompt = fitted.request.turns[0]
    assert fitted.request.max_tokens == 256, "a quarter of the context"
    assert len(prompt) + 256 <= 1_024
    assert fitted.source_tokens == length
    assert prompt == f"<{'x' * (length - fitted.cut_tokens)}> say"
    assert (fitted.cut_tokens > 0) == (length > 700)
