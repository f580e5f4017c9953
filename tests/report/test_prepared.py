"""The page of prepared data: its bars are the numbers of the audit, and nothing is fetched."""

import copy
import re

import numpy as np
import pytest

from report.test_build import Page
from xgen.report import prepared


def row(documents, kept, dropped, **more):
    tokens = kept + 100 + sum(dropped.values())
    return {
        "in": {"documents": documents, "tokens": tokens, "bytes": 4 * tokens},
        "kept": {"documents": 7, "tokens": kept, "bytes": 4 * kept},
        "held out": {"documents": 1, "tokens": 100, "bytes": 400},
        "dropped": {reason: {"documents": 2, "tokens": n, "bytes": 4 * n} for reason, n in dropped.items()},
        "tokens_per_byte": 0.25,
        "lengths": {"in": [0, 0, 0, 4, 6], "kept": [0, 0, 0, 3, 4]},
        **more,
    }


def of_source(duplicates, **quarantined):
    return {"left_out": {"blank line": 3}, "quarantined": quarantined, "duplicates": duplicates}


COPIES = {"exact duplicate": 5, "near duplicate": 9, "share_of_documents": 0.14}
AUDIT = {
    "sources": {
        "prose": row(
            100,
            600,
            {"near duplicate": 300},
            **of_source(COPIES | {"stays_instead": {"prose": 4, "code": 3, "held out": 2}}, broken=11),
        ),
        "<code>": row(20, 150, {"licence": 250}, **of_source(COPIES | {"stays_instead": {}})),
    },
    "languages": {"en": row(120, 900, {})},
    "licences": {"MIT": row(120, 900, {})},
    "stages": [
        {
            "name": "1a",
            "tokens": 1000,
            "sources": {
                "prose": {"wanted": 0.9531, "tokens": 953, "repeats": 1.25},
                "<code>": {"wanted": 0.0469, "tokens": 47, "repeats": 0.5},
            },
        }
    ],
}


def widths(svg, gid):
    """Read back how wide each bar of a series is."""
    group = re.findall(rf'<g id="[\w-]*{gid}">\s*<path d="([^"]*)"', svg)
    corners = [np.array(re.findall(r"[ML] ([\d.]+) ([\d.]+)", path), float) for path in group]
    return [np.ptp(each[:, 0]) for each in corners]


def test_a_page_has_every_number_and_fetches_nothing():
    page = Page(text := prepared.build("36a4", AUDIT))
    assert not page.unbalanced and not page.open
    assert not [value for _, value in page.attributes if "://" in value and "w3.org" not in value]
    words = " ".join(page.words)
    for said in ("broken", "11", "95.31", "95.30", "near duplicate", "14.0 %", "MIT", "0.250", "blank line"):
        assert said in words, said
    assert "<code>:" not in text and "&lt;code&gt;" in text
    assert re.search(r"prose 5 4 3 2 14.0 %", " ".join(words.split()))
    assert prepared.build("36a4", copy.deepcopy(AUDIT)) == text


def test_the_bars_of_a_source_are_shares_of_its_tokens():
    svg = prepared.became(AUDIT["sources"])
    kept, held_out, near, licence = (widths(svg, f"bar-{index}") for index in range(4))
    whole = kept[0] + held_out[0] + near[0]
    np.testing.assert_allclose([kept[0], held_out[0], near[0]], whole * np.array([0.6, 0.1, 0.3]), rtol=1e-3)
    np.testing.assert_allclose([kept[1], held_out[1], licence[1]], whole * np.array([0.3, 0.2, 0.5]), rtol=1e-3)


@pytest.mark.parametrize("stages", [[], AUDIT["stages"]])
def test_data_without_stages_have_a_page_too(stages):
    assert ("The mixture" in prepared.build("x", AUDIT | {"stages": stages})) == bool(stages)
