"""A recipe's data is checked when it is made."""

import dataclasses

import pytest

from xgen.core.errors import UserError
from xgen.data.config import Mixture, Share
from xgen.recipes.micro import MICRO
from xgen.sources.config import Source


@pytest.mark.parametrize(
    ("name", "max_tokens", "found"),
    [("a/b", 0, "named 'a/b'"), ("", 0, "named ''"), ("..", 0, "named"), ("a", -1, "max_tokens -1")],
)
def test_a_source_that_could_not_name_files_or_has_a_negative_cap_is_refused(name, max_tokens, found):
    with pytest.raises(UserError, match=found):
        Source(name, "files", "x", "MIT", max_tokens)


@pytest.mark.parametrize(
    "changes",
    [
        {"min_document_tokens": 0},
        {"held_out_documents": -1},
        {"near_duplicate_share": 0.0},
        {"near_duplicate_share": 1.5},
    ],
)
def test_impossible_values_are_refused_with_all_of_them_shown(changes):
    ((name, value),) = changes.items()
    with pytest.raises(UserError, match=f"{name} {value}"):
        dataclasses.replace(MICRO.data, **changes)


def test_a_mixture_of_an_unknown_source_suggests_the_nearest():
    with pytest.raises(UserError, match="Did you mean 'prose'"):
        dataclasses.replace(MICRO.data, mixtures=(Mixture("m", (Share("prosa", 1.0),)),))
    with pytest.raises(UserError, match="no mixture 'stage-3'"):
        MICRO.data.mixture("stage-3")


def test_two_sources_of_one_name_are_refused():
    with pytest.raises(UserError, match="two sources of one name"):
        dataclasses.replace(MICRO.data, sources=MICRO.data.sources * 2)
