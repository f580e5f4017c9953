"""Find again what was written far before: over length and depth, in generated text that needs no download.

needle     one number among sentences about nothing
needles    four numbers of one name, each somewhere else; all are asked for
variables  a value that is handed from variable to variable; all its holders are asked for

A text fills a share of the model's window. The score is the share of the wanted strings that a greedy continuation
holds, as RULER counts (Hsieh et al. 2024).
"""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from xgen.core.errors import UserError
from xgen.evals.task import Candidate, Items, Record, Settings, Task

Kind = Literal["needle", "needles", "variables"]
SHARES = (0.125, 0.25, 0.5, 1.0)
DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
REPEATS = 4
NEW_TOKENS = 48
SPREAD, HOPS = 4, 4
NAMES = ("Alder", "Birch", "Cedar", "Elm", "Fir", "Hazel", "Larch", "Maple", "Oak", "Poplar", "Rowan", "Willow", "Yew")
WHO = ("The miller", "A sailor", "The old teacher", "Nobody", "My neighbor", "The gardener", "A child", "The watch")
DID = ("walked along", "looked at", "painted", "talked about", "forgot", "came back to", "measured", "dreamed of")
WHAT = ("the river", "a red boat", "the empty market", "an open window", "the wall", "a field of barley", "the harbor")
WHEN = ("before noon", "in the rain", "twice a week", "without a word", "that winter", "as always", "after the fair")


@dataclass(frozen=True)
class Hunt:
    """One text to search: what it hides is drawn from its number."""

    kind: Kind
    share: float
    depth: float
    number: int


def load(settings: Settings) -> Items:
    """List every combination; the texts are written when the window is known."""
    repeats = min(settings.limit or REPEATS, REPEATS)
    kinds: tuple[Kind, ...] = ("needle", "needles", "variables")
    hunts = [
        Hunt(kind, share, depth, number)
        for kind in kinds
        for share in SHARES
        for number in range(repeats)
        for depth in (DEPTHS if kind == "needle" else (-1.0,))  # several places have no depth
    ]
    return Items(hunts, {"generated": "evals/long/retrieval.py"})


def hidden(hunt: Hunt, draw: random.Random) -> tuple[list[str], str, list[str]]:
    """Draw what is hidden: sentences, the question that the text ends with, and what an answer must hold."""
    name = draw.choice(NAMES)
    if hunt.kind == "variables":
        value, holders = (
            draw.randrange(10_000, 100_000),
            draw.sample([f"{a}{b}" for a in "XYZ" for b in range(10)], HOPS),
        )
        handed = [f" VAR {new} = VAR {old}." for old, new in itertools.pairwise(holders)]
        question = f"\n\nQuestion: which variables have the value {value}?\nAnswer: the variables are"
        return [f" VAR {holders[0]} = {value}.", *handed], question, holders
    numbers = [str(draw.randrange(1_000_000, 10_000_000)) for _ in range(1 if hunt.kind == "needle" else SPREAD)]
    plural = "s" if hunt.kind == "needles" else ""
    question = (
        f"\n\nQuestion: what {'are' if plural else 'is'} the secret number{plural} of {name}?\nAnswer: the secret "
    )
    question += f"number{plural} of {name} {'are' if plural else 'is'}"
    return [f" The secret number of {name} is {number}." for number in numbers], question, numbers


def sentence(draw: random.Random) -> str:
    """Write a sentence about nothing."""
    return f" {draw.choice(WHO)} {draw.choice(DID)} {draw.choice(WHAT)} {draw.choice(WHEN)}."


def written(hunt: Hunt, candidate: Candidate, seed: int) -> tuple[list[int], list[str]]:
    """Write a text of at most its share of the window, answer included; return its tokens and what is wanted."""
    draw, encode = random.Random(f"{seed} {hunt}"), candidate.tokenizer.encode
    needles, question, wanted = hidden(hunt, draw)
    room = int(candidate.model.context_length * hunt.share) - NEW_TOKENS
    room -= len(encode("".join(needles) + question))
    if room < 32:
        raise UserError(
            f"a text of {int(candidate.model.context_length * hunt.share)} tokens to hide something in",
            "room for what is hidden and a few sentences",
            "Take a model with a longer context.",
        )
    filler: list[str] = []
    while (size := len(encode(more := sentence(draw)))) <= room:
        filler.append(more)
        room -= size
    if hunt.kind == "needle":
        places = [round(hunt.depth * len(filler))]
    else:
        places = sorted(draw.sample(range(len(filler) + 1), min(len(needles), len(filler) + 1)))
        places += [len(filler)] * (len(needles) - len(places))
    for place, needle in reversed(list(zip(places, needles, strict=True))):
        filler.insert(place, needle)
    return encode("".join(filler).lstrip() + question), wanted


def answer(candidate: Candidate, hunts: Sequence[Hunt], settings: Settings) -> list[Record]:
    """Continue every text greedily and look for what is wanted."""
    texts = [written(hunt, candidate, settings.seed) for hunt in hunts]
    found = candidate.model.generate([ids for ids, _ in texts], NEW_TOKENS, settings.seed)
    records = []
    for hunt, (ids, wanted), generation in zip(hunts, texts, found, strict=True):
        text = candidate.tokenizer.decode(generation.tokens)
        records.append(
            {
                "key": f"{hunt.kind}/{hunt.share}/{hunt.depth}/{hunt.number}",
                "group": hunt.kind,
                "share": hunt.share,
                "depth": hunt.depth,
                "tokens": len(ids),
                "prompts": [candidate.tokenizer.decode(ids)],
                "answers": [text],
                "wanted": wanted,
                "scores": {hunt.kind: sum(each in text for each in wanted) / len(wanted)},
                "chance": {hunt.kind: 0.0},
            }
        )
    return records


def summarize(records: Sequence[Record]) -> dict[str, Any]:
    """Average over the texts of one kind, length and depth: the cells of the heat map."""
    cells: dict[tuple[str, float, float], list[Record]] = {}
    for record in records:
        cells.setdefault((record["group"], record["share"], record["depth"]), []).append(record)
    return {
        "cells": [
            {
                "kind": kind,
                "depth": depth,
                "tokens": max(record["tokens"] for record in part) + NEW_TOKENS,
                "found": sum(record["scores"][kind] for record in part) / len(part),
                "texts": len(part),
            }
            for (kind, _, depth), part in cells.items()
        ]
    }


TASK = Task("retrieval", 1, "Retrieval over length and depth", "needle", load, answer, summarize, at_once=5)
