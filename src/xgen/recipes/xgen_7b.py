"""XGen-7B as the report states it. The plan and the shape; docs/decisions tells where the report leaves a choice."""

from xgen.data.config import DataConfig, Mixture, Share
from xgen.model.config import ModelConfig
from xgen.recipes.schema import Recipe
from xgen.recipes.starcoder import LANGUAGES
from xgen.serve.config import Sampling
from xgen.sources.config import Source
from xgen.train.config import Execution, OptimizerConfig
from xgen.train.stages import Stage
from xgen.tune.config import InstructConfig, InstructionSet

BATCH_TOKENS = 4_194_304  # LLaMA's 4M, as whole rows at every length
PRIVATE = ("pii", "secrets")  # section 2 asks for safety without a rule: docs/decisions/0026

WEB = ("boilerplate", "language", "quality", "repetition", *PRIVATE)
# Books, answers and encyclopedias were written to be read: rules for the web fit them badly.
TEXT = ("language", *PRIVATE)

STAGE_1: tuple[tuple[float, str, str, str, tuple[str, ...]], ...] = (
    # Table 2, whose two lines (95.31 % natural language, 4.69 % code) the authors' account of the release breaks into
    # these ten: billions of tokens as they were read, repetitions counted.
    (879.37, "redpajama-common-crawl", "redpajama", "see each document", WEB),
    (62.44, "redpajama-github", "redpajama", "see each document", ("licence", "code", *PRIVATE)),
    (65.18, "redpajama-books", "redpajama", "see each document", TEXT),
    (63.32, "redpajama-arxiv", "redpajama", "see each document", PRIVATE),
    (21.38, "redpajama-stackexchange", "redpajama", "CC-BY-SA-4.0", TEXT),
    (191.50, "c4", "files", "ODC-By-1.0", WEB),
    (19.52, "wikipedia-en", "wikipedia", "CC-BY-SA-3.0", TEXT),
    (62.04, "wikipedia-other", "wikipedia", "CC-BY-SA-3.0", TEXT),  # 21 languages
    (7.68, "dm-mathematics", "files", "Apache-2.0", ()),
    (2.09, "apex", "source_tree", "see each document", ("licence", "code", *PRIVATE)),
)
STARCODER = Source(
    name="starcoder",
    reader="starcoderdata",
    location="sources/starcoderdata",
    licence="not stated",
    max_tokens=0,
    licences="sources/the-stack-licences",  # rows carry none: joined by their id
    filters=("strict-licence", "code", *PRIVATE),
    folders=LANGUAGES,  # section 2: "preserving the original weight of each"
)


def _source(name: str, reader: str, licence: str, filters: tuple[str, ...]) -> Source:
    """Read a row of table 2, in which books, arXiv and Wikipedia count more than once: what is short repeats."""
    return Source(name, reader, f"sources/{name}", licence, max_tokens=0, when_short="repeat", filters=filters)


XGEN_7B = Recipe(
    name="xgen_7b",
    seed=0,
    # Section 3 and the released config: LLaMA-7B with 51,200 rows; 6,895,702,016 parameters.
    model=ModelConfig(
        num_layers=32,
        dim=4096,
        num_heads=32,
        ffn_dim=11_008,
        vocab_size=51_200,
        norm_eps=1e-6,
        rope_base=10_000.0,
        init_std=0.02,
    ),
    data=DataConfig(
        sources=(*(_source(*row[1:]) for row in STAGE_1), STARCODER),
        mixtures=(
            Mixture("stage-1", tuple(Share(name, tokens) for tokens, name, _, _, _ in STAGE_1)),
            # Table 3: 55B of stage-1 data, a second draw of it, and 55B of StarCoder's.
            Mixture(
                "stage-2",
                (
                    *(Share(name, 55 * tokens / 1374.52, "again") for tokens, name, _, _, _ in STAGE_1),
                    Share(STARCODER.name, 55.0),
                ),
            ),
        ),
        min_document_tokens=100,  # section 2
        held_out_documents=1_000,
        near_duplicate_share=0.5,
        duplicate_similarity=0.8,  # the report does not say; usual for text of the web
    ),
    stages=(
        # Section 3: 800B at 2K, 400B at 4K, 300B at 8K. Tables 2 and 3 give the last as 174.52B and 110B.
        Stage("1a", context_length=2_048, tokens=800_000_000_000, batch_tokens=BATCH_TOKENS, mixture="stage-1"),
        Stage("1b", context_length=4_096, tokens=400_000_000_000, batch_tokens=BATCH_TOKENS, mixture="stage-1"),
        Stage("1c", context_length=8_192, tokens=174_520_000_000, batch_tokens=BATCH_TOKENS, mixture="stage-1"),
        Stage("2", context_length=8_192, tokens=110_000_000_000, batch_tokens=BATCH_TOKENS, mixture="stage-2"),
    ),
    # LLaMA-7B's values; 2,000 warm-up steps.
    optimizer=OptimizerConfig(
        peak_learning_rate=3e-4,
        final_fraction=0.1,
        warmup_tokens=2_000 * BATCH_TOKENS,
        beta1=0.9,
        beta2=0.95,
        epsilon=1e-8,
        weight_decay=0.1,
        clip_norm=1.0,
    ),
    precision="bfloat16_matmuls",  # section 3
    instruct=InstructConfig(
        # Data of one's own; section 4's two are `xgen_7b+wizardlm` and `xgen_7b+general`.
        name="messages",
        datasets=(InstructionSet("messages", "messages", "tuning/messages", "not stated"),),
        template="report",
        context_length=8_192,
        batch_conversations=128,
        epochs=3,
        optimizer=OptimizerConfig(
            peak_learning_rate=2e-5,
            final_fraction=0.1,
            warmup_tokens=0,
            beta1=0.9,
            beta2=0.99,
            epsilon=1e-8,
            weight_decay=0.0,
            clip_norm=1.0,
        ),  # section 4
    ),
    sampling=Sampling(temperature=0.2, top_p=0.95, max_new_tokens=512, seed=0),
    execution=Execution(
        attention="blockwise",
        attention_block=512,
        loss_chunk=4_096,
        micro_batch_tokens=8_192,
        remat="full",
        checkpoint_every=500,
        validate_every=500,
        validation_documents=256,
    ),
)
