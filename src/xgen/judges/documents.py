"""Long texts to ask about: a folder of texts, Wikipedia rows by domain, QMSum's meetings, SQuALITY's stories.

A file's domain is the folder that it lies in, below the one that is named: `wiki/physics/rows.jsonl` is physics. A row
may say another one itself.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xgen.core.errors import UserError
from xgen.core.ledger import read_json_lines

CREDIT = re.compile(r"Produced by|.*Distributed Proofread|.*pgdp\.net")
"""What stands above the title of a transcribed book."""


@dataclass(frozen=True)
class LongText:
    """One document with what the prompts of appendix A.1 say of it."""

    title: str
    domain: str
    text: str


def _meeting(row: dict[str, Any]) -> tuple[str, str]:
    said = "\n".join(f"{turn['speaker']}: {turn['content']}" for turn in row["meeting_transcripts"])
    return row["topic_list"][0]["topic"] if row.get("topic_list") else "a meeting", said


def _story(row: dict[str, Any]) -> tuple[str, str]:
    lines = (line.strip() for line in row["document"].splitlines())
    return next(line for line in lines if line and not CREDIT.match(line)), row["document"]


def _article(row: dict[str, Any]) -> tuple[str, str]:
    return row["title"], row["text"]


LAYOUTS: dict[str, Callable[[dict[str, Any]], tuple[str, str]]] = {
    "meeting_transcripts": _meeting,  # QMSum
    "document": _story,  # SQuALITY
    "text": _article,  # Wikipedia's rows, and whatever has a title and a text
}
"""By the field that tells a row's layout: its title and its text."""


def read_documents(place: Path, limit: int = 0) -> list[LongText]:
    """Read every text below `place` in the order of paths; `limit` above 0 keeps so many of each domain."""
    if not place.exists():
        raise UserError(f"there is no {place}", "a file or folder of long texts", "Check the path.")
    kept: dict[str, list[LongText]] = {}
    for path in [place] if place.is_file() else sorted(place.rglob("*")):
        domain = path.parent.name if path.parent != place and path != place else path.name.split(".")[0]
        for found in _read(path, domain):
            same = kept.setdefault(found.domain, [])
            if found.text.strip() and (not limit or len(same) < limit):
                same.append(found)
    documents = [document for same in kept.values() for document in same]
    if not documents:
        raise UserError(
            f"{place} holds no long texts", ".txt, .md, .jsonl or .jsonl.gz files", "Name the folder that holds them."
        )
    return documents


def _read(path: Path, domain: str) -> Iterator[LongText]:
    if path.suffix in (".txt", ".md"):
        try:
            yield LongText(path.stem.replace("_", " "), domain, path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path} cannot be read ({error})", "UTF-8 text", "Convert it, or remove it.") from None
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        for number, row in enumerate(read_json_lines(path), start=1):
            field = next((field for field in LAYOUTS if isinstance(row, dict) and field in row), None)
            try:
                title, text = LAYOUTS[field or ""](row)
            except (KeyError, TypeError, StopIteration):
                raise UserError(
                    f"row {number} of {path} has no text in a layout that is known",
                    f"one of the fields {', '.join(LAYOUTS)}, with what belongs to it",
                    "Add a layout to LAYOUTS, or give the rows a title and a text.",
                ) from None
            yield LongText(title, row.get("domain", domain), text)
