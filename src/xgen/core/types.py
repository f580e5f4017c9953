"""Values that travel between folders: documents, conversations, batches, generations.

Shape letters: B rows of a batch, L positions of a row.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float32, Int32


@dataclass(frozen=True)
class Document:
    """One text with its origin; (`source`, `key`) is unique and does not depend on the order of reading."""

    source: str
    key: str
    text: str
    licence: str
    language: str = ""
    """What the source says of it: a language of people or of programs; empty where it says nothing."""
    path: str = ""
    """The name of the file in its repository, for code."""


@dataclass(frozen=True)
class Message:
    role: Literal["human", "assistant"]
    text: str


@dataclass(frozen=True)
class Conversation:
    """Turns that alternate between human and assistant, starting with the human (section 4 of the report)."""

    source: str
    key: str
    messages: tuple[Message, ...]
    system: str = ""


class Batch(NamedTuple):
    """What one training step reads; a NamedTuple, so that JAX takes it as a tree while this file needs no JAX.

    At position l of row b the model sees `tokens[b, :l + 1]` and is asked for `targets[b, l]`; the answer counts
    `weights[b, l]` times. Attention joins two positions only where their `segments` are equal.
    """

    tokens: Int32[np.ndarray, "B L"]
    targets: Int32[np.ndarray, "B L"]
    weights: Float32[np.ndarray, "B L"]
    positions: Int32[np.ndarray, "B L"]
    segments: Int32[np.ndarray, "B L"]


class Likelihood(NamedTuple):
    """What a model thinks of a continuation: its log-probability (nats), and whether each token was the likeliest."""

    logprob: float
    greedy: bool


@dataclass(frozen=True)
class Decoding:
    """How an evaluation wants text: the likeliest tokens, or `num_samples` draws a prompt; `stops` end a text."""

    temperature: float = 0.0
    top_p: float = 1.0
    num_samples: int = 1
    stops: tuple[str, ...] = ()


@dataclass(frozen=True)
class Generation:
    """One sampled continuation: its ids without the stop token, their log-probabilities, and why it ended."""

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish: Literal["stop", "length"]
