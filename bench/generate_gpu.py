"""Decoding of the 7B shape on a GPU: tokens a second and share of the measured memory bandwidth, bf16 and int8.

Run: PYTHONPATH=src python bench/generate_gpu.py. Random weights, made in their final storage. For batches of 1, 8 and
32 and contexts of 128 and about 8,192 places. First of all a whole request in int8, prompt and answer filling the
context: seconds, and the peak memory in GiB, which a card of 16 GB must have.
"""

import argparse
import time

import jax
import jax.numpy as jnp

from xgen.model.cache import empty
from xgen.model.config import Compute
from xgen.model.params import Layered, shape_of, table
from xgen.model.products import Int8
from xgen.recipes.catalog import RECIPES
from xgen.serve.config import Sampling, Stops
from xgen.serve.decoding import Ends, State, decode
from xgen.serve.engine import Engine
from xgen.serve.sampler import Knobs, row_keys

COMPUTE = Compute("bfloat16_matmuls", "definition", attention_block=512, loss_chunk=512, remat="none")
GREEDY = Knobs(jnp.float32(0), jnp.float32(1), jnp.int32(0), jnp.float32(1))
GIB = 1 << 30


def bandwidth(elements: int) -> float:
    """Measure bytes a second of reading and writing so many numbers of four bytes."""
    x = jnp.ones(elements, jnp.float32)
    add = jax.jit(lambda x: x + 1)
    add(x).block_until_ready()
    start = time.perf_counter()
    for _ in range(10):
        y = add(x)
    y.block_until_ready()
    return 10 * 2 * x.nbytes / (time.perf_counter() - start)


def random_weights(config, storage: str) -> Layered:
    """Draw weights of which no float32 copy ever exists."""
    keys = iter(jax.random.split(jax.random.key(0), 1_000))

    def one(row):
        shape = shape_of(row, config)[row.stacked :]
        if not row.decayed:
            return jnp.ones(shape, jnp.float32)
        if storage == "int8" and row.name != "embed":
            values = jax.random.randint(next(keys), shape, -127, 128, jnp.int8)
            return Int8(values, jnp.full(shape[0], 0.02 / 73, jnp.float32))
        return jax.random.normal(next(keys), shape, jnp.bfloat16) * 0.02

    rows = table(config)
    whole = {row.name: one(row) for row in rows if not row.stacked}
    return Layered(whole, tuple({row.name: one(row) for row in rows if row.stacked} for _ in range(config.num_layers)))


def request(weights: Layered, config, context_length: int, num_new: int) -> float:
    """Return the seconds of one request that fills the context, prompt and answer; it is compiled before."""
    engine = Engine("bench", weights, config, COMPUTE, context_length)
    prompt = [1 + place % 50_000 for place in range(context_length - num_new)]
    sampling = Sampling(temperature=0.0, top_p=1.0, max_new_tokens=num_new, seed=0)
    seconds = 0.0
    for _ in range(2):
        start = time.perf_counter()
        [found] = engine.sample([prompt], sampling, Stops(ids=()))
        seconds = time.perf_counter() - start
        assert len(found.tokens) == num_new
    return seconds


def measure(weights: Layered, config, num_rows: int, places: int, steps: int) -> tuple[float, int]:
    """Return seconds a step with the cache all but full, and bytes that a step must read."""
    cache = empty(config, num_rows, places, COMPUTE.precision, None)
    start_at = places - 2 * steps - 1
    numbers = jnp.arange(num_rows, dtype=jnp.uint32)
    state = State(
        cache,
        jnp.ones((num_rows, places), jnp.int32),
        jnp.zeros((num_rows, places), jnp.float32),
        jnp.full(num_rows, start_at, jnp.int32),
        jnp.zeros(num_rows, bool),
    )
    read = sum(array.nbytes for array in jax.tree.leaves((weights, cache))) - weights.whole["embed"].nbytes
    ends, keys = Ends(jnp.full(num_rows, places, jnp.int32), jnp.full(8, -1, jnp.int32)), row_keys(0, numbers, numbers)
    seconds = 0.0
    for _ in range(2):  # the first compiles
        start = time.perf_counter()
        state = decode(weights, state, keys, GREEDY, ends, jnp.int32(steps), config, COMPUTE)
        state.tokens_BT.block_until_ready()
        seconds = time.perf_counter() - start
    return seconds / steps, read


def peak_gib(device: jax.Device) -> float:
    """Tell the most that the device has held; 0 where it does not count, as a CPU."""
    return (device.memory_stats() or {}).get("peak_bytes_in_use", 0) / GIB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="xgen_7b")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--places", type=int, nargs="+", default=[128, 8_192])
    parser.add_argument("--bandwidth-elements", type=int, default=1 << 29)
    options = parser.parse_args()
    config, device = RECIPES[options.recipe].model, jax.devices()[0]
    peak = bandwidth(options.bandwidth_elements)
    print(f"{device.device_kind}: {peak / 1e9:,.0f} GB/s measured")
    for storage in ("int8", "bfloat16"):
        weights = random_weights(config, storage)
        if storage == "int8":  # first, because a peak is that of the process
            seconds = request(weights, config, max(options.places), options.steps)
            print(
                f"     int8 request of {max(options.places):,} tokens: {seconds:.2f} s, peak {peak_gib(device):.2f} GiB"
            )
        for places in options.places:
            for num_rows in options.rows:
                try:
                    seconds, read = measure(weights, config, num_rows, places, options.steps)
                except jax.errors.JaxRuntimeError as error:
                    print(f"{storage:>9} {num_rows:>3} rows of {places:>5}: {str(error).splitlines()[0][:80]}")
                    continue
                print(
                    f"{storage:>9} {num_rows:>3} rows of {places:>5}: {num_rows / seconds:8.1f} tokens/s, "
                    f"{read / seconds / peak:5.1%} of bandwidth, peak {peak_gib(device):.2f} GiB"
                )


if __name__ == "__main__":
    main()
