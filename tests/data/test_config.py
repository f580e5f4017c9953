"""A recipe's data is checked when it is made."""

import dataclasses

import pytest

from xgen.core.errors import UserError
from xgen.data.config import Mixture, Share
from xgen.recipes.micro import MICRO
from xgen.sources.addresses import list_files
from xgen.sources.config import Source


@pytest.mark.parametrize(
    ("name", "max_tokens", "found"),
    [("a/b", 0, "named 'a/b'"), ("", 0, "named ''"), ("..", 0, "named"), ("a", -1, "max_tokens -1")],
)
def test_a_source_that_could_not_name_files_or_has_a_negative_cap_is_refused(name, max_tokens, found):
    with pytest.raises(UserError, match=found):
        Source(name, "files", "x", "MIT", max_tokens)


@pytest.mark.parametrize("folders", [(("a", 0.0),), (("a", 1.0), ("a", 2.0)), (("a/b", 1.0),), (("..", 1.0),)])
def test_folders_that_could_not_be_sources_are_refused(folders):
    with pytest.raises(UserError, match="folder"):
        Source("it", "files", "x", "MIT", 0, folders=folders)


def test_each_folder_is_a_source_with_its_part_of_every_share():
    code = Source("code", "starcoderdata", "hf://datasets/x/", "MIT", 7, folders=(("c", 3.0), ("zig", 1.0)))
    prose = Source("prose", "files", "texts", "MIT", 0)
    mixtures = (
        Mixture("m", (Share("code", 0.5), Share("prose", 0.5))),
        Mixture("n", (Share("prose", 8.0, "again"), Share("code", 8.0, "again"))),
    )
    folded = dataclasses.replace(MICRO.data, sources=(prose, code), mixtures=mixtures)
    config = folded.unfolded()
    assert config.sources == (
        prose,
        dataclasses.replace(code, name="code-c", location="hf://datasets/x/c", folders=()),
        dataclasses.replace(code, name="code-zig", location="hf://datasets/x/zig", folders=()),
    )
    assert config.mixture("m").shares == (Share("code-c", 0.375), Share("code-zig", 0.125), Share("prose", 0.5))
    assert config.mixture("n").shares == (
        Share("prose", 8.0, "again"),
        Share("code-c", 6.0, "again"),
        Share("code-zig", 2.0, "again"),
    )
    assert config.unfolded() == config and MICRO.data.unfolded() == MICRO.data
    with pytest.raises(AssertionError, match="unfolded"):
        list_files(code)


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
