"""The network once more, as slowly and plainly as NumPy allows: float64, one row, one head and one position at a time.

Reads the stacked parameters of the table and nothing else of xgen; tests compare the fast network with it.
"""

from typing import Any

import numpy as np


def norm(x: np.ndarray, weight: np.ndarray, eps: float) -> np.ndarray:
    return np.array([weight * row / np.sqrt(np.dot(row, row) / len(row) + eps) for row in x])


def turn(vector: np.ndarray, position: int, base: float) -> np.ndarray:
    """Rotate the pair (i, i + K/2) of one head at one position by position / base^(2i/K)."""
    half = len(vector) // 2
    turned = np.empty_like(vector)
    for i in range(half):
        angle = position / base ** (2 * i / len(vector))
        a, b = vector[i], vector[i + half]
        turned[i] = a * np.cos(angle) - b * np.sin(angle)
        turned[i + half] = a * np.sin(angle) + b * np.cos(angle)
    return turned


def attention(x: np.ndarray, layer: dict[str, np.ndarray], positions: Any, segments: Any, config: Any) -> np.ndarray:
    size = config.dim // config.num_heads
    heads = []
    for head in range(config.num_heads):
        rows = slice(head * size, (head + 1) * size)
        q, k, v = (x @ layer[name][rows].T for name in "qkv")
        q = np.array([turn(vector, p, config.rope_base) for vector, p in zip(q, positions, strict=True)])
        k = np.array([turn(vector, p, config.rope_base) for vector, p in zip(k, positions, strict=True)])
        read = np.zeros_like(v)
        for i in range(len(x)):
            seen = [j for j in range(i + 1) if segments[j] == segments[i]]
            weights = np.exp(k[seen] @ q[i] / np.sqrt(size))
            read[i] = weights @ v[seen] / weights.sum()
        heads.append(read)
    return np.concatenate(heads, axis=1) @ layer["o"].T


def feed_forward(x: np.ndarray, layer: dict[str, np.ndarray]) -> np.ndarray:
    gate = x @ layer["gate"].T
    return (gate / (1 + np.exp(-gate)) * (x @ layer["up"].T)) @ layer["down"].T


def logits(params: dict[str, np.ndarray], tokens: Any, positions: Any, segments: Any, config: Any) -> np.ndarray:
    """Logits [L, V] of one row."""
    params = {name: np.asarray(value, np.float64) for name, value in params.items()}
    stacked = ("attention_norm", "q", "k", "v", "o", "ffn_norm", "gate", "up", "down")
    x = params["embed"][np.asarray(tokens)]
    for n in range(config.num_layers):
        layer = {name: params[name][n] for name in stacked}
        x = x + attention(norm(x, layer["attention_norm"], config.norm_eps), layer, positions, segments, config)
        x = x + feed_forward(norm(x, layer["ffn_norm"], config.norm_eps), layer)
    return norm(x, params["final_norm"], config.norm_eps) @ params["head"].T
