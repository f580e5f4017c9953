"""The one error that a user is meant to read: what was found, what was expected, what to do.

UserError                a person can fix it; the command line prints one sentence and exits with code 2
Stopped                  a signal asked for an end; everything is saved
anything else            a defect of ours; it keeps its traceback
"""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in the input, told in one sentence: `found`; expected `expected`. `do`."""

    def __init__(self, found: str, expected: str, do: str) -> None:
        self.found, self.expected, self.do = found, expected, do
        super().__init__(f"{found}; expected {expected}. {do}")

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        """Survive a trip through a process pool, which rebuilds exceptions from their arguments."""
        return UserError, (self.found, self.expected, self.do)


def suggest(name: str, known: Iterable[str]) -> str:
    """Answer "Did you mean 'x'?" for the nearest known name, or list what is known."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(names)}."


class Stopped(Exception):
    """A program ended at the request of a signal, with everything saved; the exit code is 128 + its number."""

    def __init__(self, signal_number: int, line: str) -> None:
        self.signal_number = signal_number
        super().__init__(line)
