"""Texts that are hard on a tokenizer, for every test that compares two of them."""

import random
import sysconfig
from pathlib import Path

from hypothesis import strategies as st

FRAGMENTS = [
    " ",
    "  ",
    "   ",
    "\t",
    "\t\t",
    "\n",
    "\r\n",
    "\r",
    "\v",
    "\f",
    "\x1c",
    "\x1f",
    "\x85",
    "\xa0",
    "\u1680",
    "\u200b",
    "\u2028",
    "\u3000",
    "\ufeff",
    "\0",
    "'s",
    "'LL",
    "'",
    "don't",
    "x",
    "Ab",
    "é",
    "e\u0301",
    "ﬁ",
    "ß",
    "世界",
    "한국어",
    "привет",
    "عربي",
    "12",
    "3",
    "½",
    "٣",
    "²",
    "==",
    "-",
    "_",
    "...",
    "🤖",
    "👩\u200d👩\u200d👧\u200d👦",
    "🇩🇪",
    "\U0010ffff",
    " " * 31,
    " " * 32,
    " " * 70,
    "\t" * 9,
    "\t" * 10,
    "\t" * 21,
    "<|endoftext|>",
    "<fim_prefix>",
    "<|endof",
    "<fim_",
    "### Human:",
    "### Assistant:",
    "�",
    "return",
    " def f(x):\n    ",
    "\n        y = 1",
    "\n\t\tz",
]

adversarial_text = st.one_of(st.text(max_size=80), st.lists(st.sampled_from(FRAGMENTS), max_size=25).map("".join))


def library_sources(count: int) -> list[str]:
    """Return some files of the standard library, the same ones on one machine."""
    library = Path(sysconfig.get_paths()["stdlib"])
    files = sorted(path for path in library.glob("*.py") if path.stat().st_size < 60_000)
    return [path.read_text(encoding="utf-8") for path in random.Random(0).sample(files, count)]


def mixed_texts(count: int) -> list[str]:
    """Return real code as it is, re-indented, with tabs and with CRLF, and random chains of fragments."""
    draw = random.Random(1)
    sources = library_sources(12)
    texts = [
        variant
        for source in sources
        for variant in (
            source,
            "".join(" " * draw.randrange(100) + line for line in source.splitlines(keepends=True)[:60]),
            source.replace("    ", "\t"),
            source.replace("\n", "\r\n")[:5_000],
        )
    ]
    while len(texts) < count:
        texts.append("".join(draw.choices(FRAGMENTS, k=draw.randrange(1, 40))))
    return texts
