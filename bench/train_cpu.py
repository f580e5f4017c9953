"""One training step on a CPU: ours beside PyTorch with transformers' LLaMA, on the same shapes, in one run.

    GLIBC_TUNABLES=glibc.malloc.hugetlb=1 .venv-test/bin/python bench/train_cpu.py --recipe tiny --rounds 8

Both train in float32 with AdamW and clipping on random tokens. The rounds alternate, so that a busy machine is busy for
both; medians are compared. The figure that counts is the ratio.
"""

import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import torch
import tyro
from transformers import LlamaConfig, LlamaForCausalLM

from xgen.core.types import Batch
from xgen.parallel.mesh import make_mesh
from xgen.parallel.rules import layout_named
from xgen.recipes.catalog import recipe_named
from xgen.recipes.schema import Recipe
from xgen.train.optimizer import make_optimizer
from xgen.train.stages import Stage
from xgen.train.step import initial_state, make_step, shardings_of


@dataclass(frozen=True)
class Options:
    recipe: str = "tiny"
    rounds: int = 8
    """Steps of each side and length that are timed, after one that is not."""


def ours(recipe: Recipe, tokens: np.ndarray) -> Callable[[], None]:
    optimizer = make_optimizer(recipe.optimizer, recipe.model)
    shardings = shardings_of(recipe.model, optimizer, make_mesh(1, 1), layout_named(recipe.execution.layout))
    step = make_step(recipe.model, recipe.compute, optimizer, recipe.execution.micro_batch_tokens)
    state = initial_state(recipe.model, optimizer, recipe.seed, shardings)
    positions = np.broadcast_to(np.arange(tokens.shape[1], dtype=np.int32), tokens.shape).copy()
    weights = np.ones(tokens.shape, np.float32)
    weights[:, -1] = 0
    batch = Batch(tokens, np.roll(tokens, -1, axis=1), weights, positions, np.zeros_like(tokens))

    def run() -> None:
        nonlocal state
        state, numbers = step(state, batch, jnp.float32(1e-3))
        jax.block_until_ready(numbers)

    return run


def peer(recipe: Recipe, tokens: np.ndarray) -> Callable[[], None]:
    shape, rule = recipe.model, recipe.optimizer
    config = LlamaConfig(
        vocab_size=shape.vocab_size, hidden_size=shape.dim, intermediate_size=shape.ffn_dim,
        num_hidden_layers=shape.num_layers, num_attention_heads=shape.num_heads, max_position_embeddings=8192,
        tie_word_embeddings=False, use_cache=False,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(
        model.parameters(), 1e-3, (rule.beta1, rule.beta2), rule.epsilon, rule.weight_decay, fused=True
    )
    ids = torch.tensor(tokens, dtype=torch.long)

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        model(input_ids=ids, labels=ids).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), rule.clip_norm)
        optimizer.step()

    return run


def seconds_of(step: Callable[[], None]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def compare(recipe: Recipe, stage: Stage, rounds: int) -> None:
    shape = (stage.rows_per_batch, stage.context_length)
    tokens = np.random.default_rng(0).integers(0, 50_000, shape).astype(np.int32)
    sides = {"xgen": ours(recipe, tokens), "torch": peer(recipe, tokens)}
    for step in sides.values():
        step()
    found = {name: [] for name in sides}
    for _ in range(rounds):
        for name, step in sides.items():
            found[name].append(seconds_of(step))
    medians = {name: statistics.median(times) for name, times in found.items()}
    speeds = {name: stage.batch_tokens / seconds for name, seconds in medians.items()}
    print(
        f"{recipe.name}, {shape[0]} rows of {shape[1]}: xgen {speeds['xgen']:,.0f} tokens/s, torch "
        f"{speeds['torch']:,.0f} tokens/s, ratio {speeds['xgen'] / speeds['torch']:.2f}",
        flush=True,
    )


if __name__ == "__main__":
    chosen = tyro.cli(Options, description=__doc__)
    named = recipe_named(chosen.recipe)
    print(f"jax {jax.__version__}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    for one in {stage.context_length: stage for stage in named.stages}.values():
        compare(named, one, chosen.rounds)
    print(f"peak memory of both {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9:.2f} GB")
