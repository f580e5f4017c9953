"""Tokens a second of our generation beside Hugging Face's `generate`, and llama.cpp's if installed, on one model.

Run: PYTHONPATH=src python bench/generate_cpu.py. One run exports a small model with random weights, loads the same
files everywhere, and times 128 new tokens after a prompt of 64, greedy, each engine in turn, three times. Float32.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from xgen.export.gguf import write_gguf
from xgen.export.huggingface import Release, read_folder, write_folder
from xgen.export.verify import Proof
from xgen.model.config import Compute, ModelConfig
from xgen.model.params import init
from xgen.model.transformer import forward
from xgen.serve.config import Sampling, Stops
from xgen.serve.engine import Engine

CONFIG = ModelConfig(4, 256, 8, 768, 51_200, 1e-6, 10_000.0, 0.05)
COMPUTE = Compute("float32", "definition", attention_block=64, loss_chunk=64, remat="none")
CONTEXT, PROMPT, NEW = 512, 64, 128


def exported(root: Path) -> Path:
    """Write the model as a Hugging Face folder and as GGUF."""
    params = init(CONFIG, jax.random.key(0))
    tokens = np.arange(20, dtype=np.int32)
    logits = np.asarray(forward(params, jnp.asarray(tokens)[None], CONFIG, COMPUTE)[0])
    arrays = {name: np.asarray(value) for name, value in params.items()}
    write_folder(root / "model", CONFIG, arrays, Release(CONTEXT, "# bench\n", ""), Proof(tokens, logits, 1e-3))
    write_gguf(root / "model.gguf", CONFIG, arrays, CONTEXT, "f32")
    return root / "model"


def ours(folder: Path, prompts: list[list[int]], storage: str) -> Callable[[], list[list[int]]]:
    """Generate with xgen."""
    config, arrays, context = read_folder(folder)
    params = {name: jnp.asarray(value) for name, value in arrays.items()}
    engine = Engine("bench", params, config, COMPUTE, context, storage=storage)
    sampling = Sampling(temperature=0.0, top_p=1.0, max_new_tokens=NEW, seed=0)
    return lambda: [list(one.tokens) for one in engine.sample(prompts, sampling, Stops(ids=()))]


def hugging_face(folder: Path, prompts: list[list[int]]) -> Callable[[], list[list[int]]]:
    """Generate with transformers, as its documentation shows."""
    import torch
    import transformers

    torch.set_num_threads(2)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokens = torch.tensor(prompts)

    def run() -> list[list[int]]:
        with torch.inference_mode():
            found = model.generate(
                tokens,
                attention_mask=torch.ones_like(tokens),
                max_new_tokens=NEW,
                min_new_tokens=NEW,
                do_sample=False,
                pad_token_id=0,
            )
        return found[:, PROMPT:].tolist()

    return run


def llama_cpp(folder: Path, prompts: list[list[int]]) -> Callable[[], list[list[int]]] | None:
    """Generate with llama.cpp's Python binding; None where it is not installed. One row at a time."""
    try:
        import llama_cpp
    except ModuleNotFoundError:
        return None
    model = llama_cpp.Llama(
        str(folder.with_suffix(".gguf")), n_ctx=CONTEXT, n_threads=2, type_k=0, type_v=0, verbose=False
    )

    def one(prompt: list[int]) -> list[int]:
        model.reset()
        stream = model.generate(prompt, temp=0.0, repeat_penalty=1.0)
        return [token for token, _ in zip(stream, range(NEW), strict=False)]

    return lambda: [one(prompt) for prompt in prompts]


def lookup(folder: Path) -> None:
    """Time prompt lookup beside plain greedy where a continuation repeats itself, as quotes of a prompt do."""
    config, arrays, context = read_folder(folder)
    params = {name: jnp.asarray(value) for name, value in arrays.items()}
    # A network whose next token is one more than the last, modulo 32: it quotes what it has said before.
    head = jnp.zeros_like(params["head"]).at[:32].set(jnp.roll(params["embed"][:32], 1, axis=0))
    engine = Engine(
        "circle", params | {"head": head, "o": params["o"] * 0, "down": params["down"] * 0}, config, COMPUTE, context
    )
    prompt = [place % 32 for place in range(PROMPT)]
    sampling = Sampling(temperature=0.0, top_p=1.0, max_new_tokens=NEW, seed=0)
    times: dict[str, list[float]] = {"plain": [], "lookup": []}
    passes = 0
    for _ in range(6):
        start = time.perf_counter()
        [plain] = engine.sample([prompt], sampling, Stops())
        times["plain"].append(time.perf_counter() - start)
        start = time.perf_counter()
        [quoted], passes = engine.by_lookup([prompt], NEW)
        times["lookup"].append(time.perf_counter() - start)
        assert quoted.tokens == plain.tokens
    plain_s, lookup_s = (statistics.median(values[1:]) for values in times.values())
    print(f"prompt lookup: {NEW} tokens in {passes} passes, {plain_s / lookup_s:.1f} times as fast as plain greedy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args()
    prompts = np.random.default_rng(0).integers(0, 50_000, (options.rows, PROMPT)).tolist()
    with tempfile.TemporaryDirectory() as root:
        folder = exported(Path(root))
        engines = {
            "xgen f32": ours(folder, prompts, "float32"),
            "xgen int8": ours(folder, prompts, "int8"),
            "Hugging Face": hugging_face(folder, prompts),
            "llama.cpp": llama_cpp(folder, prompts),
        }
        seconds: dict[str, list[float]] = {}
        first = {name: run() for name, run in engines.items() if run}  # also compiles
        for _ in range(options.times):
            for name, run in engines.items():
                if run:
                    start = time.perf_counter()
                    run()
                    seconds.setdefault(name, []).append(time.perf_counter() - start)
        lookup(folder)
        for name, times in seconds.items():
            rate = options.rows * NEW / statistics.median(times)
            same = sum(a == b for a, b in zip(first[name], first["xgen f32"], strict=True))
            print(f"{name:>14}  {rate:8.1f} tokens/s  {same} of {options.rows} rows as xgen f32")


if __name__ == "__main__":
    main()
