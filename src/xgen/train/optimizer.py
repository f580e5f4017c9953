"""AdamW as LLaMA uses it, out of optax; the learning rate comes from outside, since it counts tokens."""

import jax
import optax

from xgen.model.config import ModelConfig
from xgen.model.params import Params, Row, decay_mask
from xgen.train.config import OptimizerConfig


def make_optimizer(
    config: OptimizerConfig, model: ModelConfig, rows: tuple[Row, ...] = ()
) -> optax.GradientTransformation:
    """Clip by global norm, scale by Adam, add decoupled decay on matrices; without the learning rate.

    It trains the table of the model, or other rows.
    """
    clip = optax.clip_by_global_norm(config.clip_norm) if config.clip_norm else optax.identity()
    return optax.chain(
        clip,
        optax.scale_by_adam(b1=config.beta1, b2=config.beta2, eps=config.epsilon),
        optax.add_decayed_weights(config.weight_decay, mask=decay_mask(model, rows)),
    )


def apply(params: Params, updates: Params, learning_rate: jax.Array) -> Params:
    """Take one step against the updates."""
    return jax.tree.map(lambda p, u: p - learning_rate * u, params, updates)
