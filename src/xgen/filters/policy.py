"""Keep what a recipe's list of licences lets be used, by metadata and by what the file itself says; else drop."""

import functools
import importlib
import re
from collections.abc import Callable
from typing import Any

from xgen.core.errors import UserError
from xgen.core.types import Document
from xgen.filters.config import FilterConfig
from xgen.filters.verdict import Drop, Filter

HEADER = 4_000
"""Characters that are searched for a licence; further down it is mostly the subject of a text."""
TAG = re.compile(r"SPDX-License-Identifier:[ \t]*([^\n\r]+)")
TAG_END = re.compile(r"\s*(\*/|-->|\*\)|#\}|\"\"\"|[\"'`;,].*)?\s*$")
WORDS = re.compile(r"[\s*#/;!%.-]+")
"""What stands between two words of a header, with the marks of comments."""
COPYLEFT = re.compile(
    r"gnu (lesser |affero |library )?(general )?public licen[cs]e|\b[al]?gpl ?v? ?[23]\b"
    r"|mozilla public licen[cs]e|\bmpl ?2|eclipse public licen[cs]e|common development and distribution licen[cs]e"
    r"|european union public licen[cs]e|server side public licen[cs]e|attribution sharealike"
    r"|attribution noncommercial|all rights reserved (you may not|unauthorized)|proprietary and confidential"
)
HINTS = ("licence", "license", "gpl", "sharealike", "noncommercial", "reserved", "confidential")
MPL = re.compile(r"mpl[\s*#/;!%.-]*2")
"""Without one of these words, or this, COPYLEFT finds nothing: they spare most files the search."""


def licence_filter(config: FilterConfig) -> Filter:
    """Judge by data.filters.licences."""
    return _policy(config.licences)


def strict_licence_filter(config: FilterConfig) -> Filter:
    """Judge by data.filters.strict_licences, the shorter list of stage 2 (section 2.2)."""
    return _policy(config.strict_licences)


def _policy(licences: tuple[str, ...]) -> Filter:
    allows = _allowance(licences)

    def judge(document: Document) -> Document | Drop:
        allowed = allows(document.licence)
        if allowed is None:
            return Drop("a licence that is no SPDX expression")
        if not allowed:
            return Drop("a licence that is not on the list")
        header = document.text[:HEADER]
        if tags := TAG.findall(header):
            return (
                document if all(allows(TAG_END.sub("", tag)) for tag in tags) else Drop("another licence in the file")
            )
        return Drop("another licence in the file") if is_copyleft(header) else document

    return judge


def is_copyleft(header: str) -> bool:
    """Tell whether a header speaks of a licence that asks for more than to be named."""
    small = header.lower()
    if not any(hint in small for hint in HINTS) and not MPL.search(small):
        return False
    return bool(COPYLEFT.search(WORDS.sub(" ", small)))


def _allowance(licences: tuple[str, ...]) -> Callable[[str], bool | None]:
    """Make a judge of expressions: one branch of OR must be allowed, all parts of AND; None if it cannot be read."""
    try:
        library: Any = importlib.import_module("license_expression")
    except ModuleNotFoundError:
        raise UserError(
            "the filters of licences need license-expression, which is not installed",
            "the extra that filters need",
            "Install it with: pip install 'xgen[data]'",
        ) from None
    spdx = library.get_spdx_licensing()
    if not licences or (unknown := sorted({*licences}.difference(spdx.known_symbols))):
        raise UserError(
            f"a list of licences with {unknown}" if licences else "an empty list of licences",
            "SPDX identifiers",
            "Check data.filters.licences and data.filters.strict-licences.",
        )
    allowed = {spdx.known_symbols[name].key for name in licences}

    def holds(part: Any) -> bool:
        if isinstance(part, spdx.OR):
            return any(map(holds, part.args))
        if isinstance(part, spdx.AND):
            return all(map(holds, part.args))
        if isinstance(part, library.LicenseWithExceptionSymbol):  # an exception only ever gives more rights
            return part.license_symbol.key in allowed
        return part.key in allowed

    @functools.lru_cache(4096)
    def allows(expression: str) -> bool | None:
        try:
            parsed = spdx.parse(expression, validate=True)
        except library.ExpressionError:
            return None
        return None if parsed is None else holds(parsed)

    return allows
