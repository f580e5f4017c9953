"""The shape of a network: a value, checked at birth, free of JAX."""

from dataclasses import dataclass
from typing import Literal

from xgen.core.errors import UserError


@dataclass(frozen=True)
class ModelConfig:
    """A LLaMA-shaped decoder (section 3 of the report). The context length belongs to the stage, not to the model."""

    num_layers: int
    dim: int
    num_heads: int
    ffn_dim: int
    vocab_size: int
    """Rows of the embedding; ids of the tokenizer and unused rows above them."""
    norm_eps: float
    rope_base: float
    init_std: float
    """Standard deviation of the normal distribution that every matrix starts from; norms start at one."""
    norm: str = "rms_norm"
    ffn: str = "swiglu"
    circuit: str = "sequential"

    def __post_init__(self) -> None:
        if min(self.num_layers, self.dim, self.num_heads, self.ffn_dim, self.vocab_size) < 1:
            raise UserError(f"a model with a size below one ({self})", "positive sizes", "Check the model's values.")
        if self.dim % self.num_heads or (self.dim // self.num_heads) % 2:
            raise UserError(
                f"dim {self.dim} over num_heads {self.num_heads}",
                "heads of one whole, even size",
                "Choose a dim that is an even multiple of num_heads: rotary positions turn pairs.",
            )

    @property
    def head_dim(self) -> int:
        return self.dim // self.num_heads


Precision = Literal["float32", "bfloat16_matmuls"]
"""float32 everywhere, or with the inputs of matrix products rounded to bfloat16 (section 3)."""

Remat = Literal["none", "full", "attention", "dots"]
"""What the backward pass computes again in each layer: `REMATS` in model/transformer.py says what each keeps."""


@dataclass(frozen=True)
class Compute:
    """How the network's arithmetic is carried out; `Execution` in train/config.py says what each value means."""

    precision: Precision
    attention: str
    attention_block: int
    loss_chunk: int
    remat: Remat


@dataclass(frozen=True)
class Lora:
    """Low-rank tuning (Hu et al. 2021): a named matrix W stays, B A is trained, and W + alpha/rank B A is used.

    Rank 0 trains all weights themselves, as the report does.
    """

    rank: int = 0
    alpha: float = 16.0
    matrices: tuple[str, ...] = ("q", "k", "v", "o", "gate", "up", "down")
    """Rows of the parameter table: matrices of the layers."""

    def __post_init__(self) -> None:
        if self.rank < 0 or self.alpha <= 0 or (self.rank and not self.matrices):
            raise UserError(
                f"low-rank tuning of {self}", "a rank of at least 0, a positive alpha, a matrix", "Check instruct.lora."
            )
