"""What a run reads: sources, mixtures and the rules of cutting, as values (section 2 of the report)."""

from dataclasses import dataclass, field, replace
from typing import Literal

from xgen.core.errors import UserError, suggest
from xgen.filters.config import FilterConfig
from xgen.sources.config import Source


@dataclass(frozen=True)
class Share:
    """A source's share of a stage.

    Stages that draw a "part" divide the documents of the source among themselves, so that none reads what another
    does. A stage that draws "again" takes from all of them in an order of its own: table 3's 55B tokens of stage-1 data
    are such a second draw, since tables 2 and 3 together have no other data for them.
    """

    source: str
    weight: float
    draw: Literal["part", "again"] = "part"


@dataclass(frozen=True)
class Mixture:
    """Sources and their shares of the tokens of a stage (tables 2 and 3)."""

    name: str
    shares: tuple[Share, ...]

    def __post_init__(self) -> None:
        if not self.shares or min(share.weight for share in self.shares) < 0 or self.total <= 0:
            raise UserError(
                f"mixture '{self.name}' with weights {[share.weight for share in self.shares]}",
                "at least one share, none negative, not all zero",
                "Check the mixture's weights.",
            )

    @property
    def second_draws(self) -> frozenset[str]:
        """Name the sources that are drawn again."""
        return frozenset(share.source for share in self.shares if share.draw == "again")

    @property
    def total(self) -> float:
        return sum(share.weight for share in self.shares)

    def fractions(self) -> dict[str, float]:
        """Give each source's share of the tokens; they add up to one."""
        return {share.source: share.weight / self.total for share in self.shares}


@dataclass(frozen=True)
class DataConfig:
    """All that prepared data depends on, besides the tokenizer, the stages and the seed."""

    sources: tuple[Source, ...]
    mixtures: tuple[Mixture, ...]
    min_document_tokens: int
    """Shorter documents are dropped (section 2)."""
    held_out_documents: int
    """Documents set apart for perplexity by position, each at least as long as the longest context."""
    near_duplicate_share: float
    """A training document is dropped if this share of its 13-token windows, or of a held-out document's, is shared."""
    duplicate_similarity: float = 0.0
    """Of documents whose signatures agree in this share of their slots one stays (decision 30); 0 looks for none."""
    filters: FilterConfig = field(default_factory=FilterConfig)
    """What the filters that the sources name are told."""

    def __post_init__(self) -> None:
        names = [source.name for source in self.sources]
        if len(set(names)) != len(names):
            raise UserError(f"two sources of one name in {names}", "names that differ", "Rename one.")
        if self.min_document_tokens < 1 or self.held_out_documents < 0 or not 0 < self.near_duplicate_share <= 1:
            raise UserError(
                f"min_document_tokens {self.min_document_tokens}, held_out_documents "
                f"{self.held_out_documents}, near_duplicate_share {self.near_duplicate_share}",
                "at least 1, at least 0, and a share above 0 and up to 1",
                "Check the data's values.",
            )
        if not (self.duplicate_similarity == 0 or 0.5 <= self.duplicate_similarity <= 1):
            raise UserError(
                f"duplicate_similarity {self.duplicate_similarity}",
                "0, which looks for none, or 0.5 to 1: what is less similar is rarely compared at all",
                "Take 0.8, which is usual.",
            )
        for mixture in self.mixtures:
            for share in mixture.shares:
                if share.source not in names:
                    raise UserError(
                        f"mixture '{mixture.name}' names the source '{share.source}'",
                        "a source of this recipe",
                        suggest(share.source, names),
                    )

    def unfolded(self) -> "DataConfig":
        """Make a source of each folder of a source that names any, and give each its part of every share."""
        parts = {source.name: source.unfolded() for source in self.sources}
        return replace(
            self,
            sources=tuple(source for each in parts.values() for source, _ in each),
            mixtures=tuple(
                replace(
                    mixture,
                    shares=tuple(
                        replace(share, source=source.name, weight=share.weight * part)
                        for share in mixture.shares
                        for source, part in parts[share.source]
                    ),
                )
                for mixture in self.mixtures
            ),
        )

    def mixture(self, name: str) -> Mixture:
        """Return a mixture, or name the nearest one that exists."""
        for mixture in self.mixtures:
            if mixture.name == name:
                return mixture
        known = [mixture.name for mixture in self.mixtures]
        raise UserError(f"there is no mixture '{name}'", "a mixture of this recipe", suggest(name, known))
