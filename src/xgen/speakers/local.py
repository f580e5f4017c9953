"""A speaker that is computed here: a checkpoint or a folder, behind three functions that the caller hands over."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from xgen.core.progress import bar
from xgen.core.types import Generation
from xgen.speakers.asking import Record, Reply, Request

ROWS_AT_ONCE, TOKENS_AT_ONCE = 8, 16_384
"""The most rows of one batch, and the most tokens that they may come to hold together, for the sake of memory."""

Generate = Callable[[Sequence[Sequence[int]], float, int], Sequence[Generation]]
"""Continue prompts (token ids) at a temperature by at most so many tokens."""


@dataclass(frozen=True)
class LocalSpeaker:
    """A model in this process. `render` writes a request as ids in the model's own template."""

    name: str
    context_length: int
    render: Callable[[Request], list[int]]
    generate: Generate
    encode: Callable[[str], list[int]]
    decode: Callable[[Sequence[int]], str]

    def speak(self, requests: Sequence[Request], record: Record) -> None:
        """Answer a few requests of like length at a time; a prompt that leaves no room for an answer fails alone."""
        prompts = {request: self.render(request) for request in requests}
        ordered = sorted(requests, key=lambda each: (each.temperature, each.max_tokens, len(prompts[each])))
        with bar(f"ask {self.name}", len(requests)) as progress:
            for (temperature, max_tokens), group in groupby(ordered, lambda each: (each.temperature, each.max_tokens)):
                fitting = []
                for request in group:
                    if len(prompts[request]) < self.context_length:
                        fitting.append(request)
                    else:
                        record.replied(request, self._too_long(len(prompts[request])))
                        progress.advance()
                while fitting:
                    rows = self._rows(prompts[fitting[-1]], max_tokens)
                    batch, fitting = fitting[-rows:], fitting[:-rows]
                    found = self.generate([prompts[request] for request in batch], temperature, max_tokens)
                    for request, generation in zip(batch, found, strict=True):
                        record.replied(request, self._reply(prompts[request], generation))
                    progress.advance(len(batch))

    def _rows(self, longest: list[int], max_tokens: int) -> int:
        """Say how many rows fit beside the longest, whose batch is taken first: what is too much shows at once."""
        length = min(len(longest) + max_tokens, self.context_length)
        return max(1, min(ROWS_AT_ONCE, TOKENS_AT_ONCE // length))

    def _reply(self, prompt: list[int], generation: Generation) -> Reply:
        text = self.decode(generation.tokens).strip()
        return Reply(text, generation.finish, len(prompt), len(generation.tokens), model=self.name)

    def _too_long(self, length: int) -> Reply:
        why = f"a prompt of {length:,} tokens leaves no room in a context of {self.context_length:,}"
        return Reply("", "no room", length, 0, model=self.name, failure=why)
