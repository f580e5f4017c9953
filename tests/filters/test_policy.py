"""A document stays only if its licence can be read, is on the list, and is not contradicted by its own header."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xgen.core.errors import UserError
from xgen.core.types import Document
from xgen.filters import policy
from xgen.filters.config import FilterConfig
from xgen.filters.policy import is_copyleft, licence_filter, strict_licence_filter
from xgen.filters.verdict import Drop

pytest.importorskip("license_expression", reason="needs the extra `data`")

UNREADABLE = Drop("a licence that is no SPDX expression")
UNLISTED = Drop("a licence that is not on the list")
CONTRADICTED = Drop("another licence in the file")
GPL_HEADER = """/*
 * This program is free software; you can redistribute it and/or modify
 * it under the terms of the GNU General
 * Public License as published by the Free Software Foundation.
 */
"""


def document(licence: str, text: str = "x = 1\n") -> Document:
    return Document("it", "1", text, licence)


@pytest.fixture(scope="module")
def judge():
    return licence_filter(FilterConfig())


@pytest.mark.parametrize(
    "licence",
    ["MIT", "mit", "Apache-2.0 WITH LLVM-exception", "MIT OR GPL-2.0-only", "BSD-3-Clause AND (ISC OR AGPL-3.0-only)"],
)
def test_a_listed_licence_and_a_choice_that_contains_one_stay(judge, licence):
    assert judge(document(licence)) == document(licence)


@pytest.mark.parametrize(
    "licence", ["GPL-3.0-only", "MIT AND GPL-2.0-only", "CC-BY-NC-4.0", "MPL-2.0 OR LGPL-3.0-only"]
)
def test_a_licence_with_a_part_that_is_not_listed_is_dropped(judge, licence):
    assert judge(document(licence)) == UNLISTED


@pytest.mark.parametrize("licence", ["", "not stated", "permissive", "MIT AND", "Dual License", "MIT OR Nonsense-1.0"])
def test_a_licence_that_cannot_be_read_is_dropped(judge, licence):
    assert judge(document(licence)) == UNREADABLE


@pytest.mark.parametrize(
    "header",
    [
        GPL_HEADER,
        "# SPDX-License-Identifier: GPL-2.0-or-later\n",
        "/* SPDX-License-Identifier: GPL-2.0 */\n",
        "# SPDX-License-Identifier: MIT\n# SPDX-License-Identifier: GPL-2.0-only\n",
        "// SPDX-License-Identifier: who knows\n",
        "# This Source Code Form is subject to the terms of the Mozilla Public\n# License, v. 2.0.\n",
        "; licensed under LGPLv3\n",
        "# Creative Commons Attribution-ShareAlike 4.0\n",
    ],
)
def test_a_header_with_another_licence_outweighs_the_metadata(judge, header):
    assert judge(document("MIT", header + "x = 1\n")) == CONTRADICTED


@pytest.mark.parametrize(
    "header",
    [
        "# SPDX-License-Identifier: MIT\n",
        "/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */\n",
        "<!-- SPDX-License-Identifier: (MIT OR GPL-2.0) -->\n",
        "# Licensed under the Apache License, Version 2.0\n",
        "x = 1\n" * 1000 + GPL_HEADER,
    ],
)
def test_a_header_that_agrees_and_a_licence_further_down_are_no_contradiction(judge, header):
    assert judge(document("MIT", header)) == document("MIT", header)


WORDS = (
    "GNU lesser affero general public licence LICENSE mozilla mpl MPL2 lgpl gplv3 v 2 3 eclipse european union server"
)
WORDS += " side attribution sharealike noncommercial all rights reserved you may not unauthorized proprietary and"
PIECES = (*WORDS.split(), *"\n #*-/.;!%x", "confidential", "common", "development", "distribution", "simple", "import")


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(PIECES), max_size=14), st.sampled_from([" ", "", "\n * ", "-"]))
def test_what_spares_a_header_the_search_for_copyleft_spares_none_that_is(pieces, between):
    header = between.join(pieces)
    assert is_copyleft(header) == bool(policy.COPYLEFT.search(policy.WORDS.sub(" ", header.lower())))


PHRASES = (
    "GNU Lesser General Public License|GNU public licence|AGPL v3|gpl-2|Mozilla Public License|MPL 2.0|MPL-2.0"
    "|Eclipse Public License|Common Development and Distribution License|European Union Public Licence"
    "|Server Side Public License|Attribution-ShareAlike|Attribution-NonCommercial"
    "|All rights reserved. You may not|All rights reserved; unauthorized|Proprietary and confidential"
)


@pytest.mark.parametrize("phrase", PHRASES.split("|"))
def test_each_kind_of_copyleft_is_found(phrase):
    assert is_copyleft(f"# {phrase} copy\n") and is_copyleft("# " + phrase.replace(" ", "\n# "))


def test_the_strict_list_is_shorter_than_the_other():
    config = FilterConfig()
    assert {*config.strict_licences} < {*config.licences}
    assert strict_licence_filter(config)(document("HPND")) == UNLISTED
    assert licence_filter(config)(document("HPND")) == document("HPND")


@pytest.mark.parametrize("licences", [(), ("MIT", "Nonsense-1.0")])
def test_a_list_that_names_no_licence_is_refused(licences):
    with pytest.raises(UserError, match="SPDX identifiers"):
        licence_filter(FilterConfig(licences=licences))
