"""Tell what a model needs in memory to answer, by calculation: weights in each kind, and the cache of a context.

Run: python examples/memory_of_serving.py, or with --recipe xgen_1b --context 4096. Nothing is loaded.
"""

import argparse

import numpy as np

from xgen.model.config import ModelConfig
from xgen.model.params import Row, shape_of, table
from xgen.recipes.catalog import RECIPES

GIB = 1 << 30
Q4_K, Q6_K, Q8_0 = 4.5 / 8, 6.5625 / 8, 8.5 / 8
"""Bytes of an element in the kinds of llama.cpp, scales included."""
CACHES = {"16 bits": 2.0, "q8_0": Q8_0}


def weight_bytes(config: ModelConfig, kind: str) -> int:
    """Count the bytes of all weights; norms are float32 in every kind."""
    total = 0.0
    for row in table(config):
        shape = shape_of(row, config)
        each = np.prod(shape[row.stacked :])
        for layer in range(config.num_layers if row.stacked else 1):
            total += each * (bytes_of(row, layer, config, kind) if row.decayed else 4)
            if kind == "int8" and row.decayed and row.name != "embed":
                total += 4 * shape[row.stacked]  # a scale a row
    return round(total)


def bytes_of(row: Row, layer: int, config: ModelConfig, kind: str) -> float:
    """Give the bytes of one element; Q4_K_M holds the head, and v and down of half the layers, in six bits."""
    if kind == "Q4_K_M":
        eighth = config.num_layers // 8
        chosen = layer < eighth or layer >= 7 * config.num_layers // 8 or (layer - eighth) % 3 == 2
        return Q6_K if row.name == "head" or (row.name in ("v", "down") and chosen) else Q4_K
    if kind == "int8":
        return 2 if row.name == "embed" else 1
    return {"float32": 4, "bfloat16": 2, "Q8_0": Q8_0}[kind]


def cache_bytes(config: ModelConfig, context_length: int, element: float) -> int:
    """Count keys and values of one row."""
    return round(2 * config.num_layers * config.num_heads * config.head_dim * context_length * element)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="xgen_7b", choices=RECIPES)
    parser.add_argument("--context", type=int, default=0, help="tokens; by default the recipe's longest")
    options = parser.parse_args()
    recipe = RECIPES[options.recipe]
    context = options.context or recipe.context_length
    print(f"{recipe.name}, one row of {context:,} tokens, GiB")
    print(f"{'weights':<10}{'alone':>8}" + "".join(f"{'cache ' + name:>16}" for name in CACHES))
    for kind in ("float32", "bfloat16", "Q8_0", "int8", "Q4_K_M"):
        weights = weight_bytes(recipe.model, kind)
        sums = [weights + cache_bytes(recipe.model, context, element) for element in CACHES.values()]
        print(f"{kind:<10}{weights / GIB:>8.2f}" + "".join(f"{total / GIB:>16.2f}" for total in sums))


if __name__ == "__main__":
    main()
