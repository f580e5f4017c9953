"""The fast tokenizer against the released one's vectors and against the definition."""

import gzip
import threading

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tokenizer.texts import adversarial_text, library_sources
from xgen.core.errors import UserError
from xgen.tokenizer import bpe, encoding, ranks, specials
from xgen.tokenizer.encoding import StreamDecoder, decode, decode_bytes, encode, encode_with_specials, token_bytes

# Measured with the released tokenizer.
RELEASED = {
    "The world is": [464, 995, 318],
    "  ": [50286],
    "   ": [50285],
    "  x": [220, 2124],
    "a  b": [64, 220, 275],
    "x  ": [87, 50286],
    "x   ": [87, 50285],
    " " * 31: [50257],
    " " * 32: [50257, 220],
    " " * 33: [50257, 50286],
    " " * 40: [50257, 50279],
    " " * 62: [50257, 50257],
    " " * 63: [50257, 50257, 220],
    " " * 64: [50257, 50257, 50286],
    "\t" * 9: [50287],
    "\t" * 10: [50287, 197],
    "\t" * 11 + "x": [50287, 197, 197, 87],
    "\t\tx": [197, 197, 87],
    "\t\t\tx": [50294, 197, 87],
    "\t\treturn x": [197, 197, 7783, 2124],
    "    return x": [50285, 1441, 2124],
    "        y": [50281, 331],
    "\n\n": [628],
    "\n    x": [198, 50285, 2124],
    "a\n        b": [64, 198, 50281, 275],
    "  \n  y": [50286, 198, 220, 331],
    "x\n\n\n\ny": [87, 628, 198, 198, 88],
    " \t \t": [220, 197, 220, 197],
    "def f(x):\n    return x\n": [4299, 277, 7, 87, 2599, 198, 50285, 1441, 2124, 198],
    "if x:\n        y = 1\n        z = 2\n": [
        361,
        2124,
        25,
        198,
        50281,
        331,
        796,
        352,
        198,
        50281,
        1976,
        796,
        362,
        198,
    ],
    "class A {\n\tvoid f() {\n\t\treturn;\n\t}\n}\n": [
        4871,
        317,
        1391,
        198,
        197,
        19382,
        277,
        3419,
        1391,
        198,
        197,
        197,
        7783,
        26,
        198,
        197,
        92,
        198,
        92,
        198,
    ],
    "héllo 🤖 世界": [71, 2634, 18798, 12520, 97, 244, 220, 10310, 244, 45911, 234],
    "12345": [10163, 2231],
    "don't": [9099, 470],
    "I'LL": [40, 6, 3069],
}
RELEASED_SPECIALS = {
    "<|endoftext|>": [50256],
    "hello<fim_pad>": [31373, 50298],
    "<fim_prefix>a<fim_suffix>b<fim_middle>": [50295, 64, 50297, 65, 50296],
}
CODE_SPECIALS_BY_ID = {
    50295: "<fim_prefix>",
    50296: "<fim_middle>",
    50297: "<fim_suffix>",
    50298: "<fim_pad>",
    50299: "<filename>",
    50300: "<gh_stars>",
    50301: "<issue_start>",
    50302: "<issue_comment>",
    50303: "<issue_closed>",
    50304: "<jupyter_start>",
    50305: "<jupyter_text>",
    50306: "<jupyter_code>",
    50307: "<jupyter_output>",
    50308: "<empty_output>",
    50309: "<commit_before>",
    50310: "<commit_msg>",
    50311: "<commit_after>",
    50312: "<reponame>",
}
ADVERSARIAL = {
    "100,000 spaces": " " * 100_000,
    "100,000 spaces and a word": " " * 100_000 + "x",
    "one letter": "a" * 20_000,
    "deep indentation": "".join(" " * n + f"x{n}\n" for n in range(200)),
    "deep tabs": "".join("\t" * n + "x\r\n" for n in range(60)),
    "line breaks": "\r\n" * 500 + "\n" * 500 + "x",
    "combining marks": "e" + "\u0301" * 300,
    "emoji": "👩\u200d👩\u200d👧🇩🇪🤖" * 50,
    "bytes of ÿ": "ÿ" * 1_000,
    "rules": "=" * 3_000 + "-" * 777,
}


@pytest.mark.parametrize("text", RELEASED)
def test_the_fast_and_the_slow_encoder_give_the_released_ids(text: str) -> None:
    assert encode(text).tolist() == RELEASED[text]
    assert bpe.encode(text) == RELEASED[text]


@pytest.mark.parametrize("text", RELEASED_SPECIALS)
def test_specials_become_tokens_only_where_they_are_allowed(text: str) -> None:
    assert encode_with_specials(text).tolist() == bpe.encode_with_specials(text) == RELEASED_SPECIALS[text]
    as_data = encode(text).tolist()
    assert as_data == bpe.encode(text)
    assert not set(as_data) & set(specials.SPECIALS.values())
    assert decode(as_data) == text


def test_the_table_has_the_released_sizes_and_names() -> None:
    assert len(ranks.mergeable_ranks()) + len(specials.SPECIALS) == specials.NUM_TOKENS == 50_313
    assert sorted([*ranks.mergeable_ranks().values(), *specials.SPECIALS.values()]) == list(range(50_313))
    assert {token: name for name, token in specials.SPECIALS.items()} == {50_256: "<|endoftext|>"} | CODE_SPECIALS_BY_ID
    assert specials.NUM_ROWS == 51_200 <= np.iinfo(np.uint16).max
    assert specials.IDENTITY == "gpt2+38+18-2f0f21052a", "every prepared file names this table: never change it"


@pytest.mark.parametrize("n", range(1, 140))
def test_runs_are_cut_from_the_left(n: int) -> None:
    spaces = [50_257] * (n // 31) + ([] if n % 31 == 0 else [220] if n % 31 == 1 else [50_288 - n % 31])
    tabs = [50_287] * (n // 9) + ([] if n % 9 == 0 else [197] if n % 9 == 1 else [50_296 - n % 9])
    assert encode(" " * n).tolist() == bpe.encode(" " * n) == spaces
    assert encode("\t" * n).tolist() == bpe.encode("\t" * n) == tabs


@settings(deadline=None, max_examples=400)
@given(adversarial_text)
@example("\ud83e\udd16 \ud800x\udc00")
def test_the_fast_encoder_gives_what_the_definition_gives(text: str) -> None:
    assert encode(text).tolist() == bpe.encode(text)
    assert encode_with_specials(text).tolist() == bpe.encode_with_specials(text)


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_the_two_encoders_agree_on_adversarial_text(name: str) -> None:
    assert encode(ADVERSARIAL[name]).tolist() == bpe.encode(ADVERSARIAL[name])


def test_the_two_encoders_agree_on_the_standard_library() -> None:
    for source in library_sources(12):
        ids = encode(source)
        assert ids.tolist() == bpe.encode(source)
        assert decode(ids) == source


def merged_by_the_book(piece: bytes, table: dict[bytes, int]) -> list[int]:
    parts = [bytes([byte]) for byte in piece]
    while len(parts) > 1:
        rank, at = min((table.get(parts[i] + parts[i + 1], 1 << 30), i) for i in range(len(parts) - 1))
        if rank == 1 << 30:
            break
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return [table[part] for part in parts]


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.binary(max_size=40), st.text(" \t\nabe", max_size=80).map(str.encode)))
def test_merging_with_a_heap_is_merging_by_the_book(piece: bytes) -> None:
    assert bpe.merge(piece, ranks.mergeable_ranks()) == merged_by_the_book(piece, ranks.mergeable_ranks())


@settings(deadline=None, max_examples=300)
@given(adversarial_text)
def test_text_survives_the_round_trip(text: str) -> None:
    assert decode(encode(text)) == text
    assert decode(encode_with_specials(text)) == text
    assert bpe.decode(encode(text).tolist()) == text


def test_surrogates_have_a_stated_rule() -> None:
    assert decode(encode("a\ud83e\udd16b")) == "a🤖b"
    assert decode(encode("a\ud83eb\udd16")) == "a�b�"


@pytest.mark.parametrize(
    "text",
    [
        "a" * 1_000_000,
        " " * 1_000_000 + "x",
        " \n" * 500_000 + "é",
        "🤖" * 1_000_000,
        "x" + "\u3000" * 400_000 + "y" + "\t" * 400_000 + "z",
    ],
)
def test_a_million_characters_of_one_kind_survive(text: str) -> None:
    assert decode(encode(text)) == text


@settings(deadline=None, max_examples=300)
@given(adversarial_text)
@example("x \u3000\n \x1c\x1d\x1e\x1fy")
def test_cutting_at_long_runs_changes_no_id(text: str) -> None:
    parts = encoding._cut_at_long_runs(text, at_least=2)
    assert "".join(parts) == text
    assert [token for part in parts for token in encode(part).tolist()] == encode(text).tolist()


def test_every_row_decodes_alone_and_after_a_broken_character() -> None:
    for token in range(specials.NUM_ROWS):
        assert isinstance(decode([token]), str)
        assert decode([447, token]).startswith("�") or token_bytes(token)[0] in range(0x80, 0xC0)
    assert decode([50_312, 50_313, 51_199]) == "<reponame><|unused_50313|><|unused_51199|>"
    assert bpe.decode([50_312, 50_313, 51_199]) == "<reponame><|unused_50313|><|unused_51199|>"
    assert decode_bytes(np.array([], np.uint16)) == b""


@pytest.mark.parametrize("token", [-1, 51_200, 2**40])
def test_an_id_that_is_no_row_is_refused(token: int) -> None:
    with pytest.raises(UserError, match="51,199"):
        decode([1, token])


@settings(deadline=None, max_examples=200)
@given(
    st.one_of(
        st.lists(st.integers(0, specials.NUM_ROWS - 1), max_size=30),
        adversarial_text.map(lambda text: encode(text).tolist()),
    ),
    st.booleans(),
)
def test_streaming_gives_the_text_and_only_whole_characters(ids: list[int], cut: bool) -> None:
    ids = ids[: len(ids) // 2] if cut else ids
    stream = StreamDecoder()
    pieces = [stream.feed(token) for token in ids]
    assert "".join(pieces) + stream.finish() == decode(ids)


def test_streaming_holds_back_an_unfinished_character() -> None:
    stream = StreamDecoder()
    assert [stream.feed(token) for token in encode("x🤖").tolist()] == ["x", "", "", "🤖"]


def test_threads_share_the_tokenizer() -> None:
    sources = library_sources(4)
    expected = [encode(source).tolist() for source in sources]
    found: list[bool] = []
    threads = [
        threading.Thread(
            target=lambda: found.extend(
                encode(source).tolist() == ids for source, ids in zip(sources, expected, strict=True)
            )
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 32


def test_a_damaged_table_is_refused(tmp_path) -> None:
    whole = ranks.SHIPPED.read_bytes()
    changed = gzip.decompress(whole).replace(b" 50255\n", b" 50254\n")
    for name, content in {"cut": whole[:-1000], "no gzip": b"IQ== 0\n", "other": gzip.compress(changed)}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match="sha256"):
            ranks.read_ranks(tmp_path / name)
    with pytest.raises(UserError, match="is missing"):
        ranks.read_ranks(tmp_path / "nowhere")
    assert len(ranks.read_ranks(ranks.SHIPPED)) == 50_256
