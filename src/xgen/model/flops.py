"""How much work a token is: the floating-point operations of a training step, and what a device could do at most."""

from xgen.model.config import ModelConfig

_PEAKS = {
    # Dense bfloat16 by device kind, from the makers' data sheets.
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5": 459e12,
    "TPU v6 lite": 918e12,
    "NVIDIA A100": 312e12,
    "NVIDIA H100": 989.4e12,
    "NVIDIA H200": 989.4e12,
}


def flops_per_token(config: ModelConfig, context_length: int, causal: bool) -> float:
    """Count the operations of one trained token: three times those of the forward pass, recomputation not counted.

    A multiplication and its addition are two. The lookup in the embedding is none. `causal` counts half of attention's
    products, those that a causal model needs; without it, all of them, as PaLM's MFU does (Chowdhery et al. 2022).
    """
    heads = config.num_heads * config.head_dim
    matrices = config.num_layers * (4 * config.dim * heads + 3 * config.dim * config.ffn_dim)
    head = config.vocab_size * config.dim
    attention = config.num_layers * 2 * heads * context_length * (0.5 if causal else 1.0)
    return 3 * 2 * (matrices + head + attention)


def peak_flops(device_kind: str) -> float | None:
    """Give a device's operations per second, or None where no data sheet is known: a processor, say."""
    known = [name for name in _PEAKS if device_kind.startswith(name)]
    return _PEAKS[max(known, key=len)] if known else None
