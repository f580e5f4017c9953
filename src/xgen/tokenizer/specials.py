"""What the report's tokenizer adds to GPT-2's: 38 runs of whitespace, 18 special tokens, and the size of the table.

Ids      0 .. 50,255  GPT-2's byte pairs
              50,256  <|endoftext|>, GPT-2's only special token
    50,257 .. 50,286  runs of 31, 30, .. 2 spaces   } ordinary byte pairs: they apply inside the pieces
    50,287 .. 50,294  runs of 9, 8, .. 2 tabs       } of the pre-tokenizer, and a longer run has a lower rank
    50,295 .. 50,312  18 special tokens for code
    50,313 .. 51,199  rows of the embedding without a token, there for a round size
"""

from xgen.core.ledger import fingerprint

END_OF_TEXT = 50_256
NUM_TOKENS = 50_313
NUM_ROWS = 51_200

RANKS_SHA256 = "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930"
"""Of GPT-2's table of byte pairs, as tiktoken itself pins it for r50k_base."""

LONGEST_SPACES, LONGEST_TABS = 31, 9

RUNS = tuple([b" " * n for n in range(LONGEST_SPACES, 1, -1)] + [b"\t" * n for n in range(LONGEST_TABS, 1, -1)])
"""In the order of their ids."""

CODE_SPECIALS = (
    "<fim_prefix>",
    "<fim_middle>",
    "<fim_suffix>",
    "<fim_pad>",
    "<filename>",
    "<gh_stars>",
    "<issue_start>",
    "<issue_comment>",
    "<issue_closed>",
    "<jupyter_start>",
    "<jupyter_text>",
    "<jupyter_code>",
    "<jupyter_output>",
    "<empty_output>",
    "<commit_before>",
    "<commit_msg>",
    "<commit_after>",
    "<reponame>",
)
"""In the order of their ids."""

RUN_RANKS: dict[bytes, int] = {run: END_OF_TEXT + 1 + i for i, run in enumerate(RUNS)}
SPECIALS: dict[str, int] = {"<|endoftext|>": END_OF_TEXT} | {
    name: END_OF_TEXT + 1 + len(RUNS) + i for i, name in enumerate(CODE_SPECIALS)
}

_TABLE = [RANKS_SHA256, [run.decode() for run in RUNS], SPECIALS]
IDENTITY = f"gpt2+{len(RUNS)}+{len(CODE_SPECIALS)}-{fingerprint(_TABLE)}"
"""Names the whole table: part of the fingerprint of everything that holds token ids."""


def unused_name(token: int) -> str:
    """What a row without a token decodes to."""
    return f"<|unused_{token}|>"
