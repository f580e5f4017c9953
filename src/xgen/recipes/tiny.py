"""The whole pipeline on one laptop CPU, on real text that every machine with Python has: minutes, not days."""

from xgen.data.config import DataConfig, Mixture, Share
from xgen.model.config import ModelConfig
from xgen.recipes.schema import Recipe
from xgen.serve.config import Sampling
from xgen.sources.config import Source
from xgen.train.config import Execution, OptimizerConfig
from xgen.train.stages import Stage
from xgen.tune.config import InstructConfig, InstructionSet

BATCH_TOKENS = 1024

TINY = Recipe(
    name="tiny",
    seed=0,
    # LLaMA's proportions at width 128: heads of 32, a feed-forward of about 8/3; all 51,200 rows of the vocabulary.
    model=ModelConfig(
        num_layers=4,
        dim=128,
        num_heads=4,
        ffn_dim=352,
        vocab_size=51_200,
        norm_eps=1e-6,
        rope_base=10_000.0,
        init_std=0.02,
    ),
    data=DataConfig(
        sources=(
            Source(name="prose", reader="machine_prose", location="", licence="see each document", max_tokens=0),
            Source(name="code", reader="python_code", location="", licence="PSF-2.0 and permissive", max_tokens=0),
        ),
        mixtures=(
            # Table 2 mixes 95.31 % natural language with 4.69 % code; table 3 half and half. A laptop has less
            # prose than code, so stage 1 takes three quarters of it.
            Mixture("stage-1", (Share("prose", 0.75), Share("code", 0.25))),
            Mixture("stage-2", (Share("prose", 0.5), Share("code", 0.5))),
        ),
        min_document_tokens=100,  # section 2
        held_out_documents=224,
        near_duplicate_share=0.5,
    ),
    stages=(
        # Section 3: contexts that double, most tokens at the shortest; stage 2 has rows of the longest only.
        Stage("1a", context_length=128, tokens=196 * BATCH_TOKENS, batch_tokens=BATCH_TOKENS, mixture="stage-1"),
        Stage("1b", context_length=256, tokens=108 * BATCH_TOKENS, batch_tokens=BATCH_TOKENS, mixture="stage-1"),
        Stage("1c", context_length=512, tokens=56 * BATCH_TOKENS, batch_tokens=BATCH_TOKENS, mixture="stage-1"),
        Stage("2", context_length=512, tokens=33 * BATCH_TOKENS, batch_tokens=BATCH_TOKENS, mixture="stage-2"),
    ),
    optimizer=OptimizerConfig(
        peak_learning_rate=3e-3,
        final_fraction=0.1,
        warmup_tokens=20_000,
        beta1=0.9,
        beta2=0.95,
        epsilon=1e-8,
        weight_decay=0.1,
        clip_norm=1.0,
    ),
    precision="float32",
    instruct=InstructConfig(
        name="tasks",
        datasets=(
            InstructionSet(
                "tasks", "tasks_from_source", location="", licence="see each document", max_conversations=128
            ),
        ),
        template="report",
        context_length=192,
        batch_conversations=8,
        epochs=1,
        # Section 4: Adam 0.9/0.99, cosine to a tenth.
        optimizer=OptimizerConfig(
            peak_learning_rate=5e-4,
            final_fraction=0.1,
            warmup_tokens=4_096,
            beta1=0.9,
            beta2=0.99,
            epsilon=1e-8,
            weight_decay=0.0,
            clip_norm=1.0,
        ),
    ),
    sampling=Sampling(temperature=0.8, top_p=0.95, max_new_tokens=48, seed=0),
    execution=Execution(
        attention="blockwise",
        attention_block=128,
        loss_chunk=512,
        micro_batch_tokens=BATCH_TOKENS,
        remat="none",
        checkpoint_every=80,
        validate_every=56,
        validation_documents=16,
    ),
)
