"""Perplexity by position for each language of documents that a person gives: the 22, Apex, or any other."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt16

from xgen.core.errors import UserError
from xgen.core.protocols import LanguageModel, Tokenizer
from xgen.evals.files import rows_of
from xgen.evals.long.perplexity_by_position import perplexity_by_position

LEAST = 4
"""Documents of a language that an interval needs."""
Rows = UInt16[np.ndarray, "N L"]


def read_documents(path: Path, tokenizer: Tokenizer, length: int) -> dict[str, Rows]:
    """Read rows with `text` and `language`; keep the first `length` tokens of each document that has as many.

    Every model reads these same tokens, however short its window is, so what is kept does not depend on it.
    """
    rows: dict[str, list[list[int]]] = {}
    for number, row in enumerate(rows_of(path), start=1):
        if not isinstance(row.get("text"), str):
            raise UserError(f"row {number} of {path} has no text", "fields text and language", "Check the file.")
        ids = tokenizer.encode(row["text"])
        if len(ids) >= length:
            rows.setdefault(str(row.get("language", "unknown")), []).append(ids[:length])
    kept = {language: np.array(own, np.uint16) for language, own in sorted(rows.items()) if len(own) >= LEAST}
    if not kept:
        raise UserError(
            f"{path} has no language with {LEAST} documents of {length:,} tokens",
            "whole long documents",
            "Add longer ones.",
        )
    return kept


def by_language(model: LanguageModel, documents: dict[str, Rows], context_length: int) -> dict[str, dict[str, Any]]:
    """Measure each language on its own."""
    return {language: perplexity_by_position(model, rows, context_length) for language, rows in documents.items()}
