"""What a filter says of a document: the document, perhaps changed, or why it is dropped."""

from collections.abc import Callable
from dataclasses import dataclass

from xgen.core.types import Document


@dataclass(frozen=True)
class Drop:
    """Why a document is dropped; the reason is a row of the audit."""

    reason: str


Filter = Callable[[Document], Document | Drop]
