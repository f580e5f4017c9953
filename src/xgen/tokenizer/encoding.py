"""Text to token ids and back, fast: GPT-2's byte-pair encoding through tiktoken with the report's additions.

`bpe.py` is the definition; a test compares the two. All functions may be called from several threads at once; the
table is built by the first call (about 0.3 s).
"""

import codecs
import functools
import itertools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Integer, UInt16

from xgen.core.errors import UserError
from xgen.tokenizer.ranks import mergeable_ranks
from xgen.tokenizer.specials import END_OF_TEXT, IDENTITY, NUM_ROWS, NUM_TOKENS, SPECIALS, unused_name

if TYPE_CHECKING:
    import tiktoken

# GPT-2's pattern as tiktoken writes it: possessive, so that no run is tried twice; the same pieces.
PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""

# Rust's \s, which leaves out 1c to 1f; Python's takes them.
WHITESPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
SPECIAL_PATTERN = re.compile("(" + "|".join(map(re.escape, SPECIALS)) + ")")

Ids = Sequence[int] | Integer[np.ndarray, "T"]


@functools.cache
def _encoding() -> "tiktoken.Encoding":
    import tiktoken  # 0.1 s that `xgen --help` need not wait for

    return tiktoken.Encoding(
        IDENTITY,
        pat_str=PATTERN,
        mergeable_ranks=mergeable_ranks(),
        special_tokens=SPECIALS,
        explicit_n_vocab=NUM_TOKENS,
    )


@functools.cache
def _token_table() -> list[bytes]:
    encoding = _encoding()
    return [encoding.decode_single_token_bytes(token) for token in range(NUM_TOKENS)] + [
        unused_name(token).encode() for token in range(NUM_TOKENS, NUM_ROWS)
    ]


def encode(text: str) -> UInt16[np.ndarray, "T"]:
    """Turn text that is data into ids: a special token that is written in it stays text.

    Two surrogates that form a pair are the character they stand for, a lone one becomes U+FFFD.
    """
    try:
        return _encoding().encode_to_numpy(text, disallowed_special=()).astype(np.uint16)
    except UnicodeEncodeError:
        return encode(without_surrogates(text))
    except ValueError:
        # tiktoken's regex engine gives up on some 300,000 characters of whitespace before a word.
        parts = _cut_at_long_runs(text)
        if len(parts) == 1:
            raise
        return np.concatenate([encode(part) for part in parts])


def _cut_at_long_runs(text: str, at_least: int = 10_000) -> list[str]:
    """Cut where pieces end anyway: before a run of whitespace, and before its last character, which starts the next."""
    runs = re.finditer(f"[{WHITESPACE}]{{{at_least},}}(?=[^{WHITESPACE}])", text)
    cuts = [0, *(cut for run in runs for cut in (run.start(), run.end() - 1)), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(cuts) if start < end]


def encode_with_specials(text: str) -> UInt16[np.ndarray, "T"]:
    """Turn trusted text into ids: "<|endoftext|>" and the 18 others become the tokens they name."""
    parts = SPECIAL_PATTERN.split(text)
    return np.concatenate(
        [np.array([SPECIALS[part]], np.uint16) if part in SPECIALS else encode(part) for part in parts]
    )


def without_surrogates(text: str) -> str:
    """Join paired surrogates into the character they stand for and replace lone ones by U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def token_bytes(token: int) -> bytes:
    """Return the bytes of one id, which need not be whole characters."""
    return decode_bytes([token])


def decode_bytes(ids: Ids) -> bytes:
    """Return the bytes of `ids`. An id without a token reads "<|unused_50313|>"; one outside the rows is an error."""
    array = np.asarray(ids, dtype=np.int64)
    if array.size and not 0 <= array.min() <= array.max() < NUM_ROWS:
        raise UserError(
            f"token ids from {array.min()} to {array.max()}",
            f"ids from 0 to {NUM_ROWS - 1:,}",
            "Check that the ids come from this tokenizer.",
        )
    table = _token_table()
    return b"".join([table[token] for token in array.tolist()])


def decode(ids: Ids) -> str:
    """Return the text of `ids`; bytes that are not UTF-8 read U+FFFD. Never fails on an id of the model."""
    return decode_bytes(ids).decode("utf-8", "replace")


class ReleasedTokenizer:
    """The functions of this file as an evaluation asks for them (core/protocols.py): text is data."""

    end_of_text = END_OF_TEXT

    def encode(self, text: str) -> list[int]:
        return encode(text).tolist()

    def decode(self, ids: Sequence[int]) -> str:
        return decode(ids)


class StreamDecoder:
    """Decodes ids as they come: whole characters at once, the bytes of an unfinished one when the rest is there."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token: int) -> str:
        """Return the text that `token` completes, which may be empty."""
        return self._decoder.decode(token_bytes(token))

    def finish(self) -> str:
        """Return what is still held back: U+FFFD where a character was left unfinished."""
        return self._decoder.decode(b"", final=True)
