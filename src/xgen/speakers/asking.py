"""Ask a model that holds conversations, whoever computes it, and never ask the same thing twice.

Answering models and judges are both a `Speaker`. All that is asked and replied stands in a `Record` before it is used,
so that a run that ends at any moment continues with what is missing.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from xgen.core.errors import UserError
from xgen.core.ledger import Journal, fingerprint
from xgen.tokenizer.encoding import decode, encode

REFUSED = "refused"
"""The finish of a reply by which a server says that it will not answer; where all are, something else is wrong."""


@dataclass(frozen=True)
class Request:
    """One thing to say to a model: `turns` alternate between its user and itself, the user first and last."""

    name: str
    """What it is for, say "mt_bench/81/turn 1"; part of its identity."""
    turns: tuple[str, ...]
    temperature: float
    max_tokens: int
    system: str = ""


@dataclass(frozen=True)
class Reply:
    """What came back. A `failure` says why there is no answer to this request for good; its text is empty then."""

    text: str
    finish: str
    prompt_tokens: int
    completion_tokens: int
    cost: float = 0.0
    model: str = ""
    """Who answered, as the server says it."""
    failure: str = ""


@runtime_checkable
class Speaker(Protocol):
    """A model that answers. `encode` and `decode` are those of its tokenizer, or ours where that is not known.

    `speak` leaves a reply to each request in the record, in any order; UserError where the rest cannot be had.
    """

    @property
    def name(self) -> str: ...

    @property
    def context_length(self) -> int: ...

    def encode(self, text: str, /) -> list[int]: ...

    def decode(self, ids: Sequence[int], /) -> str: ...

    def speak(self, requests: Sequence[Request], record: "Record") -> None: ...


class Record:
    """What was asked of one speaker, in lines "asked", "replied" and "failed" that are on disk as soon as it is so.

    `spent` counts what was paid, and what may have been: an attempt of which nobody knows whether it was charged, as
    after a time-out or a kill, counts as the most that it can cost.
    """

    def __init__(self, path: Path, speaker: str) -> None:
        self._journal, self.speaker = Journal(path), speaker
        self._lock = threading.Lock()
        self._replies: dict[str, Reply] = {}
        self._open: dict[str, float] = {}
        self._spent = 0.0
        for line in self._journal.read():
            self._take(line)

    @property
    def path(self) -> Path:
        return self._journal.path

    @property
    def spent(self) -> float:
        """US dollars, those of attempts under way included."""
        with self._lock:
            return self._spent + sum(self._open.values())

    def reply_to(self, request: Request) -> Reply | None:
        """Return the recorded reply to exactly this request by this speaker, or None."""
        return self._replies.get(self._key(request))

    def asked(self, request: Request, at_most: float) -> None:
        """Note an attempt before it is sent, with the most that it can cost."""
        self._add({"event": "asked", "key": self._key(request), "at_most": at_most, "request": asdict(request)})

    def replied(self, request: Request, reply: Reply) -> None:
        """Note what came back; from here on the request is answered for good."""
        self._add({"event": "replied", "key": self._key(request), "name": request.name, "reply": asdict(reply)})

    def failed(self, request: Request, why: str, charged: float) -> None:
        """Note an attempt without a reply, and what it may have cost."""
        self._add({"event": "failed", "key": self._key(request), "name": request.name, "why": why, "charged": charged})

    def _key(self, request: Request) -> str:
        return fingerprint([self.speaker, asdict(request)])

    def _add(self, line: dict[str, Any]) -> None:
        self._journal.append({"time": round(time.time(), 3), "speaker": self.speaker, **line})
        self._take(line)

    def _take(self, line: dict[str, Any]) -> None:
        with self._lock:
            key, known = line["key"], self._open.pop(line["key"], 0.0)
            match line["event"]:
                case "asked":
                    self._spent += known
                    self._open[key] = line["at_most"]
                case "failed":
                    self._spent += line["charged"]
                case "replied":
                    reply = Reply(**line["reply"])
                    self._replies[key] = reply
                    self._spent += reply.cost


def ask(speaker: Speaker, requests: Sequence[Request], record: Record) -> list[Reply]:
    """Return a reply to each request, in order; what the record holds is not asked again."""
    assert speaker.name == record.speaker
    missing = {request: None for request in requests if record.reply_to(request) is None}
    if missing:
        speaker.speak(list(missing), record)
    replies = [record.reply_to(request) for request in requests]
    assert all(reply is not None for reply in replies), "a speaker leaves no request without a reply"
    found = [reply for reply in replies if reply is not None]
    if found and all(reply.finish == REFUSED for reply in found):
        raise UserError(
            f"{speaker.name} refused all of {len(found)} requests ({found[0].failure})",
            "replies",
            f"Check its address, name and context length. What was said stands in {record.path}.",
        )
    return found


@dataclass(frozen=True)
class Asked:
    """A speaker with its record: what a task is handed."""

    speaker: Speaker
    record: Record

    def replies(self, requests: Sequence[Request]) -> list[Reply]:
        return ask(self.speaker, requests, self.record)

    @property
    def name(self) -> str:
        return self.speaker.name


@dataclass(frozen=True)
class Replay:
    """A speaker that says nothing new: all must be in the record already."""

    name: str
    context_length: int = 8_192

    def encode(self, text: str) -> list[int]:
        return encode(text).tolist()

    def decode(self, ids: Sequence[int]) -> str:
        return decode(list(ids))

    def speak(self, requests: Sequence[Request], record: Record) -> None:
        """Refuse: what is asked for here is missing."""
        raise UserError(
            f"{record.path} holds no reply of {self.name} to {len(requests)} requests, the first of them "
            f"'{requests[0].name}'",
            "a record of the same questions, answers and prompts",
            "Replay the record of that very run, or ask a judge (--judge.url, --judge.model).",
        )
