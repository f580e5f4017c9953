"""One training step on a CPU: ours beside PyTorch with transformers' LLaMA, on the same shapes, in one run.

    GLIBC_TUNABLES=glibc.malloc.hugetlb=1 .venv-test/bin/python bench/train_step_cpu.py --lengths 2048 8192 --rounds 2

Both train with AdamW and clipping on random tokens: ours in float32 and with bfloat16 products as the report has them,
PyTorch (SDPA) in float32 and with bfloat16 autocast. Each side is a process of its own, so that its peak of memory is
its own; rounds alternate, so that a busy machine is busy for all. Medians are compared, and the figures that count are
the ratios to PyTorch in float32: of tokens a second, and of processor time, which other work on the machine disturbs
less.
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tyro

from xgen.model.config import ModelConfig, Precision, Remat
from xgen.recipes.catalog import recipe_named

MODELS = {
    "78m": ModelConfig(
        num_layers=8, dim=512, num_heads=8, ffn_dim=1408, vocab_size=51_200, norm_eps=1e-6, rope_base=10_000.0,
        init_std=0.02,
    )
}  # fmt: skip
SIDES = ("xgen float32", "xgen bfloat16_matmuls", "torch float32", "torch bfloat16 autocast")


@dataclass(frozen=True)
class Options:
    model: str = "78m"
    """An entry of MODELS, or a recipe."""
    lengths: tuple[int, ...] = (2048, 8192)
    """One row of each length."""
    rounds: int = 2
    """Steps of each side and length that are timed, after one that is not."""
    attention_block: int = 256
    loss_chunk: int = 512
    remat: Remat = "none"
    sides: tuple[str, ...] = SIDES
    side: str = ""
    """Used by the bench itself: be one side, and take a step for each line of the input."""


def ours(shape: ModelConfig, tokens: np.ndarray, precision: Precision, options: Options) -> Callable[[], None]:
    import jax
    import jax.numpy as jnp

    from xgen.core.types import Batch
    from xgen.model.config import Compute
    from xgen.model.params import init
    from xgen.train.optimizer import make_optimizer
    from xgen.train.spikes import UNLIMITED
    from xgen.train.step import State, make_step

    optimizer = make_optimizer(recipe_named("xgen_7b").optimizer, shape)
    compute = Compute(precision, "blockwise", options.attention_block, options.loss_chunk, options.remat)
    step = make_step(shape, compute, optimizer, tokens.size)
    params = init(shape, jax.random.key(0))
    state = State(params, optimizer.init(params))
    positions = np.broadcast_to(np.arange(tokens.shape[1], dtype=np.int32), tokens.shape).copy()
    weights = np.ones(tokens.shape, np.float32)
    weights[:, -1] = 0
    batch = Batch(tokens, np.roll(tokens, -1, axis=1), weights, positions, np.zeros_like(tokens))

    def run() -> None:
        nonlocal state
        state, numbers = step(state, batch, jnp.float32(1e-4), UNLIMITED)
        jax.block_until_ready((state, numbers))

    return run


def peer(shape: ModelConfig, tokens: np.ndarray, autocast: bool) -> Callable[[], None]:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    rule = recipe_named("xgen_7b").optimizer
    config = LlamaConfig(
        vocab_size=shape.vocab_size, hidden_size=shape.dim, intermediate_size=shape.ffn_dim,
        num_hidden_layers=shape.num_layers, num_attention_heads=shape.num_heads, max_position_embeddings=8192,
        tie_word_embeddings=False, use_cache=False, attn_implementation="sdpa",
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(
        model.parameters(), 1e-4, (rule.beta1, rule.beta2), rule.epsilon, rule.weight_decay, fused=True
    )
    ids = torch.tensor(tokens, dtype=torch.long)

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), rule.clip_norm)
        optimizer.step()

    return run


def be(side: str, options: Options) -> None:
    """Take a step for each line that arrives, and answer with seconds and the peak of memory."""
    shape = MODELS[options.model] if options.model in MODELS else recipe_named(options.model).model
    (length,) = options.lengths
    tokens = np.random.default_rng(0).integers(0, 50_000, (1, length)).astype(np.int32)
    who, how = side.split(" ", 1)
    step = ours(shape, tokens, how, options) if who == "xgen" else peer(shape, tokens, "bfloat16" in how)
    for _ in sys.stdin:
        started, used = time.perf_counter(), time.process_time()
        step()
        gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        print(json.dumps([time.perf_counter() - started, time.process_time() - used, gigabytes]), flush=True)


def compare(options: Options, length: int) -> None:
    """Let the sides take turns, and print a line each with its ratio to PyTorch in float32."""
    flags = ["--model", options.model, "--lengths", str(length)]
    flags += ["--attention-block", str(options.attention_block), "--loss-chunk", str(options.loss_chunk)]
    flags += ["--remat", options.remat]
    pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    sides = {
        side: subprocess.Popen([sys.executable, __file__, *flags, "--side", side], **pipe) for side in options.sides
    }

    def turn(side: str) -> list[float]:
        print("step", file=sides[side].stdin, flush=True)
        return json.loads(sides[side].stdout.readline())

    for side in options.sides:
        turn(side)
    found = {side: [] for side in options.sides}
    for _ in range(options.rounds):
        for side in options.sides:
            found[side].append(turn(side))
    for process in sides.values():
        process.stdin.close()
        process.wait()
    wall, used = ({side: statistics.median(turn[n] for turn in turns) for side, turns in found.items()} for n in (0, 1))
    base = "torch float32" if "torch float32" in options.sides else options.sides[0]
    for side, turns in found.items():
        print(
            f"{options.model}, one row of {length:,}: {side:<24} {length / wall[side]:>6,.0f} tokens/s, "
            f"ratio to {base} {wall[base] / wall[side]:.2f}; {used[side]:.1f} s of processor time, "
            f"ratio {used[base] / used[side]:.2f}; peak {turns[-1][2]:.2f} GB",
            flush=True,
        )


if __name__ == "__main__":
    chosen = tyro.cli(Options, description=__doc__)
    if chosen.side:
        be(chosen.side, chosen)
    else:
        for one in chosen.lengths:
            compare(chosen, one)
