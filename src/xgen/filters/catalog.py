"""Filters by name: each takes a document and gives it back, perhaps changed, or says why it is dropped."""

from collections.abc import Callable, Sequence

from xgen.core.errors import UserError, suggest
from xgen.core.types import Document
from xgen.filters.code import code_filter
from xgen.filters.config import FilterConfig
from xgen.filters.language import language_filter
from xgen.filters.overlap import decontamination_filter, toxicity_filter
from xgen.filters.policy import licence_filter, strict_licence_filter
from xgen.filters.private import pii_filter, secrets_filter
from xgen.filters.prose import boilerplate_filter, quality_filter, repetition_filter
from xgen.filters.verdict import Drop, Filter

FILTERS: dict[str, Callable[[FilterConfig], Filter]] = {
    "language": language_filter,
    "quality": quality_filter,
    "repetition": repetition_filter,
    "boilerplate": boilerplate_filter,
    "code": code_filter,
    "licence": licence_filter,
    "strict-licence": strict_licence_filter,
    "pii": pii_filter,
    "secrets": secrets_filter,
    "decontamination": decontamination_filter,
    "toxicity": toxicity_filter,
}
"""From a name to the maker of a filter, which loads what the filter needs, once a process."""


class Screen:
    """The filters of one source, in order; it counts what each saw, dropped and changed."""

    def __init__(self, names: Sequence[str], config: FilterConfig) -> None:
        for name in names:
            if name not in FILTERS:
                raise UserError(f"there is no filter '{name}'", "an entry of FILTERS", suggest(name, FILTERS))
        self._filters = {name: FILTERS[name](config) for name in names}
        self.effects = {name: {"seen": 0, "dropped": 0, "changed": 0} for name in names}

    def __call__(self, document: Document) -> Document | Drop:
        """Return the document as the last filter left it, or the first reason to drop it."""
        for name, judge in self._filters.items():
            effect = self.effects[name]
            effect["seen"] += 1
            judged = judge(document)
            if isinstance(judged, Drop):
                effect["dropped"] += 1
                return judged
            effect["changed"] += judged != document
            document = judged
        return document
