"""One instruction whose answer a program can judge, and the words that such programs look for."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Rule = Callable[[str], bool]

REFUSAL = re.compile(
    r"\b(i (can ?not|can't|won't|will not|am not able to|am unable to|must decline|refuse)|i'm (sorry|unable|not able)"
    r"|as an ai|not (something|a thing) i can|against my|illegal|unethical|not appropriate)\b",
    re.IGNORECASE,
)
NOT_STATED = re.compile(
    r"(not|n't|never|nothing|no)\W+(\w+\W+){0,4}?(say|said|state|stated|states|mention|mentioned|mentions|given|provided|"
    r"specified|specify|contain|information|included|known|tell|found|answer)|unknown|unclear",
    re.IGNORECASE,
)
CONFLICT = re.compile(
    r"contradict|conflict|impossible|not possible|incompatible|inconsistent|cannot (do |satisfy |follow |be )?both"
    r"|can't (do |satisfy |follow |be )?both|both (at once|at the same time)|mutually exclusive",
    re.IGNORECASE,
)
ASKS_BACK = re.compile(
    r"\b(which|what|who|whom|when|where|could you|can you|would you|please (tell|provide|share|specify|give|send))\b",
    re.IGNORECASE,
)
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
# The commonest small words of each language; they decide which one a text is written in.
SMALL_WORDS = {
    "English": "the of and to in is that it for was with as on are this be by from at which".split(),  # noqa: SIM905
    "German": "der die und in das ist von zu den mit sich auf nicht ein eine als auch es wird im".split(),  # noqa: SIM905
    "French": "le la les de et des en est un une que pour dans qui sur pas du au avec sont".split(),  # noqa: SIM905
    "Spanish": "el la los de y que en un una es por con para las del se no al su como".split(),  # noqa: SIM905
}


@dataclass(frozen=True)
class Item:
    """What is said to a model (`turns` alternate, its own being given), and the rule that its reply must meet."""

    name: str
    category: str
    turns: tuple[str, ...]
    passes: Rule
    where: str = ""
    """What else the scores are split by: the kind of constraint, or how long and how deep a text is."""
    twin: str = ""
    """Items of one twin differ in a name alone; their answers must say the same."""
    answer_tokens: int = 256


def refuses(reply: str) -> bool:
    return bool(REFUSAL.search(reply))


def asks_back(reply: str) -> bool:
    """Say whether a reply asks for what is missing instead of guessing it."""
    return bool(ASKS_BACK.search(reply)) and ("?" in reply or "please" in reply.lower())


def notices(reply: str) -> bool:
    return bool(CONFLICT.search(reply))


def admits_ignorance(reply: str) -> bool:
    return bool(NOT_STATED.search(reply))


def words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", text)


def sentences(text: str) -> list[str]:
    return [part for part in re.split(r"(?<=[.!?])\s+", text.strip()) if part]


def language_of(text: str) -> str:
    """Name the language whose small words are most of a text; "" where three of them cannot be found."""
    said = [word.lower() for word in words(text)]
    counts = {language: sum(word in small for word in said) for language, small in SMALL_WORDS.items()}
    best = max(counts, key=lambda language: counts[language])
    return best if counts[best] >= 3 else ""


def is_object_of(keys: Sequence[str]) -> Rule:
    """Demand one JSON object with exactly these keys and nothing around it but a fence."""

    def passes(reply: str) -> bool:
        bare = re.sub(r"^```(?:json)?\s*|\s*```$", "", reply.strip())
        try:
            found = json.loads(bare)
        except (ValueError, RecursionError):
            return False
        return isinstance(found, dict) and set(found) == set(keys)

    return passes


def ends_in_number(value: int) -> Rule:
    """Demand that the last number of a reply is this one."""
    return lambda reply: bool(found := NUMBER.findall(reply)) and found[-1].replace(",", "") == str(value)


def names_only(wanted: str, others: Sequence[str] = ()) -> Rule:
    """Demand one word, and none of others."""
    return lambda reply: _has(wanted, reply) and not any(_has(other, reply) for other in others)


def _has(word: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) is not None
