"""Drop files that nobody wrote by hand: the rules of RedPajama's GitHub part, and one on the header."""

import re
import string
from pathlib import PurePosixPath

from xgen.core.types import Document
from xgen.filters.config import FilterConfig
from xgen.filters.verdict import Drop, Filter

NOT_ALPHANUMERIC = bytes(set(range(128)) - set((string.ascii_letters + string.digits).encode()))
SAYS_SO = rb"(generated (by|from|automatically)|do not edit)"
GENERATED = re.compile(
    rb'^((#|"""|//|/\*|--|<!--|;).*| \* *((this|the) (file|code|header) .*)?)' + SAYS_SO, re.IGNORECASE | re.MULTILINE
)
MINIFIED = (".min.js", ".min.css", ".bundle.js", ".lock", ".map")


def code_filter(config: FilterConfig) -> Filter:
    """Judge the name of the file against the recipe's extensions, where it has a name, and then what is in it."""
    extensions = frozenset(config.code_extensions)

    def judge(document: Document) -> Document | Drop:
        name = PurePosixPath(document.path).name.lower()
        if name.endswith(MINIFIED):
            return Drop("a file made by a tool")
        if name and extensions and PurePosixPath(name).suffix not in extensions:
            return Drop("no extension of code")
        reason = why_no_code(document.text.encode("utf-8", "replace"))
        return Drop(reason) if reason else document

    return judge


def why_no_code(raw: bytes) -> str:
    """Name the rule that a file breaks, or nothing."""
    lines = raw.splitlines() or [b""]
    if max(map(len, lines)) > 1000 or len(raw) > 100 * len(lines):
        return "lines too long for code"
    if len(raw.translate(None, NOT_ALPHANUMERIC)) < 0.25 * len(raw):
        return "under a quarter letters and digits"
    if GENERATED.search(raw, 0, 500):
        return "generated code"
    return ""
