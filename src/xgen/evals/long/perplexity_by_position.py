"""Perplexity at each position of held-out documents: falls if a model uses what it has read (section 3, Figure 2).

Documents are the independent units: what is said of a range of positions is first averaged within each document, then
over the documents. Shape letters: N documents, L positions.
"""

import itertools
import math
from typing import Any

import numpy as np
from jaxtyping import Float, UInt16

from xgen.core.errors import UserError
from xgen.core.progress import bar
from xgen.core.protocols import LanguageModel

NORMAL_975 = 1.959963984540054


def perplexity_by_position(
    model: LanguageModel,
    held_out: UInt16[np.ndarray, "N L"],
    context_length: int,
    num_bins: int = 16,
    documents_at_once: int = 8,
) -> dict[str, Any]:
    """Score the first `context_length` tokens of every row and average -log p over bins of positions.

    Each row is the start of one document. Token t is predicted from the t tokens before it, so token 0 is in no bin.
    A bin says `first` and `last` token, `nll` (nats), its `standard_error` over documents, and `perplexity` with a 95 %
    interval from `low` to `high`; `overall`, `first_eighth` and `last_eighth` say the same of those tokens. UserError
    for fewer than four documents or rows shorter than the context.
    """
    if len(held_out) < 4 or held_out.shape[1] < context_length:
        raise UserError(
            f"{len(held_out)} held-out documents of {held_out.shape[1]} tokens",
            f"at least 4 of {context_length} tokens or more",
            "Set more documents apart (held-out-documents), or add longer ones to the sources.",
        )
    assert context_length >= max(2 * num_bins, 16), "a bin without a predicted token"
    nll_NL = _negative_log_likelihoods(model, held_out[:, :context_length], documents_at_once)
    edges = [context_length * i // num_bins for i in range(num_bins + 1)]
    return {
        "model": model.name,
        "context_length": context_length,
        "documents": len(nll_NL),
        "tokens": nll_NL[:, 1:].size,
        "bins": [_range(nll_NL, start, stop) for start, stop in itertools.pairwise(edges)],
        "first_eighth": _range(nll_NL, 0, context_length // 8),
        "last_eighth": _range(nll_NL, context_length - context_length // 8, context_length),
        "overall": _range(nll_NL, 0, context_length),
    }


def _negative_log_likelihoods(
    model: LanguageModel, rows_NL: UInt16[np.ndarray, "N L"], at_once: int
) -> Float[np.ndarray, "N L"]:
    """Give -log p of token t in column t; column 0, which nothing predicts, is NaN."""
    nll_NL = np.full(rows_NL.shape, np.nan)
    with bar(f"perplexity at {rows_NL.shape[1]:,}", len(rows_NL)) as progress:
        for start in range(0, len(rows_NL), at_once):
            part = rows_NL[start : start + at_once]
            nll_NL[start : start + at_once, 1:] = -model.window(part.astype(np.int32))
            progress.advance(len(part))
    if not np.isfinite(nll_NL[:, 1:]).all():
        raise UserError(
            f"{model.name} gives log-probabilities that are not finite",
            "finite ones",
            "The training diverged: look at the loss curve, and lower the learning rate.",
        )
    return nll_NL


def _range(nll_NL: Float[np.ndarray, "N L"], start: int, stop: int) -> dict[str, float | int]:
    """Summarize the tokens from `start` (the first predicted one, where that is 0) up to `stop`."""
    start = max(start, 1)
    nll_N = nll_NL[:, start:stop].mean(axis=1)
    mean, error = float(nll_N.mean()), float(nll_N.std(ddof=1)) / math.sqrt(len(nll_N))
    reach = _t_975(len(nll_N) - 1) * error
    return {
        "first": start,
        "last": stop - 1,
        "nll": mean,
        "standard_error": error,
        "perplexity": math.exp(mean),
        "low": math.exp(mean - reach),
        "high": math.exp(mean + reach),
    }


def _t_975(freedom: int) -> float:
    """Student's t below which 97.5 % lie, by Cornish and Fisher's expansion: within 1 % from 3 degrees on."""
    z, n = NORMAL_975, freedom
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )
