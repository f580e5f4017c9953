"""Tuning on a CPU: conversations packed and one a row, beside PyTorch with TRL's kind of padding, in one run.

    .venv-test/bin/python bench/instruct.py --layout alpaca --location alpaca.json

All train on the same conversations, batch by batch, in float32 with Adam and clipping, with the loss on responses: ours
in rows of one length, several conversations a row or one, and transformers' LLaMA (SDPA) on batches of `micro_batch`
conversations, each padded to its longest, whose gradients are added up. Each side is a process of its own; rounds
alternate, so that a busy machine is busy for all. Tokens are those of conversations: padding counts for nobody.
"""

import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tyro

from train_step_cpu import MODELS
from xgen.model.config import ModelConfig
from xgen.recipes.catalog import recipe_named
from xgen.tune.config import InstructConfig, InstructionSet
from xgen.tune.rows import Rows, batch_of, members, plan
from xgen.tune.store import open_store, write_store

SIDES = ("xgen packed", "xgen single", "torch padded")


@dataclasses.dataclass(frozen=True)
class Options:
    layout: str
    """An entry of LAYOUTS in tune/layouts.py."""
    location: str
    """The file or folder of conversations."""
    model: str = "tiny"
    """An entry of MODELS in train_step_cpu.py, or a recipe."""
    context_length: int = 512
    batch_conversations: int = 32
    micro_batch: int = 8
    """Conversations that PyTorch pads to one length."""
    rounds: int = 3
    """Steps of each side that are timed, after one that is not."""
    folder: Path = Path()
    side: str = ""
    """Used by the bench itself: be one side, and take a step for each line of the input."""


def config_of(options: Options, rows: str = "packed") -> InstructConfig:
    ours = recipe_named("tiny").instruct
    one = InstructionSet("bench", options.layout, options.location, "not stated", when_long="cut_turns")
    return dataclasses.replace(
        ours,
        datasets=(one,),
        context_length=options.context_length,
        batch_conversations=options.batch_conversations,
        rows=rows,
    )


def ours(shape: ModelConfig, rows: Rows, form: str, options: Options) -> Callable[[int], None]:
    import jax
    import jax.numpy as jnp

    from xgen.model.params import init
    from xgen.train.optimizer import make_optimizer
    from xgen.train.spikes import UNLIMITED
    from xgen.train.step import State, make_step

    config = config_of(options, form)
    planned = plan(rows, config, 0)
    optimizer = make_optimizer(config.optimizer, shape)
    step = make_step(shape, recipe_named("tiny").compute, optimizer, 2_048)
    params = init(shape, jax.random.key(0))
    state = State(params, optimizer.init(params))
    print(f"xgen {form}: {planned.rows_per_batch} rows, {100 * planned.filled:.0f} % filled", file=sys.stderr)

    def run(number: int) -> None:
        nonlocal state
        batch = batch_of(rows, config, 0, number, planned.rows_per_batch)
        state, numbers = step(state, batch, jnp.float32(1e-4), UNLIMITED)
        jax.block_until_ready((state, numbers))

    return run


def peer(shape: ModelConfig, rows: Rows, options: Options) -> Callable[[int], None]:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    rule = recipe_named("tiny").instruct.optimizer
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=shape.vocab_size, hidden_size=shape.dim, intermediate_size=shape.ffn_dim,
            num_hidden_layers=shape.num_layers, num_attention_heads=shape.num_heads, max_position_embeddings=8192,
            tie_word_embeddings=False, use_cache=False, attn_implementation="sdpa",
        )
    )  # fmt: skip
    optimizer = torch.optim.AdamW(
        model.parameters(), 1e-4, (rule.beta1, rule.beta2), rule.epsilon, rule.weight_decay, fused=True
    )

    def padded(numbers: list[int]) -> dict[str, torch.Tensor]:
        each = [rows.conversation(number) for number in numbers]
        longest = max(where.stop - where.start for where in each)
        ids, labels = np.zeros((len(each), longest), np.int64), np.full((len(each), longest), -100)
        mask = np.zeros((len(each), longest), np.int64)
        for b, where in enumerate(each):
            length = where.stop - where.start
            ids[b, :length], mask[b, :length] = rows.ids[where], 1
            labels[b, :length] = np.where(rows.teaches[where], ids[b, :length], -100)
        arrays = {"input_ids": ids, "labels": labels, "attention_mask": mask}
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def run(number: int) -> None:
        chosen = members(rows, config_of(options), 0, number)
        parts = [padded(chosen[at : at + options.micro_batch]) for at in range(0, len(chosen), options.micro_batch)]
        taught = sum(int((part["labels"][:, 1:] != -100).sum()) for part in parts)
        optimizer.zero_grad(set_to_none=True)
        for part in parts:
            model(**part, num_items_in_batch=taught).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), rule.clip_norm)
        optimizer.step()

    return run


def be(options: Options) -> None:
    """Take the step whose number arrives, and answer with seconds."""
    shape = MODELS[options.model] if options.model in MODELS else recipe_named(options.model).model
    rows = open_store(options.folder, options.context_length)
    kind, form = options.side.split()
    step = ours(shape, rows, form, options) if kind == "xgen" else peer(shape, rows, options)
    for line in sys.stdin:
        started = time.perf_counter()
        step(int(line))
        print(json.dumps(time.perf_counter() - started), flush=True)


def compare(options: Options, folder: Path) -> None:
    """Let the sides take turns, and print a line each with its ratio to PyTorch."""
    filters = recipe_named("tiny").data.filters
    write_store(folder, config_of(options), 0, strict=False, documents=lambda: (), about={}, filters=filters)
    rows = open_store(folder, options.context_length)
    flags = [
        f"--{name.replace('_', '-')}={value}"
        for name, value in dataclasses.asdict(dataclasses.replace(options, folder=folder)).items()
        if name != "side"
    ]
    pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    sides = {side: subprocess.Popen([sys.executable, __file__, *flags, "--side", side], **pipe) for side in SIDES}
    found: dict[str, list[float]] = {side: [] for side in SIDES}
    for number in range(options.rounds + 1):
        tokens = sum(int(rows.positions[each]) for each in members(rows, config_of(options), 0, number))
        for side, process in sides.items():
            print(number, file=process.stdin, flush=True)
            found[side].append(tokens / json.loads(process.stdout.readline()))
    for process in sides.values():
        process.stdin.close()
        process.wait()
    speeds = {side: statistics.median(turns[1:]) for side, turns in found.items()}
    for side, speed in speeds.items():
        print(
            f"{options.model}, {options.batch_conversations} conversations of {np.mean(rows.positions):.0f} tokens, "
            f"rows of {options.context_length}: {side:<13} {speed:>8,.0f} tokens/s, "
            f"ratio {speed / speeds['torch padded']:.2f}"
        )


if __name__ == "__main__":
    chosen = tyro.cli(Options, description=__doc__)
    if chosen.side:
        be(chosen)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            compare(chosen, Path(scratch))
