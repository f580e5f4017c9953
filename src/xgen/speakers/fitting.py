"""Cut a source that is longer than a model reads: its beginning is kept, and what was cut is counted."""

from collections.abc import Callable
from dataclasses import dataclass

from xgen.speakers.asking import Request, Speaker

TEMPLATE_TOKENS = 64
"""Room for the words that a model's template puts around a prompt."""


@dataclass(frozen=True)
class Fitted:
    """A request with its source as far as it fits; lengths in tokens of the model that is asked."""

    request: Request
    source_tokens: int
    cut_tokens: int


def fit(speaker: Speaker, name: str, source: str, frame: Callable[[str], str], max_tokens: int) -> Fitted:
    """Ask `frame(source)`. An answer gets `max_tokens`, or a quarter of the context where that is less."""
    answer = min(max_tokens, speaker.context_length // 4)
    ids = speaker.encode(source)
    room = max(0, speaker.context_length - answer - len(speaker.encode(frame(""))) - TEMPLATE_TOKENS)
    cut = max(0, len(ids) - room)
    kept = speaker.decode(ids[:room]) if cut else source
    return Fitted(Request(name, (frame(kept),), 0.0, answer), len(ids), cut)
