"""One training step: (state, batch, learning rate) -> (state, metrics), compiled once for each context length.

Shape letters: B rows of a batch, L positions, M rows of one pass.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding

from xgen.core.types import Batch
from xgen.model.config import Compute, Lora, ModelConfig
from xgen.model.lora import adapted, trained_rows
from xgen.model.loss import cross_entropy
from xgen.model.params import Params, abstract, init, table
from xgen.model.transformer import hidden
from xgen.parallel.rules import Placement
from xgen.train.optimizer import apply
from xgen.train.stages import Stage


class State(NamedTuple):
    """All that training changes, and in low-rank tuning what it leaves; the step number is the checkpoint's."""

    params: Params
    optimizer: optax.OptState
    frozen: Params = {}  # noqa: RUF012  (a tree of JAX's, and nobody adds to it)
    """Weights beside which others are trained; no checkpoint has them, since the base run does."""


Step = Callable[..., tuple[State, dict[str, jax.Array]]]
"""(state, batch, learning_rate, limits) -> (state, metrics); `limits` are the largest loss and gradient norm."""


def loss_of(
    params: dict[str, Any],
    batch: Batch,
    weights_BL: jax.Array,
    config: ModelConfig,
    compute: Compute,
    placement: Placement | None = None,
) -> jax.Array:
    """Sum of weighted cross-entropies over a batch."""
    tokens_BL, targets_BL, _, positions_BL, segments_BL = map(jnp.asarray, batch)
    h_BLD = hidden(params, tokens_BL, positions_BL, segments_BL, config, compute, placement)
    return cross_entropy(h_BLD, params["head"], targets_BL, weights_BL, compute)


def num_passes(rows: int, length: int, micro_batch_tokens: int, parts: int = 1) -> int:
    """Choose the fewest passes of equally many whole rows that hold at most `micro_batch_tokens` (or one row) a part.

    `parts` devices share the rows, so each pass has a multiple of them.
    """
    own = rows // parts
    return next((n for n in range(1, own) if own % n == 0 and own // n * length <= micro_batch_tokens), own)


def make_gradients(
    config: ModelConfig,
    compute: Compute,
    micro_batch_tokens: int,
    placement: Placement | None = None,
    lora: Lora = Lora(),  # noqa: B008  (a frozen value)
) -> Callable[..., tuple[jax.Array, Params]]:
    """Build (params, batch, frozen) -> (mean loss, its gradient), in passes of `micro_batch_tokens` a device."""
    parts, splits = (placement.parts("row"), placement.parts("position")) if placement is not None else (1, 1)
    compute = dataclasses.replace(compute, loss_chunk=compute.loss_chunk * parts * splits)

    def gradients(params: Params, batch: Batch, frozen: Params = {}) -> tuple[jax.Array, Params]:  # noqa: B006
        def loss(params: Params, batch: Batch, weights_BL: jax.Array) -> jax.Array:
            return loss_of(adapted(params, frozen, lora), batch, weights_BL, config, compute, placement)

        differentiated = jax.value_and_grad(loss)
        weights_BL = batch.weights / jnp.maximum(jnp.sum(batch.weights), 1e-9)
        rows, length = batch.tokens.shape
        passes = num_passes(rows, length // splits, micro_batch_tokens, parts)
        if passes == 1:
            return differentiated(params, batch, weights_BL)

        def one(
            total: tuple[jax.Array, Params], part: tuple[Batch, jax.Array]
        ) -> tuple[tuple[jax.Array, Params], None]:
            return jax.tree.map(jnp.add, total, differentiated(params, *part)), None

        # Each pass takes every n-th row: rows that are split over devices stay where they are.
        dealt = jax.tree.map(
            lambda x: jnp.swapaxes(x.reshape(rows // passes, passes, length), 0, 1), (batch, weights_BL)
        )
        zero = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, params))
        return jax.lax.scan(one, zero, dealt)[0]

    return gradients


def make_step(
    config: ModelConfig,
    compute: Compute,
    optimizer: optax.GradientTransformation,
    micro_batch_tokens: int,
    placement: Placement | None = None,
    lora: Lora = Lora(),  # noqa: B008
) -> Step:
    """Build the step. A batch larger than `micro_batch_tokens` a device is done in passes, accumulated in float32.

    The loss is the mean over the weights of the whole batch, whatever the passes. Where loss or gradient norm is no
    number or beyond its limit, the state stays as it was: no such gradient ever reaches weights or moments.
    """
    gradients = make_gradients(config, compute, micro_batch_tokens, placement, lora)

    def step(
        state: State, batch: Batch, learning_rate: jax.Array, limits: jax.Array | np.ndarray
    ) -> tuple[State, dict[str, jax.Array]]:
        loss, gradient = gradients(state.params, batch, state.frozen)
        grad_norm = optax.global_norm(gradient)
        keeps = jnp.isfinite(loss) & jnp.isfinite(grad_norm) & (loss <= limits[0]) & (grad_norm <= limits[1])
        updates, optimizer_state = optimizer.update(gradient, state.optimizer, state.params)
        params = apply(state.params, updates, learning_rate)  # pyright: ignore[reportArgumentType]
        new = jax.tree.map(partial(jnp.where, keeps), (params, optimizer_state), (state.params, state.optimizer))
        return State(new[0], new[1], state.frozen), {"loss": loss, "grad_norm": grad_norm}

    if placement is None:
        return jax.jit(step, donate_argnums=0)
    # The places are named on both sides: a restored state and one that a step returned then share a compiled program.
    state_at = shardings_of(config, optimizer, placement, lora)
    return jax.jit(step, in_shardings=(state_at, None, None, None), out_shardings=(state_at, None), donate_argnums=0)


def shardings_of(
    config: ModelConfig,
    optimizer: optax.GradientTransformation,
    placement: Placement,
    lora: Lora = Lora(),  # noqa: B008
    compiler_options: dict[str, Any] | None = None,
) -> State:
    """Say where each array of the state lives: moments beside their weights, counters everywhere."""
    trained = trained_rows(config, lora)
    rows = {row.name: placement.of(*row.meanings) for row in trained}
    frozen = {row.name: placement.of(*row.meanings) for row in table(config)} if lora.rank else {}
    everywhere = placement.of()

    def like_params(leaf: object) -> object:
        return rows if isinstance(leaf, dict) else everywhere

    moments = jax.eval_shape(optimizer.init, abstract(config, trained))
    of_moments = jax.tree.map(like_params, moments, is_leaf=lambda leaf: isinstance(leaf, dict))
    return State(rows, of_moments, frozen)  # pyright: ignore[reportArgumentType]  (a tree of places, not of arrays)


def require_divisible(placement: Placement, config: ModelConfig, stages: tuple[Stage, ...]) -> None:
    """Refuse a mesh that cannot share out the network or the batches of every stage evenly."""
    for meaning, size in (
        ("dim", config.dim),
        ("head", config.num_heads),
        ("ffn", config.ffn_dim),
        ("vocab", config.vocab_size),
    ):
        placement.require_whole_parts(meaning, size, f"the model's number of '{meaning}'")
    for stage in stages:
        placement.require_whole_parts("row", stage.rows_per_batch, f"rows a batch in stage '{stage.name}'")
        placement.require_whole_parts("position", stage.context_length, f"context of stage '{stage.name}'")


def initial_state(
    config: ModelConfig,
    optimizer: optax.GradientTransformation,
    seed: int,
    shardings: State,
    lora: Lora = Lora(),  # noqa: B008
    compiler_options: dict[str, Any] | None = None,
) -> State:
    """Draw the first state, each array born where it lives; what is frozen is not drawn."""

    def make(key: jax.Array) -> State:
        params = init(config, key, trained_rows(config, lora))
        return State(params, optimizer.init(params))

    made = jax.jit(make, out_shardings=shardings._replace(frozen={}), compiler_options=compiler_options)
    return made(jax.random.key(seed))


def place(batch: Batch, where: NamedSharding) -> Batch:
    """Send a batch to the devices; of several processes, each sends what its devices hold of it.

    Every process can make the whole batch from its number, so nothing depends on how many share it.
    """
    return jax.tree.map(lambda x: jax.make_array_from_callback(x.shape, where, lambda index: x[index]), batch)
