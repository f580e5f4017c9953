"""One training step: (state, batch, learning rate) -> (state, metrics), compiled once for each context length.

Shape letters: B rows of a batch, L positions, M rows of one pass.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding

from xgen.core.types import Batch
from xgen.model.config import Compute, ModelConfig
from xgen.model.loss import cross_entropy
from xgen.model.params import Params, abstract, init, table
from xgen.model.transformer import hidden
from xgen.parallel.rules import Layout, sharding
from xgen.train.optimizer import apply


class State(NamedTuple):
    """All that training changes; the step number is the checkpoint's."""

    params: Params
    optimizer: optax.OptState


Step = Callable[[State, Batch, jax.Array], tuple[State, dict[str, jax.Array]]]


def loss_of(params: Params, batch: Batch, weights_BL: jax.Array, config: ModelConfig, compute: Compute) -> jax.Array:
    """Sum of weighted cross-entropies over a batch."""
    tokens_BL, targets_BL, _, positions_BL, segments_BL = map(jnp.asarray, batch)
    h_BLD = hidden(params, tokens_BL, positions_BL, segments_BL, config, compute)
    return cross_entropy(h_BLD, params["head"], targets_BL, weights_BL, compute)


def num_passes(rows: int, length: int, micro_batch_tokens: int) -> int:
    """Choose the fewest passes of equally many whole rows that hold at most `micro_batch_tokens` (or one row) each."""
    return next((n for n in range(1, rows) if rows % n == 0 and rows // n * length <= micro_batch_tokens), rows)


def make_step(
    config: ModelConfig,
    compute: Compute,
    optimizer: optax.GradientTransformation,
    micro_batch_tokens: int,
    shardings: State | None = None,
) -> Step:
    """Build the step. A batch larger than `micro_batch_tokens` is done in passes, accumulated in float32.

    The loss is the mean over the weights of the whole batch, whatever the passes. With `shardings` the state enters
    and leaves in those places, by name: a restored state and one that a step returned then share a compiled program.
    """

    def gradients(params: Params, batch: Batch) -> tuple[jax.Array, Params]:
        weights_BL = batch.weights / jnp.maximum(jnp.sum(batch.weights), 1e-9)
        passes = num_passes(batch.tokens.shape[0], batch.tokens.shape[1], micro_batch_tokens)
        if passes == 1:
            return jax.value_and_grad(loss_of)(params, batch, weights_BL, config, compute)

        def one(
            total: tuple[jax.Array, Params], part: tuple[Batch, jax.Array]
        ) -> tuple[tuple[jax.Array, Params], None]:
            found = jax.value_and_grad(loss_of)(params, *part, config, compute)
            return jax.tree.map(jnp.add, total, found), None

        parts = jax.tree.map(lambda x: x.reshape(passes, x.shape[0] // passes, x.shape[1]), (batch, weights_BL))
        zero = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, params))
        total, _ = jax.lax.scan(one, zero, parts)
        return total

    def step(state: State, batch: Batch, learning_rate: jax.Array) -> tuple[State, dict[str, jax.Array]]:
        loss, gradient = gradients(state.params, batch)
        updates, optimizer_state = optimizer.update(gradient, state.optimizer, state.params)
        params = apply(state.params, updates, learning_rate)  # pyright: ignore[reportArgumentType]
        return State(params, optimizer_state), {"loss": loss, "grad_norm": optax.global_norm(gradient)}

    if shardings is None:
        return jax.jit(step, donate_argnums=0)
    return jax.jit(step, in_shardings=(shardings, None, None), out_shardings=(shardings, None), donate_argnums=0)


def shardings_of(config: ModelConfig, optimizer: optax.GradientTransformation, mesh: Mesh, layout: Layout) -> State:
    """Say where each array of the state lives: moments beside their weights, counters everywhere."""
    rows = {row.name: sharding(mesh, layout, row.meanings) for row in table(config)}
    everywhere = sharding(mesh, layout, ())

    def like_params(leaf: object) -> object:
        return rows if isinstance(leaf, dict) else everywhere

    moments = jax.eval_shape(optimizer.init, abstract(config))
    of_moments = jax.tree.map(like_params, moments, is_leaf=lambda leaf: isinstance(leaf, dict))
    return State(rows, of_moments)  # pyright: ignore[reportArgumentType]  (a tree of places, not of arrays)


def initial_state(config: ModelConfig, optimizer: optax.GradientTransformation, seed: int, shardings: State) -> State:
    """Draw the first state, each array born where it lives."""

    def make(key: jax.Array) -> State:
        params = init(config, key)
        return State(params, optimizer.init(params))

    return jax.jit(make, out_shardings=shardings)(jax.random.key(seed))


def place(batch: Batch, where: NamedSharding) -> Batch:
    """Send a batch to the devices, rows split over the data axis."""
    return jax.device_put(batch, where)
