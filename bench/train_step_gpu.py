"""The training step on one NVIDIA GPU: 7B and 1B with their optimizer, ours beside PyTorch, as a Markdown table.

    PYTHONPATH=src python bench/train_step_gpu.py                  # what fits an H200; of an H100, --models 1b
    PYTHONPATH=src python bench/train_step_gpu.py --smoke          # a tiny network anywhere, to see that it runs

Ours: bfloat16 products as the report has them, cuDNN's attention, weights and moments in float32. PyTorch:
transformers' LLaMA compiled, bfloat16 autocast, flash attention, fused AdamW, and weights and moments in float32 too.
Each measurement is a process of its own, so that memory is its own. Needs jax, optax, jaxtyping, torch and
transformers, no network, and of this project only `src`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from itertools import product

import numpy as np

from xgen.model.config import ModelConfig
from xgen.train.config import OptimizerConfig


def model(num_layers: int, dim: int, num_heads: int, ffn_dim: int, vocab_size: int = 51_200) -> ModelConfig:
    return ModelConfig(
        num_layers, dim, num_heads, ffn_dim, vocab_size, norm_eps=1e-6, rope_base=10_000.0, init_std=0.02
    )


# The shapes of the recipes xgen_7b and xgen_1b, which a test compares: recipes need packages that a bare machine lacks.
MODELS = {"7b": model(32, 4096, 32, 11_008), "1b": model(22, 2048, 16, 5_504), "smoke": model(2, 64, 2, 96, 512)}
RULE = OptimizerConfig(
    peak_learning_rate=3e-4, final_fraction=0.1, warmup_tokens=0, beta1=0.9, beta2=0.95, epsilon=1e-8,
    weight_decay=0.1, clip_norm=1.0,
)  # fmt: skip
SIDES = ("xgen", "torch")


class Side:
    """One side's step, the peak of its memory in bytes, and the kind of device."""

    def __init__(self, step: Callable[[], None], peak: Callable[[], int], device: str) -> None:
        self.step, self.peak, self.device = step, peak, device


def ours(shape: ModelConfig, tokens: np.ndarray, options: argparse.Namespace) -> Side:
    import jax
    import jax.numpy as jnp

    from xgen.core.types import Batch
    from xgen.model.config import Compute
    from xgen.parallel.mesh import make_mesh
    from xgen.parallel.rules import placement_of
    from xgen.train.optimizer import make_optimizer
    from xgen.train.spikes import UNLIMITED
    from xgen.train.step import initial_state, make_step, place, shardings_of

    placement = placement_of(make_mesh(1, 1), "data")
    optimizer = make_optimizer(RULE, shape)
    attention = options.attention or ("cudnn" if jax.default_backend() == "gpu" else "blockwise")
    compute = Compute("bfloat16_matmuls", attention, 512, options.loss_chunk, options.remat)
    step = make_step(shape, compute, optimizer, tokens.size, placement)
    state = initial_state(shape, optimizer, 0, shardings_of(shape, optimizer, placement))
    positions = np.broadcast_to(np.arange(tokens.shape[1], dtype=np.int32), tokens.shape).copy()
    weights = np.ones(tokens.shape, np.float32)
    weights[:, -1] = 0
    batch = Batch(tokens, np.roll(tokens, -1, axis=1), weights, positions, np.zeros_like(tokens))
    batch = place(batch, placement.of("row", "position"))

    def run() -> None:
        nonlocal state
        state, numbers = step(state, batch, jnp.float32(1e-4), UNLIMITED)
        jax.block_until_ready((state, numbers))
        assert np.isfinite(float(numbers["loss"]))

    device = jax.devices()[0]
    return Side(run, lambda: (device.memory_stats() or {}).get("peak_bytes_in_use", 0), device.device_kind)


def peer(shape: ModelConfig, tokens: np.ndarray, options: argparse.Namespace) -> Side:
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from transformers import LlamaConfig, LlamaForCausalLM

    on_gpu = torch.cuda.is_available()
    where = torch.device("cuda" if on_gpu else "cpu")
    config = LlamaConfig(
        vocab_size=shape.vocab_size, hidden_size=shape.dim, intermediate_size=shape.ffn_dim,
        num_hidden_layers=shape.num_layers, num_attention_heads=shape.num_heads, max_position_embeddings=8192,
        tie_word_embeddings=False, use_cache=False, attn_implementation="sdpa",
    )  # fmt: skip
    with where:
        network = LlamaForCausalLM(config)
    network.train()
    if options.remat != "none":
        network.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    optimizer = torch.optim.AdamW(
        network.parameters(), 1e-4, (RULE.beta1, RULE.beta2), RULE.epsilon, RULE.weight_decay, fused=True
    )
    forward = torch.compile(network) if on_gpu else network
    ids = torch.tensor(tokens, dtype=torch.long, device=where)
    kernels = [SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION] if on_gpu else [SDPBackend.MATH]

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        with sdpa_kernel(kernels):
            with torch.autocast(where.type, torch.bfloat16):
                loss = forward(input_ids=ids, labels=ids).loss
            loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), RULE.clip_norm)
        optimizer.step()
        assert np.isfinite(loss.item())  # waits for the device

    return Side(
        run, torch.cuda.max_memory_allocated if on_gpu else int, torch.cuda.get_device_name() if on_gpu else "cpu"
    )


def be(side: str, options: argparse.Namespace) -> None:
    """Take the steps and answer with a line of JSON: the device, seconds of each step, peak of memory."""
    shape, (length,) = MODELS[options.models[0]], options.lengths
    rows = max(1, options.tokens // length)
    tokens = np.random.default_rng(0).integers(0, min(50_000, shape.vocab_size), (rows, length)).astype(np.int32)
    subject = (ours if side == "xgen" else peer)(shape, tokens, options)
    seconds = []
    for _ in range(2 + options.rounds):  # two to compile and to settle
        started = time.perf_counter()
        subject.step()
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"device": subject.device, "seconds": seconds[2:], "first": seconds[0], "peak": subject.peak()}))


def measure(side: str, name: str, length: int, options: argparse.Namespace) -> str:
    """Run one side in a process of its own and give its row of the table; what does not run says why."""
    flags = ["--models", name, "--lengths", str(length), "--tokens", str(options.tokens), "--remat", options.remat]
    flags += ["--rounds", str(options.rounds), "--loss-chunk", str(options.loss_chunk)]
    flags += ["--attention", options.attention, "--side", side]
    environment = {
        "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.95",
        "PYTORCH_ALLOC_CONF": "expandable_segments:True",
    } | os.environ
    found = subprocess.run([sys.executable, __file__, *flags], capture_output=True, text=True, env=environment)
    rows = max(1, options.tokens // length)
    start = f"| {name} | {length:,} | {rows} | {side} | {options.remat} |"
    if found.returncode:
        words = [line for line in found.stderr.splitlines() if line.strip()] or [f"exit code {found.returncode}"]
        lacks = [line for line in words if "out of memory" in line.lower() or "RESOURCE_EXHAUSTED" in line]
        return f"{start} {'out of memory' if lacks else words[-1][:120]} | | | | | |"
    numbers = json.loads(found.stdout.splitlines()[-1])
    from xgen.model.flops import flops_per_token, peak_flops

    step = statistics.median(numbers["seconds"])
    speed, most = rows * length / step, peak_flops(numbers["device"])
    shares = [
        f"{speed * flops_per_token(MODELS[name], length, causal) / most:.1%}" if most else "-"
        for causal in (True, False)
    ]
    cells = [f"{speed:,.0f}", f"{step:.3f}", *shares, f"{numbers['peak'] / 1e9:.1f}", f"{numbers['first']:.0f}"]
    return f"{start} {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["7b", "1b"], choices=MODELS)
    parser.add_argument("--lengths", nargs="+", type=int, default=[2_048, 4_096, 8_192])
    parser.add_argument("--tokens", type=int, default=16_384, help="of a step: as many rows as they fill")
    parser.add_argument("--rounds", type=int, default=5, help="steps that are timed, after two that are not")
    parser.add_argument("--remat", default="full", help="ours; the peer checkpoints its layers unless this is none")
    parser.add_argument("--attention", default="", help="ours; empty is cudnn on a GPU and blockwise elsewhere")
    parser.add_argument("--loss-chunk", type=int, default=4_096)
    parser.add_argument("--sides", nargs="+", default=list(SIDES), choices=SIDES)
    parser.add_argument("--smoke", action="store_true", help="a tiny network: does everything run?")
    parser.add_argument("--side", default="", help="used by the bench itself")
    options = parser.parse_args()
    if options.smoke:
        options.models, options.lengths, options.tokens, options.rounds = ["smoke"], [64, 128], 256, 2
    if options.side:
        return be(options.side, options)
    print(", ".join(f"{package} {version(package)}" for package in ("jax", "torch", "transformers")), flush=True)
    columns = "model, context, rows, side, remat, tokens/s, step (s), MFU causal, MFU whole, peak (GB), first (s)"
    print(f"\n| {columns.replace(', ', ' | ')} |\n|{'---|' * 11}", flush=True)
    for name, length, side in product(options.models, options.lengths, options.sides):
        print(measure(side, name, length, options), flush=True)


if __name__ == "__main__":
    main()
