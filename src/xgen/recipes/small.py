"""The plan of XGen-7B at other sizes: same data, same growing contexts, fewer parameters and tokens."""

import dataclasses

from xgen.recipes.schema import Recipe
from xgen.recipes.xgen_7b import XGEN_7B


def _at(name: str, layers: int, dim: int, heads: int, ffn: int, peak: float, batch: int, tokens: int) -> Recipe:
    """Shrink the network and the plan; stages keep their shares of the tokens, the warm-up its share of a plan."""
    whole = sum(stage.tokens for stage in XGEN_7B.stages)
    stages = tuple(
        dataclasses.replace(stage, tokens=round(tokens * stage.tokens / whole), batch_tokens=batch)
        for stage in XGEN_7B.stages
    )
    return dataclasses.replace(
        XGEN_7B,
        name=name,
        model=dataclasses.replace(XGEN_7B.model, num_layers=layers, dim=dim, num_heads=heads, ffn_dim=ffn),
        stages=stages,
        optimizer=dataclasses.replace(XGEN_7B.optimizer, peak_learning_rate=peak, warmup_tokens=tokens // 100),
        execution=dataclasses.replace(XGEN_7B.execution, micro_batch_tokens=16_384),
    )


# 125M: 60M in layers, 66M in the two ends of the vocabulary. Checkpoints are near, so that runs may be short.
SMALL = dataclasses.replace(
    _at("small", 12, 640, 10, 1_728, peak=6e-4, batch=524_288, tokens=500_000_000),
    execution=dataclasses.replace(XGEN_7B.execution, micro_batch_tokens=32_768, checkpoint_every=50, validate_every=50),
)
XGEN_1B = _at("xgen_1b", 22, 2_048, 16, 5_504, peak=4e-4, batch=2_097_152, tokens=100_000_000_000)
XGEN_3B = _at("xgen_3b", 26, 3_072, 24, 8_192, peak=3.5e-4, batch=4_194_304, tokens=300_000_000_000)
