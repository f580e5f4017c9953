"""The whole pipeline in seconds, on a small corpus that the project itself wrote: for end-to-end and kill tests."""

import dataclasses

from xgen.data.config import DataConfig, Mixture, Share
from xgen.recipes.tiny import TINY
from xgen.sources.config import Source
from xgen.train.stages import Stage

BATCH_TOKENS = 256
OPTIMIZER = dataclasses.replace(TINY.optimizer, peak_learning_rate=3e-3, warmup_tokens=3 * BATCH_TOKENS)

MICRO = dataclasses.replace(
    TINY,
    name="micro",
    model=dataclasses.replace(TINY.model, num_layers=2, dim=32, num_heads=2, ffn_dim=88),
    data=DataConfig(
        sources=(
            Source(name="prose", reader="own_prose", location="", licence="Apache-2.0", max_tokens=0),
            Source(name="code", reader="own_code", location="", licence="Apache-2.0", max_tokens=0),
        ),
        mixtures=(
            Mixture("stage-1", (Share("prose", 0.9), Share("code", 0.1))),
            Mixture("stage-2", (Share("prose", 0.5), Share("code", 0.5))),
        ),
        min_document_tokens=100,
        held_out_documents=8,
        near_duplicate_share=0.5,
    ),
    stages=(
        Stage("1a", context_length=64, tokens=8 * BATCH_TOKENS, batch_tokens=BATCH_TOKENS, mixture="stage-1"),
        Stage("1b", context_length=128, tokens=6 * BATCH_TOKENS, batch_tokens=BATCH_TOKENS, mixture="stage-1"),
        Stage("2", context_length=128, tokens=4 * BATCH_TOKENS, batch_tokens=BATCH_TOKENS, mixture="stage-2"),
    ),
    optimizer=OPTIMIZER,
    # Rows, betas and decay of the last stages, not section 4's, which the other recipes take: tuning then runs a
    # program that pre-training has compiled.
    instruct=dataclasses.replace(
        TINY.instruct,
        context_length=128,
        batch_conversations=2,
        datasets=(dataclasses.replace(TINY.instruct.datasets[0], max_conversations=8),),
        optimizer=dataclasses.replace(OPTIMIZER, peak_learning_rate=5e-4, warmup_tokens=512),
    ),
    sampling=dataclasses.replace(TINY.sampling, max_new_tokens=6),
    execution=dataclasses.replace(
        TINY.execution,
        attention_block=128,
        loss_chunk=256,
        micro_batch_tokens=BATCH_TOKENS,
        checkpoint_every=5,
        compile_level=1,
        validate_every=0,
    ),
)
