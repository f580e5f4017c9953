"""Folders of code: each file of a known programming language is one document, under the licence of its repository.

A folder with a licence file is a repository, up to the next such folder below it. The file tells the licence by its
name (LICENSE-MIT, LICENSES/Apache-2.0.txt) or by its first lines; of several, all bind. Where it tells none of those
that are known here the source's licence holds, so state there what should count for the rest, or "not stated".
"""

import dataclasses
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath

from xgen.core.types import Document
from xgen.sources.addresses import File, list_files, opened
from xgen.sources.config import Source
from xgen.sources.intake import Intake
from xgen.sources.languages import language_of
from xgen.sources.texts import read_text

LICENCE_NAME = re.compile(r"(?:UN)?LICEN[CS]E|COPYING", re.IGNORECASE)
NAMED = {
    "0bsd": "0BSD",
    "agpl": "AGPL-3.0-only",
    "apache": "Apache-2.0",
    "apache2": "Apache-2.0",
    "apache-2.0": "Apache-2.0",
    "apachev2": "Apache-2.0",
    "boost": "BSL-1.0",
    "bsd": "BSD-3-Clause",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "bsl-1.0": "BSL-1.0",
    "cc0": "CC0-1.0",
    "cc0-1.0": "CC0-1.0",
    "gpl": "GPL-3.0-only",
    "isc": "ISC",
    "lesser": "LGPL-3.0-only",
    "lgpl": "LGPL-3.0-only",
    "mit": "MIT",
    "mpl-2.0": "MPL-2.0",
    "unlicense": "Unlicense",
    "zlib": "Zlib",
}
"""What follows the word LICENSE in the name of a file."""
OPENINGS = (
    (r"GNU AFFERO GENERAL PUBLIC LICENSE", "AGPL-3.0-only"),
    (r"GNU LESSER GENERAL PUBLIC LICENSE", "LGPL-3.0-only"),
    (r"GNU GENERAL PUBLIC LICENSE\s+Version 2", "GPL-2.0-only"),
    (r"GNU GENERAL PUBLIC LICENSE", "GPL-3.0-only"),
    (r"Mozilla Public License,? version 2\.0", "MPL-2.0"),
    (r"Apache License\s+Version 2\.0", "Apache-2.0"),
    (r"Boost Software License", "BSL-1.0"),
    (r"CC0 1\.0 Universal", "CC0-1.0"),
    (r"This is free and unencumbered software released into the public domain", "Unlicense"),
    (r"\bISC License\b|Permission to use, copy, modify,? and(?:/or)? distribute this software", "ISC"),
    (r"\bMIT License\b|Permission is hereby granted, free of charge, to any person", "MIT"),
    (r"Redistribution and use in source and binary forms.*Neither the name", "BSD-3-Clause"),
    (r"Redistribution and use in source and binary forms", "BSD-2-Clause"),
)
"""How the texts of licences begin; the first that is found counts, so the stricter come first."""
NUM_OPENING_BYTES = 2_000


def list_code(source: Source) -> list[File]:
    """List the files of a source, each under the licence of the repository that it lies in."""
    files = list_files(source)
    found: dict[str, set[str]] = defaultdict(set)
    for file in files:
        path = PurePosixPath(file.key)
        if LICENCE_NAME.match(path.name) and not language_of(file.key):
            found[path.parent.as_posix()].add(_named(path.name) or _read(file))
        elif path.parent.name == "LICENSES":
            found[path.parent.parent.as_posix()].add(path.stem)
    stated = {folder: " AND ".join(sorted(names - {""})) for folder, names in found.items()}
    return [dataclasses.replace(file, licence=_licence_at(file, stated)) for file in files]


def _licence_at(file: File, stated: dict[str, str]) -> str:
    folder = next((parent for parent in PurePosixPath(file.key).parents if parent.as_posix() in stated), None)
    return (stated[folder.as_posix()] if folder else "") or file.licence


def _named(name: str) -> str:
    rest = LICENCE_NAME.sub("", name, count=1).lower().strip("-_.")
    return NAMED.get(rest.removesuffix(".txt").removesuffix(".md"), "")


def _read(file: File) -> str:
    with opened(file.address) as stream:
        text = stream.read(NUM_OPENING_BYTES).decode("utf-8", "replace")
    return next((name for opening, name in OPENINGS if re.search(opening, text, re.IGNORECASE | re.DOTALL)), "")


def read_code(source: Source, file: File, intake: Intake) -> Iterator[Document]:
    """Yield the document of a file, if its name tells that it is code."""
    language = language_of(file.key)
    if not language:
        intake.skip("a file of no known language")
    elif file.num_bytes == 0:
        intake.skip("empty text")  # as an __init__.py may well be
    elif text := read_text(file, intake):
        yield Document(source.name, file.key, text, file.licence, language, file.key)
