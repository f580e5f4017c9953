"""What a reader tells besides its documents: what it left out by rule, and bad input, which `strict` makes fatal."""

from collections import Counter

from xgen.core.errors import UserError
from xgen.core.progress import say

NUM_SHOWN = 3
"""Places of bad input that are printed and kept for each reason; all are counted."""


class Intake:
    """Counts, for one source, everything that could have become a document and did not."""

    def __init__(self, source: str, strict: bool) -> None:
        self.source, self.strict = source, strict
        self.skipped: Counter[str] = Counter()
        self.examples: list[str] = []

    def skip(self, reason: str) -> None:
        """Count what is left out by a rule of the reader."""
        self.skipped[reason] += 1

    def bad(self, reason: str, where: str, expected: str) -> None:
        """Count and skip input that is broken; raise UserError where the run is strict."""
        if self.strict:
            raise UserError(
                f"source '{self.source}': {reason} in {where}",
                expected,
                "Repair or remove it, or leave --strict away to count and skip it.",
            )
        self.skipped[reason] += 1
        if self.skipped[reason] <= NUM_SHOWN:
            self.examples.append(f"{reason} in {where}")
            say(f"  {self.source}: {reason} in {where}, expected {expected}; skipped")
        elif self.skipped[reason] == NUM_SHOWN + 1:
            say(f"  {self.source}: {reason} again; from here on only counted")
