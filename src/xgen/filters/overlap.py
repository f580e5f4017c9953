"""Drop what shares 13 words in a row with an evaluation, and what is full of words that a user listed."""

import csv
import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xgen.core.errors import UserError
from xgen.core.types import Document
from xgen.filters.config import FilterConfig
from xgen.filters.verdict import Drop, Filter

RUN = 13
"""Words; the length that GPT-3 took (Brown et al. 2020, appendix C)."""
WORD = re.compile(r"\w+")
KINDS = (".json", ".jsonl", ".csv", ".txt")


def decontamination_filter(config: FilterConfig) -> Filter:
    """Compare with every JSON, JSONL, CSV and plain text file at data.filters.evaluations; .gz too."""
    runs = {run for text in _evaluation_texts(config.evaluations) for run in _runs(text)}
    if not runs:
        raise UserError(
            f"the evaluations '{config.evaluations}' hold no run of {RUN} words",
            "texts of questions and answers",
            "Check data.filters.evaluations.",
        )

    def judge(document: Document) -> Document | Drop:
        return Drop("shared with an evaluation") if any(run in runs for run in _runs(document.text)) else document

    return judge


def toxicity_filter(config: FilterConfig) -> Filter:
    """Count the words and phrases of the list, one a line, whatever their case; no list comes with the package."""
    path = Path(config.word_list)
    if not config.word_list or not path.is_file():
        raise UserError(
            f"the filter 'toxicity' reads '{config.word_list}', which is no file",
            "a list of words, one a line",
            "Set data.filters.word-list.",
        )
    lines = [" ".join(_words(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    listed = frozenset(line for line in lines if line)
    longest = max((line.count(" ") + 1 for line in listed), default=0)
    if not listed:
        raise UserError(f"{path} lists no word", "at least one", "Check data.filters.word-list.")

    def judge(document: Document) -> Document | Drop:
        words = _words(document.text)
        found = sum(
            " ".join(words[start : start + size]) in listed
            for size in range(1, longest + 1)
            for start in range(len(words) - size + 1)
        )
        return Drop("too many listed words") if found > config.listed_share * len(words) else document

    return judge


def _words(text: str) -> list[str]:
    return WORD.findall(text.casefold())


def _runs(text: str) -> Iterator[bytes]:
    """Name each run of words by eight bytes, whatever its case, punctuation and spaces."""
    words = _words(text)
    for start in range(len(words) - RUN + 1):
        yield hashlib.blake2b(" ".join(words[start : start + RUN]).encode("utf-8", "replace"), digest_size=8).digest()


def _evaluation_texts(location: str) -> Iterator[str]:
    root = Path(location)
    paths = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
    for path in paths if location else []:
        kind = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
        if kind not in KINDS:
            continue
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        try:
            yield from _texts_of(kind, raw.decode("utf-8-sig"))
        except (ValueError, csv.Error) as error:
            raise UserError(f"{path} cannot be read ({error})", f"{kind} in UTF-8", "Repair or remove it.") from None


def _texts_of(kind: str, text: str) -> Iterator[str]:
    """Yield the strings of a file: the leaves of JSON, the rows of a table, or all of it."""
    if kind == ".json":
        yield from _strings(json.loads(text))
    elif kind == ".jsonl":
        for line in text.split("\n"):
            yield from _strings(json.loads(line)) if line.strip() else ()
    elif kind == ".csv":
        yield from (" ".join(row) for row in csv.reader(text.splitlines(keepends=True)))
    else:
        yield text


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _strings(each)
