"""Layouts of data sets whose files hold rows: where each keeps the text, the licence, the language and the path.

    files          {"text", "licence" or "license"}; any other file is one document
    redpajama      {"text", "meta"}: RedPajama 1T, `meta` an object or its JSON; CommonCrawl has "source" instead
    the_stack      {"content", "lang", "max_stars_repo_licenses", "max_stars_repo_path", ..}
    starcoderdata  {"content", "id", "max_stars_repo_path", ..} in a folder for each language; licences in a side table
    wikipedia      {"title", "text", "url", ..} in a folder or file named like 20230601.de

A row that does not follow its layout is bad input. A licence that is known to be missing is "not stated".
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import orjson

from xgen.filters.licences import NOT_STATED
from xgen.sources.addresses import File
from xgen.sources.config import Source
from xgen.sources.languages import language_of
from xgen.sources.licence_table import licence_of_all, open_licence_table

LICENCE_FIELDS = ("licence", "license")
WIKIPEDIA = re.compile(r"(?:^|/)\d{8}\.([a-z][a-z-]*)(?=[./]|$)")
WIKIPEDIA_URL = re.compile(r"https?://([a-z][a-z-]*)\.(?:m\.)?wikipedia\.org/")
COMMON_CRAWL = re.compile(r"^cc/.*/([a-z]{2,3})_(?:head|middle|tail)_")


class BadRow(ValueError):
    """A row that does not follow its layout: the reason, and what was expected."""

    def __init__(self, reason: str, expected: str) -> None:
        super().__init__(reason)
        self.reason, self.expected = reason, expected


class About(NamedTuple):
    """What a row says of its text."""

    licence: str
    language: str = ""
    path: str = ""


@dataclass(frozen=True)
class Layout:
    """Where the rows of a data set keep what makes a document."""

    text: str
    """The field of the text."""
    others: tuple[str, ...]
    """The fields that `about` looks at."""
    about: Callable[[Source, File, dict[str, Any]], About]
    takes_text_files: bool = False
    """Whether a file that holds no rows is a document."""


def _string(fields: dict[str, Any], name: str) -> str:
    """Return a field that may be missing, and if not must be a string."""
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise BadRow(f"a `{name}` of type {type(value).__name__}", "a string")
    return value or ""


def _plain(source: Source, file: File, fields: dict[str, Any]) -> About:
    for name in LICENCE_FIELDS:
        if (stated := fields.get(name)) is not None:
            if not isinstance(stated, str):
                raise BadRow(f"a licence of type {type(stated).__name__}", "a string")
            return About(stated)
    return About(source.licence)


def _redpajama(source: Source, file: File, fields: dict[str, Any]) -> About:
    meta = fields.get("meta")
    if isinstance(meta, str):
        try:
            meta = orjson.loads(meta)
        except orjson.JSONDecodeError:
            raise BadRow("a `meta` that is broken JSON", "an object, or its JSON") from None
    if meta is None:
        meta = {}
    if not isinstance(meta, dict):
        raise BadRow(f"a `meta` of type {type(meta).__name__}", "an object, or its JSON")
    path, licence = _string(meta, "path"), _string(meta, "license") or source.licence
    if isinstance(meta.get("language"), list):  # GitHub's: the languages of the repository, with their bytes
        return About(licence, language_of(path) or _largest(meta["language"]), path)
    if found := COMMON_CRAWL.match(_string(fields, "source") or _string(meta, "source")):
        return About(licence, found[1], path)
    return About(licence, _string(meta, "language") or language_of(path), path)


def _largest(languages: list[Any]) -> str:
    """Name the language of a repository with the most bytes."""
    try:
        return max(languages, key=lambda one: int(one["bytes"]))["name"].lower() if languages else ""
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BadRow("a `language` that is no list of names and bytes", '[{"name": .., "bytes": ..}]') from None


def _the_stack(source: Source, file: File, fields: dict[str, Any]) -> About:
    path, ending = _string(fields, "max_stars_repo_path"), _string(fields, "ext")
    known = language_of(path) or language_of(f"_.{ending}")
    language = known if known == "apex" else _string(fields, "lang").lower() or known
    return About(licence_of_all(fields.get("max_stars_repo_licenses")), language, path)


def _starcoderdata(source: Source, file: File, fields: dict[str, Any]) -> About:
    name, path = fields.get("id"), _string(fields, "max_stars_repo_path")
    if isinstance(name, bool) or not isinstance(name, (str, int)):
        raise BadRow("no `id` of a row", "a string or a number")
    table = open_licence_table(source.licences) if source.licences else {}
    return About(table.get(str(name), NOT_STATED), PurePosixPath(file.address).parent.name, path)


def _wikipedia(source: Source, file: File, fields: dict[str, Any]) -> About:
    found = WIKIPEDIA.search(f"{source.location.rstrip('/')}/{file.key}")
    found = found or WIKIPEDIA_URL.match(_string(fields, "url"))
    return About(source.licence, found[1] if found else _string(fields, "language"))


LAYOUTS: dict[str, Layout] = {
    "files": Layout("text", LICENCE_FIELDS, _plain, takes_text_files=True),
    "redpajama": Layout("text", ("meta", "source"), _redpajama),
    "the_stack": Layout("content", ("lang", "ext", "max_stars_repo_licenses", "max_stars_repo_path"), _the_stack),
    "starcoderdata": Layout("content", ("id", "max_stars_repo_path"), _starcoderdata),
    "wikipedia": Layout("text", ("url", "language"), _wikipedia),
}
