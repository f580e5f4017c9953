"""The tokenizer as Hugging Face's tokenizer.json, which every engine reads without code of ours.

GPT-2's byte-level BPE with its 50,000 merges and a ladder of 38 more: n spaces are n - 1 spaces and one, n tabs too.
The ladder matters: runs as added tokens would be cut out before the pre-tokenizer looks, and runs without merges
would never be formed next to a line break. Both give other ids than the released tokenizer; the tests show it.
"""

from collections.abc import Mapping
from typing import Any

from xgen.tokenizer.ranks import mergeable_ranks
from xgen.tokenizer.specials import END_OF_TEXT, NUM_ROWS, NUM_TOKENS, SPECIALS, unused_name

# GPT-2 writes bytes as characters: the printable ones of Latin-1 as themselves, the rest as those from U+0100 on.
_PRINTABLE = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
_REST = [byte for byte in range(0x100) if byte not in _PRINTABLE]
ALPHABET = {byte: 0x100 + place for place, byte in enumerate(_REST)}
"""For str.translate, over bytes that were decoded as Latin-1."""


def tokenizer_json() -> dict[str, Any]:
    """Build the content of tokenizer.json.

    Every row of the embedding has a name: the 906 from <|endoftext|> and 50,295 on are special added tokens. By
    default the engines let a text name them, as `encode_with_specials` does; split_special_tokens=True gives `encode`.
    """
    ranks = mergeable_ranks()
    names = {token: name for name, token in SPECIALS.items()}
    names |= {token: unused_name(token) for token in range(NUM_TOKENS, NUM_ROWS)}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": token,
                "content": names[token],
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for token in sorted(names)
        ],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            # Added tokens get the ids after the vocabulary's, so what lies between its ids must stand in it.
            "vocab": {_written(token): rank for token, rank in ranks.items()} | {names[END_OF_TEXT]: END_OF_TEXT},
            "merges": [" ".join(map(_written, merge)) for merge in merges(ranks)],
        },
    }


def tokenizer_config(model_max_length: int) -> dict[str, Any]:
    """Build the content of tokenizer_config.json; `model_max_length` is the context length in tokens.

    The class is named, because without it some versions of transformers guess Llama's, which adds a first token.
    Clean-up would turn "x != y" into "x!= y". No token is for padding: one that is also the end would never be learned.
    """
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": model_max_length,
        "bos_token": "<|endoftext|>",
        "eos_token": "<|endoftext|>",
        "add_bos_token": False,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
    }


def merges(ranks: Mapping[bytes, int]) -> list[tuple[bytes, bytes]]:
    """Recover the merges, in order: what the two last parts of each token are when it is built from its bytes."""
    return [_halves(token, ranks) for token in sorted(ranks, key=ranks.__getitem__) if len(token) > 1]


def _halves(token: bytes, ranks: Mapping[bytes, int]) -> tuple[bytes, bytes]:
    parts = [token[i : i + 1] for i in range(len(token))]
    never = len(ranks) + 1
    while len(parts) > 2:
        candidates = [ranks.get(parts[i] + parts[i + 1], never) for i in range(len(parts) - 1)]
        best = min(candidates)
        assert best < never, f"{token!r} cannot be built by merging"
        at = candidates.index(best)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts[0], parts[1]


def _written(token: bytes) -> str:
    return token.decode("latin-1").translate(ALPHABET)
