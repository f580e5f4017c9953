"""Drop texts that nobody wrote to be read: the rules of Gopher and of C4 that need no model.

Gopher: Rae et al. 2021, appendix A1. C4: Raffel et al. 2020, section 2.2. Chinese and Japanese, which have no spaces,
are counted as words of two characters, and not judged by rules about the length of words.
"""

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator

import numpy as np
from jaxtyping import Int64

from xgen.core.types import Document
from xgen.filters.config import FilterConfig
from xgen.filters.verdict import Drop, Filter

UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]{1,2}")
ENGLISH = frozenset(("the", "be", "to", "of", "and", "that", "have", "with"))
TOP_LIMITS = {2: 0.20, 3: 0.18, 4: 0.16}
"""The most of a text's characters that its most frequent run of so many words may hold."""
REPEATED_LIMITS = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}
"""The most of a text's characters that runs of so many words which occur more than once may hold."""
POLICY = re.compile(
    r"terms of use|privacy policy|cookie policy|uses? cookies|use of cookies|enable javascript|javascript (is|must be)",
    re.IGNORECASE,
)


def quality_filter(config: FilterConfig) -> Filter:
    """Drop what breaks a rule on the whole text: few or odd words, symbols, lists, cut lines, no sentence."""

    def judge(document: Document) -> Document | Drop:
        reason = next(_faults(document), "")
        return Drop(reason) if reason else document

    return judge


def repetition_filter(config: FilterConfig) -> Filter:
    """Drop what says the same thing again: lines, paragraphs and runs of words."""

    def judge(document: Document) -> Document | Drop:
        reason = next(_repeats(document.text), "")
        return Drop(reason) if reason else document

    return judge


def boilerplate_filter(config: FilterConfig) -> Filter:
    """Take out the lines of a web page that are about cookies, policies and scripts; drop filler text."""

    def judge(document: Document) -> Document | Drop:
        if "lorem ipsum" in document.text.lower():
            return Drop("filler text")
        if not POLICY.search(document.text):
            return document
        lines = [line for line in document.text.splitlines(keepends=True) if not POLICY.search(line)]
        kept = dataclasses.replace(document, text="".join(lines))
        return kept if kept.text.strip() else Drop("nothing but boilerplate")

    return judge


def _faults(document: Document) -> Iterator[str]:
    """Name the rules that a text breaks, the cheap ones first."""
    text = document.text
    spaced, num_unspaced = UNSPACED.subn(r" \g<0> ", text)
    words = spaced.split()
    if not 50 <= len(words) <= 100_000:
        yield "under 50 or over 100,000 words"
        return
    if num_unspaced < 0.3 * len(words) and not 3 <= sum(map(len, words)) / len(words) <= 10:
        yield "words of odd length"
    if max(text.count("#"), text.count("...") + text.count("…")) > 0.1 * len(words):
        yield "symbols instead of words"
    if sum(1 for word in words if any(map(str.isalpha, word))) < 0.8 * len(words):
        yield "words without letters"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if sum(line.startswith(("•", "-", "*", "‣", "●")) for line in lines) > 0.9 * len(lines):
        yield "nothing but a list"
    if sum(line.endswith(("...", "…")) for line in lines) > 0.3 * len(lines):
        yield "lines that are cut"
    if document.language == "en" and len(ENGLISH.intersection(map(str.lower, words))) < 2:
        yield "no English sentence"
    if "{" in text and text.count("{") + text.count(";\n") > 0.02 * len(words):
        yield "program code among prose"


def _repeats(text: str) -> Iterator[str]:
    for name, parts in (("lines", text.splitlines()), ("paragraphs", re.split(r"\n\s*\n", text))):
        found = [part.strip() for part in parts if part.strip()]
        again = Counter(found)
        copies = [part for part, count in again.items() for _ in range(count - 1)]
        if len(copies) > 0.3 * len(found) or sum(map(len, copies)) > 0.2 * sum(map(len, found)):
            yield f"repeated {name}"
    words = UNSPACED.sub(r" \g<0> ", text.lower()).split()
    numbers = {word: number for number, word in enumerate(dict.fromkeys(words))}
    ids = np.array([numbers[word] for word in words], np.int64)
    ends = np.cumsum([0, *map(len, words)])
    runs = ids
    for size in range(2, max(REPEATED_LIMITS) + 1):
        if len(runs) < 2:
            return
        # A run is the run before it and one word more: two small numbers, so one exact number.
        longer = runs[:-1] * len(numbers) + ids[size - 1 :]
        _, firsts, runs, counts = np.unique(longer, return_index=True, return_inverse=True, return_counts=True)
        lengths = ends[firsts + size] - ends[firsts]
        top = counts.argmax()
        if counts[top] > 1 and counts[top] * lengths[top] > TOP_LIMITS.get(size, 1) * ends[-1]:
            yield "one phrase again and again"
        if size in REPEATED_LIMITS and _covered(runs, firsts, ends, size) > REPEATED_LIMITS[size] * ends[-1]:
            yield "repeated phrases"


def _covered(
    runs: Int64[np.ndarray, "N"], firsts: Int64[np.ndarray, "K"], ends: Int64[np.ndarray, "_"], size: int
) -> int:
    """Count the characters of words in runs that occurred before, each character once."""
    again = np.ones(len(runs), np.int64)
    again[firsts] = 0
    covered = np.convolve(again, np.ones(size, np.int64)) > 0
    return int(np.diff(ends)[covered].sum())
