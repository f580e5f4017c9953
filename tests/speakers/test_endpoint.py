"""An endpoint over a real socket: what passes is tried again, what does not is one sentence, nothing paid is lost."""

import json
import os
import threading
from pathlib import Path

import pytest

pytest.importorskip("openai", reason="the extra 'eval' is not installed")

from speakers.server import Server, serving
from xgen.core.errors import UserError
from xgen.speakers.asking import Record, Replay, Reply, Request, ask
from xgen.speakers.budget import Purse
from xgen.speakers.config import Endpoint
from xgen.speakers.endpoint import EndpointSpeaker

PASSING = ["rate limit", "stall", "half json", "cut", "server fault", "no message"]


def requests(number: int, text: str = "question") -> list[Request]:
    return [Request(f"test/{index}", (f"{text} {index}",), 0.0, 16) for index in range(number)]


def echo(asked: dict) -> str:
    return "to " + asked["messages"][-1]["content"]


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def asked_of(server: Server, path: Path, wanted: list[Request], **changes) -> list[Reply]:
    config = server.endpoint(**changes)
    return ask(EndpointSpeaker(config), wanted, Record(path, config.model))


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_is_tried_again_and_every_attempt_is_recorded(fault: str, tmp_path: Path) -> None:
    with serving(echo, [fault]) as server:
        replies = asked_of(server, tmp_path / "record.jsonl", requests(3), concurrency=1)
    assert [reply.text for reply in replies] == ["to question 0", "to question 1", "to question 2"]
    events = [line["event"] for line in lines(tmp_path / "record.jsonl")]
    assert events == ["asked", "failed", "asked", "replied", "asked", "replied", "asked", "replied"]
    assert {reply.model for reply in replies} == {"judge-1-0613"}


def test_a_rate_limit_is_waited_out_as_long_as_the_server_asks(tmp_path: Path) -> None:
    with serving(echo, ["rate limit"]) as server:
        server.retry_after = "0.3"
        asked_of(server, tmp_path / "record.jsonl", requests(1))
        assert server.times[1] - server.times[0] >= 0.3
    with serving(echo, ["rate limit"]) as server:
        server.retry_after = "Wed, 21 Oct 2015 07:28:00 GMT"
        asked_of(server, tmp_path / "other.jsonl", requests(1))
        assert len(server.seen) == 2, "a date leaves it to the doubling pause"


def test_everything_at_once_still_gives_each_request_its_own_reply(tmp_path: Path) -> None:
    with serving(echo, [*PASSING, *PASSING]) as server:
        replies = asked_of(server, tmp_path / "record.jsonl", requests(24), concurrency=6, attempts=20)
    assert [reply.text for reply in replies] == [f"to question {index}" for index in range(24)]
    assert 1 < server.most_at_once <= 6


def test_what_was_replied_is_never_asked_again(tmp_path: Path) -> None:
    with serving(echo, ["", "", "wrong key"]) as server:
        with pytest.raises(UserError, match=r"refused the key \(401: .*no such key"):
            asked_of(server, tmp_path / "record.jsonl", requests(6), concurrency=1)
        assert len(server.seen) == 3
        asked_of(server, tmp_path / "record.jsonl", requests(6), concurrency=1)
        assert sorted(asked["messages"][0]["content"] for asked in server.seen[3:]) == [
            f"question {index}" for index in (2, 3, 4, 5)
        ]
        asked_of(server, tmp_path / "record.jsonl", requests(6))
        assert len(server.seen) == 7
    replayed = ask(Replay("judge-1"), requests(6), Record(tmp_path / "record.jsonl", "judge-1"))
    assert [reply.text for reply in replayed] == [f"to question {index}" for index in range(6)]


def test_a_replay_of_other_questions_names_what_is_missing(tmp_path: Path) -> None:
    with serving(echo) as server:
        asked_of(server, tmp_path / "record.jsonl", requests(2))
    with pytest.raises(UserError, match=r"holds no reply of judge-1 to 2 requests, the first of them 'test/0'"):
        ask(Replay("judge-1"), requests(2, "another"), Record(tmp_path / "record.jsonl", "judge-1"))
    with pytest.raises(UserError, match=r"no reply of judge-2"):
        ask(Replay("judge-2"), requests(2), Record(tmp_path / "record.jsonl", "judge-2"))


def test_a_line_that_a_kill_left_half_is_no_line_and_its_request_is_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    with serving(echo) as server:
        asked_of(server, path, requests(3), concurrency=1)
        whole = path.read_bytes()
        path.write_bytes(whole[:-20])
        replies = asked_of(server, path, requests(3), concurrency=1)
        assert [reply.text for reply in replies] == ["to question 0", "to question 1", "to question 2"]
        assert len(server.seen) == 4
    assert [line["event"] for line in lines(path)] == ["asked", "replied"] * 2 + ["asked", "asked", "replied"]


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [("wrong key", "refused the key"), ("no model", "knows no model 'judge-1'"), ("no credit", "has no credit left")],
)
def test_what_does_not_pass_ends_the_run_after_one_attempt(fault: str, sentence: str, tmp_path: Path) -> None:
    with serving(echo, [fault]) as server:
        with pytest.raises(UserError, match=sentence):
            asked_of(server, tmp_path / "record.jsonl", requests(5), concurrency=1)
        assert len(server.seen) == 1


def test_a_server_that_is_down_is_named_after_the_last_attempt(tmp_path: Path) -> None:
    with serving(echo, ["server fault"] * 3) as server:
        with pytest.raises(UserError, match=r"did not answer 'test/0' in 3 attempts \(the last: 500: .*it broke"):
            asked_of(server, tmp_path / "record.jsonl", requests(4), concurrency=1, attempts=3)
        assert len(server.seen) == 3
    with pytest.raises(UserError, match=r"in 2 attempts .*the connection broke"):
        asked_of(server, tmp_path / "record.jsonl", requests(1), attempts=2)
    last = [line for line in lines(tmp_path / "record.jsonl") if line["event"] == "failed"][-1]
    assert last["charged"] == 0, "nobody was there to charge for it"


def test_a_request_that_is_refused_for_good_fails_alone(tmp_path: Path) -> None:
    with serving(echo, ["", "too long"]) as server:
        replies = asked_of(server, tmp_path / "record.jsonl", requests(3), concurrency=1)
    assert [bool(reply.failure) for reply in replies] == [False, True, False]
    assert "too many tokens" in replies[1].failure
    with serving(echo, ["too long"] * 3) as server, pytest.raises(UserError, match=r"refused all of 3 requests"):
        asked_of(server, tmp_path / "other.jsonl", requests(3))


# Prices at which a token costs a dollar, so that sums are easy to see.
DOLLARS = {"price_in": 1e6, "price_out": 1e6}
MOST = len("question 0") + 16 + 16


@pytest.mark.parametrize("concurrency", [1, 5])
def test_the_budget_is_never_passed_and_nothing_paid_is_lost(concurrency: int, tmp_path: Path) -> None:
    path, cost = tmp_path / "record.jsonl", 2 + 3
    with serving(echo) as server:
        budget = MOST + 4 * cost + 0.5
        with pytest.raises(UserError, match=r"of the budget of .* are spent, and the next request may cost"):
            asked_of(server, path, requests(20), concurrency=concurrency, budget=budget, **DOLLARS)
        assert Record(path, "judge-1").spent == 5 * cost <= budget
        assert len(server.seen) == 5, "the fifth still fitted, the sixth did not"
        replies = asked_of(server, path, requests(20), concurrency=concurrency, budget=20.0 * cost + MOST, **DOLLARS)
        assert len(server.seen) == 20
        assert sum(reply.cost for reply in replies) == Record(path, "judge-1").spent == 20 * cost


def test_an_attempt_that_may_have_been_charged_counts_as_the_most_it_can_cost(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    with serving(echo, ["cut", "rate limit"]) as server:
        asked_of(server, path, requests(1), budget=1000.0, **DOLLARS)
    assert Record(path, "judge-1").spent == MOST + 5
    killed = Record(path, "judge-1")
    killed.asked(requests(2)[1], at_most=7.0)
    assert Record(path, "judge-1").spent == MOST + 5 + 7.0


def test_a_purse_waits_for_others_before_it_refuses() -> None:
    purse = Purse(limit=10.0, spent=0.0)
    purse.set_aside(8.0)
    threading.Timer(0.02, purse.settle, args=(8.0, 1.0)).start()
    purse.set_aside(8.0)
    purse.settle(8.0, 8.0)
    with pytest.raises(UserError, match=r"\$9.0000 of the budget of \$10 are spent"):
        purse.set_aside(1.5)


def test_the_key_comes_from_a_file_and_never_reaches_the_record(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-secret\n")
    with serving(echo) as server:
        asked_of(server, tmp_path / "record.jsonl", requests(1), key_file=tmp_path / "key")
        assert server.keys == ["Bearer sk-secret"]
        assert "OPENAI_API_KEY" not in os.environ, "the next line is about a machine without one"
        asked_of(server, tmp_path / "other.jsonl", requests(1))
    assert "sk-secret" not in (tmp_path / "record.jsonl").read_text()
    with serving(echo) as server, pytest.raises(UserError, match=r"no key can be read"):
        asked_of(server, tmp_path / "third.jsonl", requests(1), key_file=tmp_path / "missing")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"url": "http://127.0.0.1/v1"}, "both or neither"),
        ({"budget": 5.0}, r"a budget of \$5 without prices"),
        ({"concurrency": 0}, "at least 1"),
        ({"timeout": 0.0}, "some time to wait"),
    ],
)
def test_an_impossible_endpoint_is_refused_where_it_is_made(values: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Endpoint(**values)
