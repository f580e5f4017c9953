"""What a block may be made of and how it is computed, by name; the report's choice is the first of each."""

from collections.abc import Callable

import jax

from xgen.model import kernels
from xgen.model.attention import Attention, blockwise, definition
from xgen.model.layers import rms_norm, swiglu

Layer = dict[str, jax.Array]
Branch = Callable[[jax.Array], jax.Array]


def sequential(x_BLD: jax.Array, attention: Branch, ffn: Branch) -> jax.Array:
    """Attention first, feed-forward on its result, each added to what it read (section 3, "Loss spikes")."""
    x_BLD = x_BLD + attention(x_BLD)
    return x_BLD + ffn(x_BLD)


NORMS = {"rms_norm": rms_norm}
FFNS = {"swiglu": swiglu}
CIRCUITS = {"sequential": sequential}
ATTENTIONS: dict[str, Attention] = {
    "definition": definition,
    "blockwise": blockwise,
    "cudnn": kernels.cudnn,
    "splash": kernels.splash,
}
"""The same numbers in several ways: `execution` names one, and train/probe.py compares it with the definition."""
