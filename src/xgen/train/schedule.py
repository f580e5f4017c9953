"""The learning rate over tokens: linear warm-up, then a cosine over the whole plan, not over each stage."""

import math

from xgen.train.config import OptimizerConfig


def learning_rate(config: OptimizerConfig, tokens_seen: int, total_tokens: int) -> float:
    """Give the rate of the step after which `tokens_seen` tokens have been trained.

    It rises in proportion to the tokens until `warmup_tokens`, and falls along half a cosine to
    `final_fraction` of the peak, which the last step reaches exactly.
    """
    if tokens_seen < config.warmup_tokens:
        return config.peak_learning_rate * tokens_seen / config.warmup_tokens
    span = max(total_tokens - config.warmup_tokens, 1)
    progress = min((tokens_seen - config.warmup_tokens) / span, 1.0)
    cosine = 0.5 * (1.0 + math.cos(math.pi * progress))
    return config.peak_learning_rate * (config.final_fraction + (1.0 - config.final_fraction) * cosine)
