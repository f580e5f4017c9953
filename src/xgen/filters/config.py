"""The values that filters need, stated in a recipe: which languages and licences may stay, and where lists lie."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FilterConfig:
    """What the filters of all sources of a recipe are told; a filter that no source names ignores its values."""
