"""A source of documents as a value: its reader, where it reads, under which licence, and which filters judge it."""

import re
from dataclasses import dataclass
from typing import Literal

from xgen.core.errors import UserError


@dataclass(frozen=True)
class Source:
    """A named origin of documents: an entry of READERS in sources/catalog.py, and where it reads."""

    name: str
    reader: str
    location: str
    """A file, a folder or an fsspec address for readers of files; empty for readers that know where to look."""
    licence: str
    """What the documents may be used under; a reader may state it more precisely for each document."""
    max_tokens: int
    """Whole documents are taken in the order of the shuffle until this many tokens are reached; 0 takes all."""
    licences: str = ""
    """A table of the licences of rows by their `id`, where the rows do not carry them: Parquet or JSON lines."""
    when_short: Literal["repeat", "refuse"] = "repeat"
    """What happens where a stage wants more than its part of the source: read it again in another order, or end."""
    filters: tuple[str, ...] = ()
    """Entries of FILTERS in filters/catalog.py that judge each document, in this order."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise UserError(
                f"a source named '{self.name}'",
                "letters, digits, '.', '_' and '-': it names files",
                "Rename the source.",
            )
        if self.max_tokens < 0:
            raise UserError(
                f"source '{self.name}' with max_tokens {self.max_tokens}",
                "0 for all, or a positive count",
                "Check the source's max-tokens.",
            )
