"""Long inputs under stress: facts at a depth, documents to analyze, conversations to remember, code to run in mind."""

from collections.abc import Callable
from itertools import pairwise
from random import Random

from xgen.stress.instructions import NAMES, TOPICS
from xgen.stress.item import Item, ends_in_number, names_only

DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
TOWNS = ("Arles", "Bergen", "Cadiz", "Delft", "Evora", "Faro", "Genoa", "Halle", "Izmir", "Jena", "Kosice", "Lucca")
VERBS = ("describe", "collect", "compare", "repair", "measure", "draw", "remember", "discuss")
PLACES = ("in the old town", "by the harbor", "near the station", "in a small hall", "behind the market")
CODE = ("alder", "birch", "cedar", "hazel", "larch", "maple", "rowan", "spruce", "willow", "yew")
# Bodies of functions; what each returns is computed beside where it is used.
CHOOSING = """\
    total = {start}
    for item in items:
        if item % {step} == 0:
            total += item
    return total"""
RISING = """\
    count = {start}
    for left, right in zip(items, items[1:]):
        if right > left:
            count += {step}
    return count"""
LAST = """\
    kept = items[::-1][:{step}]
    return sum(kept) - {start}"""
Encode = Callable[[str], list[int]]


def filler(random: Random) -> str:
    """Write one sentence that says nothing of importance."""
    return (
        f"The people of {random.choice(TOWNS)} {random.choice(VERBS)} {random.choice(TOPICS)} {random.choice(PLACES)} "
        f"every {random.choice(('Monday', 'spring', 'morning', 'second week'))}."
    )


def _filling(make: Callable[[], str], tokens: int, encode: Encode) -> list[str]:
    """Make texts until they have about `tokens` tokens together."""
    texts: list[str] = []
    while tokens > 0:
        texts.append(make())
        tokens -= len(encode(" " + texts[-1]))
    return texts


def retrieval(random: Random, name: str, tokens: int, depth: float, encode: Encode) -> Item:
    """Hide an instruction in filler, `tokens` tokens with the question: at its start for depth 0, at its end for 1."""
    secret, town = random.choice(CODE), random.choice(TOWNS)
    hidden = f"The word to answer with for {town} is {secret}."
    lines = _filling(lambda: filler(random), tokens - 35, encode)
    lines.insert(round(depth * len(lines)), hidden)
    asked = f"{' '.join(lines)}\n\nWhich word is the one to answer with for {town}? Write that word."
    rule = names_only(secret, [code for code in CODE if code != secret])
    return Item(name, "retrieval", (asked,), rule, where=f"{tokens:,} tokens, depth {depth:g}", answer_tokens=32)


def document(random: Random, name: str, tokens: int, depth: float, encode: Encode) -> Item:
    """Let a report of sales be analyzed: the best town, a sum of two, or how many sold more than some amount."""
    amounts = random.sample(range(10, 400), 8)
    rows = list(zip(random.sample(TOWNS, 8), amounts, strict=True))
    lines = _filling(lambda: filler(random), tokens - 170, encode)
    for town, amount in rows:
        sold = f"The shop in {town} sold {amount} {random.choice(TOPICS)} this year."
        lines.insert(random.randrange(len(lines) + 1), sold)
    first, second = random.sample(rows, 2)
    best = max(rows, key=lambda row: row[1])[0]
    limit = sorted(amounts)[random.randrange(2, 6)]
    asked, rule = (
        ("Which town sold the most? Write its name.", names_only(best, [town for town, _ in rows if town != best])),
        (
            f"How many did {first[0]} and {second[0]} sell together? End with the number.",
            ends_in_number(first[1] + second[1]),
        ),
        (
            f"How many towns sold more than {limit}? End with the number.",
            ends_in_number(sum(amount > limit for amount in amounts)),
        ),
    )[int(name.rsplit("/", 1)[1]) % 3]
    return Item(name, "document", (f"{' '.join(lines)}\n\n{asked}",), rule, where=f"{tokens:,} tokens")


def conversation(random: Random, name: str, tokens: int, depth: float, encode: Encode) -> Item:
    """Tell things over many turns, change one of them at `depth`, and ask for it at the end."""
    person, (old, new, other) = random.choice(NAMES), random.sample(TOWNS, 3)
    told = _filling(lambda: filler(random), tokens - 100, lambda text: [*encode(text), *range(6)])
    said = [turn for text in told for turn in (text, random.choice(("I see.", "Noted.", "Good to know.")))]
    at = 2 * round(depth * len(told))
    turns = (
        f"Please remember: {person} lives in {old}.",
        "I will remember that.",
        *said[:at],
        f"By the way, {person} has moved to {new}. A friend of theirs lives in {other}.",
        "Thank you, noted.",
        *said[at:],
        f"In which town does {person} live now? Write its name.",
    )
    return Item(name, "conversation", turns, names_only(new, [old, other]), where=f"{tokens:,} tokens, depth {depth:g}")


def code(random: Random, name: str, tokens: int, depth: float, encode: Encode) -> Item:
    """Show functions of Python and ask what one of them returns; the others are there to be read past."""
    step, start = random.randrange(2, 5), random.randrange(0, 4)
    numbers = [random.randrange(1, 10) for _ in range(5)]
    rising = sum(right > left for left, right in pairwise(numbers))
    body, value = (
        (CHOOSING.format(start=start, step=step), start + sum(item for item in numbers if item % step == 0)),
        (RISING.format(start=start, step=step), start + step * rising),
        (LAST.format(start=start, step=step), sum(numbers[::-1][:step]) - start),
    )[int(name.rsplit("/", 1)[1]) % 3]

    def another() -> str:
        factor, term, number = random.randrange(2, 99), random.randrange(100), random.randrange(1_000_000)
        return f"def helper_{number}(value):\n    return value * {factor} + {term}\n"

    shown = _filling(another, tokens - 130, encode)
    asked = f"measure_{random.choice(CODE)}"
    shown.insert(round(depth * len(shown)), f"def {asked}(items):\n{body}\n")
    text = "\n\n".join(shown)
    prompt = f"```python\n{text}```\n\nWhat does {asked}({numbers}) return? End with the number."
    return Item(name, "code", (prompt,), ends_in_number(value), where=f"{tokens:,} tokens, depth {depth:g}")


LONG = {"retrieval": retrieval, "document": document, "conversation": conversation, "code": code}
