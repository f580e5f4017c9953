"""What a reader tells besides its documents: what it left out by rule, and bad input, which `strict` makes fatal."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from xgen.core.errors import UserError
from xgen.core.ledger import written_beside
from xgen.core.progress import say

NUM_SHOWN = 3
"""Places of bad input that are printed and kept for each reason; all are counted, and all are quarantined."""
NUM_KEPT_BYTES = 200
"""Of a bad record, in the quarantine: enough to recognise it by; the whole lies where its place says."""

Record = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Where in a source something was found. Offsets are bytes of the content, for a compressed file unpacked."""

    file: str
    line: int | None = None
    """Counted from 1: a line, or a row of a Parquet file."""
    offset: int | None = None
    unit: str = "line"

    def __str__(self) -> str:
        line = "" if self.line is None else f", {self.unit} {self.line}"
        return f"{self.file}{line}" + ("" if self.offset is None else f", byte {self.offset}")


class Intake:
    """Counts, for one source, everything that could have become a document and did not.

    `keep` gets each bad record, `tell` a sentence about the first few.
    """

    def __init__(
        self, source: str, strict: bool, keep: Callable[[Record], None] | None = None, tell: Callable[[str], None] = say
    ) -> None:
        self.source, self.strict, self.keep, self.tell = source, strict, keep, tell
        self.skipped: Counter[str] = Counter()
        self.quarantined: Counter[str] = Counter()
        """Those of what was skipped that were bad, each with a record in quarantine."""
        self.examples: list[str] = []

    def skip(self, reason: str) -> None:
        """Count what is left out by a rule of the reader."""
        self.skipped[reason] += 1

    def bad(self, reason: str, place: Place, expected: str, raw: bytes = b"", detail: str = "") -> None:
        """Count, quarantine and skip the broken record `raw`; raise UserError where the run is strict.

        A `reason` is one of few, since it is a row of the audit; what differs each time is the `detail`.
        """
        where = f"{place} ({detail})" if detail else str(place)
        if self.strict:
            raise UserError(
                f"source '{self.source}': {reason} in {where}",
                expected,
                "Repair or remove it, or leave --strict away to count and skip it.",
            )
        if self.keep is not None:
            begin = raw[:NUM_KEPT_BYTES].decode("utf-8", "backslashreplace")
            self.keep({**asdict(place), "reason": reason, "detail": detail, "begin": begin})
        self.skipped[reason] += 1
        self.quarantined[reason] += 1
        if self.skipped[reason] <= NUM_SHOWN:
            self.examples.append(f"{reason} in {where}")
            self.tell(f"  {self.source}: {reason} in {where}, expected {expected}; skipped")
        elif self.skipped[reason] == NUM_SHOWN + 1:
            self.tell(f"  {self.source}: {reason} again; from here on only counted")


@contextlib.contextmanager
def quarantine(path: Path) -> Iterator[Callable[[Record], None]]:
    """Give a function that adds a record to `path`, which appears when all is done, and only if there was one."""
    path.unlink(missing_ok=True)  # of a run that was killed before it was counted
    with contextlib.ExitStack() as stack:
        opened: list[IO[bytes]] = []

        def keep(record: Record) -> None:
            if not opened:
                opened.append(stack.enter_context(written_beside(path)))
            opened[0].write(orjson.dumps(record) + b"\n")

        yield keep
