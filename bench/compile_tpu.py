"""Compile the training step for TPUs that are not here, and print what it needs on each chip.

    python bench/compile_tpu.py --topology v4:4x4x4 --context 8192

Needs the extra `plan` (libtpu: the compiler runs on any machine, in minutes) and no accelerator. What does not fit ends
with the compiler's own words. Prints a row of a table: bytes a chip, operations, time to compile.
"""

import argparse
import dataclasses
import os
import time

# The compiler would otherwise ask a cloud machine what it is.
os.environ |= {"TPU_SKIP_MDS_QUERY": "1", "TPU_WORKER_HOSTNAMES": "localhost", "TPU_WORKER_ID": "0"}
os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v4-128")
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
from jax.experimental import topologies

from xgen.core.types import Batch
from xgen.model.params import abstract, count
from xgen.parallel.mesh import CONTEXT, DATA, FSDP, MODEL
from xgen.parallel.rules import placement_of
from xgen.recipes.catalog import recipe_named
from xgen.train.optimizer import make_optimizer
from xgen.train.step import State, make_step, shardings_of


def compiled(options: argparse.Namespace):
    """Lower the recipe's step, its batch and state as they are placed, and compile it for the described slice."""
    recipe = recipe_named(options.recipe)
    config = dataclasses.replace(recipe.model, num_layers=options.layers or recipe.model.num_layers)
    described = topologies.get_topology_desc(options.topology, "tpu", chip_config_name=options.chip_config)
    chips = len(described.devices)
    mesh = topologies.make_mesh(described, (1, chips, 1, 1), (DATA, FSDP, CONTEXT, MODEL))
    placement = placement_of(mesh, "fsdp")
    compute = dataclasses.replace(recipe.compute, attention="splash", remat=options.remat)
    optimizer = make_optimizer(recipe.optimizer, config)
    step = make_step(config, compute, optimizer, options.micro_batch_tokens or options.context, placement)
    rows = options.batch_tokens // options.context

    def placed(shape, where):
        return jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=where)

    shapes = State(params := abstract(config), jax.eval_shape(optimizer.init, params))
    state = jax.tree.map(placed, shapes, shardings_of(config, optimizer, placement))
    ids, weights = (jax.ShapeDtypeStruct((rows, options.context), kind) for kind in (jnp.int32, jnp.float32))
    where = placement.of("row", "position")
    batch = Batch(*(placed(shape, where) for shape in (ids, ids, weights, ids, ids)))
    rate, limits = (jax.ShapeDtypeStruct(shape, jnp.float32, sharding=placement.of()) for shape in ((), (2,)))
    started = time.perf_counter()
    program = step.lower(state, batch, rate, limits).compile()
    return program, config, chips, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="xgen_7b")
    parser.add_argument("--topology", default="v4:4x4x4")
    parser.add_argument("--chip-config", default="megacore")
    parser.add_argument("--context", type=int, default=8_192)
    parser.add_argument("--batch-tokens", type=int, default=4_194_304)
    parser.add_argument("--micro-batch-tokens", type=int, default=0, help="tokens of a pass on a chip; 0 is one row")
    parser.add_argument("--remat", default="full")
    parser.add_argument("--layers", type=int, default=0, help="of a smaller network; 0 is the recipe's")
    options = parser.parse_args()
    program, config, chips, seconds = compiled(options)
    memory = program.memory_analysis()
    sizes = [memory.argument_size_in_bytes, memory.temp_size_in_bytes, memory.generated_code_size_in_bytes]
    print("| recipe | parameters | slice | chips | context | remat | arguments | temporaries | program | compiled in |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    print(
        f"| {options.recipe} | {count(config) / 1e9:.2f}B | {options.topology} | {chips} | {options.context:,} | "
        f"{options.remat} | {' | '.join(f'{size / 1e9:.2f} GB' for size in sizes)} | {seconds:.0f} s |"
    )


if __name__ == "__main__":
    main()
