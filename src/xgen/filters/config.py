"""The values that filters need, stated in a recipe: which languages and licences may stay, and where lists lie."""

from dataclasses import dataclass

LANGUAGES = tuple("bg ca cs da de en es fr hr hu it ja nl pl pt ro ru sl sr sv uk zh".split())  # noqa: SIM905 - as a list it takes 22 lines
"""The 22 languages of the mixture of stage 1 (section 2), by ISO 639-1."""


@dataclass(frozen=True)
class FilterConfig:
    """What the filters of all sources of a recipe are told; a filter that no source names ignores its values."""

    languages: tuple[str, ...] = LANGUAGES
    """ISO 639-1 codes that the filter `language` lets stay."""
