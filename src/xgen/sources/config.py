"""A source of documents as a value: its reader, where it reads, under which licence, and which filters judge it."""

import re
from dataclasses import dataclass, replace
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
    folders: tuple[tuple[str, float], ...] = ()
    """Folders below the location, each with its weight: every one is a source of its own, with its share of each quota.

    Without any, a source is drawn from as a whole. `max_tokens` counts for each.
    """

    def __post_init__(self) -> None:
        for name in (self.name, *(folder for folder, _ in self.folders)):
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
                raise UserError(
                    f"a source or a folder of one named '{name}'",
                    "letters, digits, '.', '_' and '-': it names files",
                    "Rename it.",
                )
        if len(dict(self.folders)) < len(self.folders) or not all(weight > 0 for _, weight in self.folders):
            raise UserError(
                f"source '{self.name}' with the folders {self.folders}",
                "names that differ, weights above 0",
                "Check the source's folders.",
            )
        if self.max_tokens < 0:
            raise UserError(
                f"source '{self.name}' with max_tokens {self.max_tokens}",
                "0 for all, or a positive count",
                "Check the source's max-tokens.",
            )

    def unfolded(self) -> "tuple[tuple[Source, float], ...]":
        """Return the sources that the folders are, each with its part of one; without folders the source itself."""
        whole = sum(weight for _, weight in self.folders)
        return tuple(
            (
                replace(
                    self, name=f"{self.name}-{folder}", location=f"{self.location.rstrip('/')}/{folder}", folders=()
                ),
                weight / whole,
            )
            for folder, weight in self.folders
        ) or ((self, 1.0),)
