"""Reading folders of code: languages by ending, and licences by repository."""

import pytest

from xgen.sources.catalog import READERS
from xgen.sources.config import Source
from xgen.sources.intake import Intake
from xgen.sources.languages import ENDINGS, LANGUAGES, language_of

MIT = "Copyright (c) 2020 Someone\n\nPermission is hereby granted, free of charge, to any person obtaining a copy\n"
BSD = "Redistribution and use in source and binary forms, with or without modification, are permitted\n"


def read(location, licence="stated"):
    intake = Intake("it", strict=True)
    documents = list(READERS["source_tree"](Source("it", "source_tree", str(location), licence, 0), intake))
    return {document.key: document for document in documents}, dict(intake.skipped)


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_each_file_of_code_is_a_document_with_its_language_and_its_path(tmp_path):
    write(
        tmp_path,
        {"a/X.cls": "class X {}", "a/x.trigger": "trigger x", "b.py": "pass", "Makefile": "all:", "n.h": "int x;"},
    )
    (tmp_path / "logo.png").write_bytes(b"\x89PNG\xff")
    (tmp_path / "a" / "__init__.py").write_bytes(b"")
    documents, skipped = read(tmp_path)
    assert {key: (one.language, one.path, one.licence) for key, one in documents.items()} == {
        "Makefile": ("makefile", "Makefile", "stated"),
        "a/X.cls": ("apex", "a/X.cls", "stated"),
        "a/x.trigger": ("apex", "a/x.trigger", "stated"),
        "b.py": ("python", "b.py", "stated"),
        "n.h": ("c", "n.h", "stated"),
    }
    assert list(documents) == sorted(documents)
    assert skipped == {"a file of no known language": 1, "empty text": 1}


@pytest.mark.parametrize(
    ("files", "licence"),
    [
        ({"LICENSE": MIT}, "MIT"),
        ({"LICENSE.txt": "   Apache License\n   Version 2.0, January 2004\n"}, "Apache-2.0"),
        ({"COPYING": "GNU GENERAL PUBLIC LICENSE\n  Version 2, June 1991\n"}, "GPL-2.0-only"),
        ({"COPYING": "GNU GENERAL PUBLIC LICENSE\n  Version 3, 29 June 2007\n"}, "GPL-3.0-only"),
        ({"COPYING.LESSER": "words"}, "LGPL-3.0-only"),
        ({"LICENCE": BSD}, "BSD-2-Clause"),
        ({"LICENSE": BSD + "\nNeither the name of the holder nor ..."}, "BSD-3-Clause"),
        ({"LICENSE-MIT": "words", "LICENSE-APACHE": "words"}, "Apache-2.0 AND MIT"),
        ({"LICENSES/MPL-2.0.txt": "words"}, "MPL-2.0"),
        ({"UNLICENSE": "This is free and unencumbered software released into the public domain."}, "Unlicense"),
        ({"LICENSE": "Ask me."}, "stated"),
        ({"license.py": MIT}, "stated"),
    ],
)
def test_the_licence_is_that_of_the_repository(tmp_path, files, licence):
    documents, _ = read(
        write(tmp_path, {**{f"r/{name}": text for name, text in files.items()}, "r/a/b.c": "int x;", "c.c": "int y;"})
    )
    assert (documents["r/a/b.c"].licence, documents["c.c"].licence) == (licence, "stated")


def test_the_nearest_licence_counts(tmp_path):
    documents, _ = read(write(tmp_path, {"LICENSE": MIT, "a.c": "x", "lib/COPYING.LESSER": "x", "lib/b.c": "x"}))
    assert {key: one.licence for key, one in documents.items()} == {"a.c": "MIT", "lib/b.c": "LGPL-3.0-only"}


def test_no_ending_belongs_to_two_languages():
    assert len(LANGUAGES) == sum(len(endings.split()) for endings in ENDINGS.values())
    assert language_of("a/B.CLS") == "apex" and language_of("a.b/c") == "" and language_of("CMakeLists.txt") == "cmake"
