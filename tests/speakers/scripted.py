"""Speakers whose replies are a function of the request."""

from pathlib import Path

from xgen.speakers.asking import Asked, Record, Reply
from xgen.tokenizer.encoding import decode, encode


class Scripted:
    """A speaker whose replies are a function of the request."""

    context_length = 8_192

    def __init__(self, say, name: str = "scripted") -> None:
        self.say, self.name, self.asked = say, name, []

    def encode(self, text: str) -> list[int]:
        return encode(text).tolist()

    def decode(self, ids) -> str:
        return decode(list(ids))

    def speak(self, requests, record: Record) -> None:
        self.asked += requests
        for request in requests:
            record.replied(request, Reply(self.say(request), "stop", 1, 1))


def scripted(say, path: Path, name: str = "scripted") -> Asked:
    return Asked(Scripted(say, name), Record(path / f"{name}.jsonl", name))
