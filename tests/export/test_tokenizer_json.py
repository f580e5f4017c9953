"""The exported tokenizer gives our ids in transformers, and the two near misses do not."""

import json
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tokenizer.texts import mixed_texts
from xgen.export.tokenizer_json import ALPHABET, merges, tokenizer_config, tokenizer_json
from xgen.tokenizer.encoding import decode, encode, encode_with_specials
from xgen.tokenizer.ranks import mergeable_ranks
from xgen.tokenizer.specials import END_OF_TEXT, NUM_ROWS, RUN_RANKS


@cache
def texts() -> list[str]:
    runs = [" " * n for n in range(100)] + ["\t" * n + "x" for n in range(40)]
    return mixed_texts(400) + runs


def load(folder: Path, content: dict[str, Any]) -> Any:
    transformers = pytest.importorskip("transformers")
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config(512)), encoding="utf-8")
    return transformers.AutoTokenizer.from_pretrained(folder)


def num_differing(tokenizer: Any) -> int:
    return sum(tokenizer(text)["input_ids"] != encode_with_specials(text).tolist() for text in texts())


@pytest.mark.parity
def test_transformers_gives_our_ids_and_our_text(tmp_path: Path) -> None:
    tokenizer = load(tmp_path, tokenizer_json())
    assert type(tokenizer).__name__ in ("PreTrainedTokenizerFast", "TokenizersBackend")
    assert num_differing(tokenizer) == 0
    for text in texts():
        ids = tokenizer(text, split_special_tokens=True)["input_ids"]
        assert ids == encode(text).tolist()
        assert tokenizer.decode(ids) == text
    assert len(tokenizer) == NUM_ROWS
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.model_max_length) == (50_256, 50_256, 512)
    for token in range(0, NUM_ROWS, 7):
        assert tokenizer.decode([token]) == decode([token])


@pytest.mark.parity
def test_a_tokenizer_without_the_ladder_differs(tmp_path: Path) -> None:
    content = tokenizer_json()
    content["model"] |= {"merges": content["model"]["merges"][:50_000], "ignore_merges": True}
    assert num_differing(load(tmp_path, content)) > 100


@pytest.mark.parity
def test_a_tokenizer_with_runs_as_added_tokens_differs(tmp_path: Path) -> None:
    content = tokenizer_json()
    content["model"]["merges"] = content["model"]["merges"][:50_000]
    content["added_tokens"] = sorted(
        content["added_tokens"]
        + [
            {**content["added_tokens"][0], "id": rank, "content": run.decode(), "special": False}
            for run, rank in RUN_RANKS.items()
        ],
        key=lambda token: token["id"],
    )
    vocab = content["model"]["vocab"]
    content["model"]["vocab"] = {token: rank for token, rank in vocab.items() if rank <= 50_256}
    assert num_differing(load(tmp_path, content)) > 100


def test_the_merges_are_gpt2s_and_the_ladder() -> None:
    start = time.process_time()
    found = merges(mergeable_ranks())
    assert time.process_time() - start < 3
    assert len(found) == 50_038
    assert found[:6] == [(b" ", b"t"), (b" ", b"a"), (b"h", b"e"), (b"i", b"n"), (b"r", b"e"), (b"o", b"n")]
    assert [left + right for left, right in found] == [token for token in mergeable_ranks() if len(token) > 1], (
        "one merge for each token, in the order of the ranks"
    )
    assert all(len(left) == len(run) - 1 for (left, _), run in zip(found[50_000:], RUN_RANKS, strict=True))


def test_the_file_names_every_row_once() -> None:
    content = tokenizer_json()
    assert len(content["added_tokens"]) == 906
    ids = {*content["model"]["vocab"].values(), *(token["id"] for token in content["added_tokens"])}
    assert ids == set(range(NUM_ROWS))


def as_tokenizer(content: dict[str, Any]) -> Any:
    return pytest.importorskip("tokenizers").Tokenizer.from_str(json.dumps(content))


@pytest.mark.slow
@pytest.mark.parity
def test_two_thousand_texts_and_every_character_of_unicode_have_our_ids() -> None:
    tokenizer = as_tokenizer(tokenizer_json())
    many = [*mixed_texts(2_000), *texts()]
    assert len(many) > 2_000
    scalars = [chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    many += [
        "".join(f"a{c}b  {c} {c}{c}1{c}.{c}  z" for c in scalars[at : at + 500]) for at in range(0, len(scalars), 500)
    ]
    for text in many:
        assert tokenizer.encode(text).ids == encode_with_specials(text).tolist(), text[:40]


@pytest.mark.slow
@pytest.mark.parity
def test_every_token_has_our_bytes_and_streams_as_our_text() -> None:
    tokenizer = as_tokenizer(tokenizer_json())
    names = {rank: token for token, rank in mergeable_ranks().items()}
    written = {token: name for name, token in tokenizer.get_vocab().items()}
    back = {chr(character): byte for byte, character in ALPHABET.items()}
    for token in range(50_295):
        name = written[token]
        expected = names.get(token, b"<|endoftext|>")
        assert bytes(back.get(letter, ord(letter)) for letter in name) == expected
    for text in ("x != y ,  z", "-" * 64, " " * 31 + "x", "héllo 🤖 日本語", "\n\t\tif a != b:\n"):
        stream = pytest.importorskip("tokenizers").decoders.DecodeStream(skip_special_tokens=False)
        ids = tokenizer.encode(text).ids
        assert "".join(piece for token in ids if (piece := stream.step(tokenizer, token))) == text
        assert ids == encode(text).tolist() and decode(ids) == text


def test_no_token_of_gpt2_is_a_run_of_spaces_or_tabs_and_what_a_text_says_stays_text() -> None:
    of_gpt2 = {token: rank for token, rank in mergeable_ranks().items() if rank < END_OF_TEXT}
    assert not [token for token in of_gpt2 if (len(token) > 1 and not token.strip(b" ")) or token == b"\t\t"]
    ids = encode("a<|endoftext|>b<fim_prefix>c<|unused_50313|>")
    assert END_OF_TEXT not in ids and ids.max() < 50_295
