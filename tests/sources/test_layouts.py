"""Reading data sets in the layouts that they are published in: text, licence, language and path of each document."""

import json

import pytest

from xgen.core.errors import UserError
from xgen.sources.catalog import READERS
from xgen.sources.config import Source
from xgen.sources.intake import Intake
from xgen.sources.licence_table import open_licence_table


def read(reader, location, licences="", strict=True):
    intake = Intake("it", strict)
    documents = list(READERS[reader](Source("it", reader, str(location), "stated", 0, licences=str(licences)), intake))
    return documents, dict(intake.skipped)


def told(documents):
    return [(one.text, one.licence, one.language, one.path) for one in documents]


def write_json_lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_parquet(path, rows):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


GITHUB = {
    "content_hash": "0a", "timestamp": "", "source": "github", "line_count": 2, "max_line_length": 9,
    "avg_line_length": 5.5, "alnum_prop": 0.7, "repo_name": "a/b", "id": "1", "size": "11", "binary": False,
    "copies": "1", "ref": "refs/heads/main", "mode": "33188",
}  # fmt: skip
REDPAJAMA = [
    ({"text": "cc", "pred_label": "__label__wiki", "source": "cc/2023-06/en_middle_0000.json.gz/line5"},
     ("cc", "stated", "en", "")),
    ({"text": "c4", "meta": {"timestamp": "2019-04-25T12:57:54Z", "url": "https://a.example/", "language": "en",
                             "source": "c4"}}, ("c4", "stated", "en", "")),
    ({"text": "wiki", "meta": {"title": "T", "url": "https://bg.wikipedia.org/wiki/T", "language": "bg",
                               "timestamp": "20230320"}}, ("wiki", "stated", "bg", "")),
    ({"text": "book", "meta": {"short_book_title": "B", "publication_date": 1900, "url": "http://b.example"}},
     ("book", "stated", "", "")),
    ({"text": "hub", "meta": {**GITHUB, "path": "src/a.py", "license": "mit", "language": [
        {"name": "C", "bytes": "90"}, {"name": "Python", "bytes": "800"}]}}, ("hub", "mit", "python", "src/a.py")),
    ({"text": "apex", "meta": {**GITHUB, "path": "src/A.cls", "license": "apache-2.0", "language": []}},
     ("apex", "apache-2.0", "apex", "src/A.cls")),
    ({"text": "odd", "meta": {**GITHUB, "path": "CODE", "license": "mit", "language": [
        {"name": "C", "bytes": "90"}, {"name": "Python", "bytes": "800"}]}}, ("odd", "mit", "python", "CODE")),
]  # fmt: skip


@pytest.mark.parametrize("pack", [dict, json.dumps], ids=["objects", "JSON"])
def test_redpajama_with_meta_as_an_object_and_as_its_json(tmp_path, pack):
    rows = [row | ({"meta": pack(row["meta"])} if "meta" in row else {}) for row, _ in REDPAJAMA]
    path = write_json_lines(tmp_path / "part.jsonl", rows)
    documents, skipped = read("redpajama", path)
    assert told(documents) == [wanted for _, wanted in REDPAJAMA] and skipped == {}


@pytest.mark.parametrize(
    ("meta", "reason"),
    [
        ("{", "a `meta` that is broken JSON"),
        ("[]", "a `meta` of type list"),
        (3, "a `meta` of type int"),
        ({"license": 3}, "a `license` of type int"),
        ({"language": [{"name": "C"}]}, "a `language` that is no list of names and bytes"),
    ],
)
def test_a_meta_that_is_none_is_bad_input(tmp_path, meta, reason):
    path = write_json_lines(tmp_path / "a.jsonl", [{"text": "x", "meta": meta}, {"text": "y"}])
    documents, skipped = read("redpajama", path, strict=False)
    assert [document.text for document in documents] == ["y"] and skipped == {reason: 1}


STACK = [
    {"hexsha": "0a", "size": 5, "ext": "py", "lang": "Python", "max_stars_repo_path": "x/a.py",
     "max_stars_repo_name": "a/b", "max_stars_repo_licenses": ["MIT"], "max_stars_count": 3, "content": "one"},
    {"hexsha": "0b", "size": 5, "ext": "cls", "lang": "Apex", "max_stars_repo_path": "B.cls",
     "max_stars_repo_name": "a/c", "max_stars_repo_licenses": ["MIT", "Apache-2.0"], "max_stars_count": None,
     "content": "two"},
    {"hexsha": "0c", "size": 5, "ext": "cs", "lang": "C#", "max_stars_repo_path": "c.cs",
     "max_stars_repo_name": "a/d", "max_stars_repo_licenses": [], "max_stars_count": 1, "content": "three"},
]  # fmt: skip


@pytest.mark.parametrize("write", [write_parquet, write_json_lines])
def test_the_stack_states_all_licences_of_a_repository(tmp_path, write):
    path = write(tmp_path / ("a.parquet" if write is write_parquet else "a.jsonl"), STACK)
    documents, skipped = read("the_stack", path)
    assert skipped == {} and told(documents) == [
        ("one", "MIT", "python", "x/a.py"),
        ("two", "Apache-2.0 AND MIT", "apex", "B.cls"),
        ("three", "not stated", "c#", "c.cs"),
    ]


def starcoder(folder):
    rows = [
        {"max_stars_repo_path": f"x/{name}.rs", "max_stars_repo_name": "a/b", "max_stars_count": 1, "id": name,
         "content": f"code {name}"}
        for name in ("7", "8", "9", "10")
    ]  # fmt: skip
    write_parquet(folder / "rust" / "train-00000-of-00001.parquet", rows)
    (folder / "README.md").write_text("# About")
    return folder


@pytest.mark.parametrize("number", [str, int])
def test_rows_of_starcoderdata_get_their_licences_from_a_table_and_without_one_none(tmp_path, number):
    table = write_parquet(
        tmp_path / "licences.parquet",
        [
            {"id": number(7), "max_stars_repo_licenses": ["MIT"]},
            {"id": number(9), "max_stars_repo_licenses": ["MIT"]},
            {"id": number(9), "max_stars_repo_licenses": ["GPL-3.0-only"]},
            {"id": number(10), "max_stars_repo_licenses": ["ISC", "0BSD"]},
        ],
    )
    folder = starcoder(tmp_path / "starcoderdata")
    documents, skipped = read("starcoderdata", folder, table)
    assert skipped == {"a file that is neither JSON lines nor Parquet": 1}
    assert told(documents) == [
        ("code 7", "MIT", "rust", "x/7.rs"),
        ("code 8", "not stated", "rust", "x/8.rs"),
        ("code 9", "not stated", "rust", "x/9.rs"),
        ("code 10", "0BSD AND ISC", "rust", "x/10.rs"),
    ]
    assert {document.licence for document in read("starcoderdata", folder)[0]} == {"not stated"}


def test_a_broken_table_of_licences_ends_the_run(tmp_path):
    path = write_json_lines(tmp_path / "table.jsonl", [{"id": 1, "license": "MIT"}, {"hexsha": "0a"}])
    with pytest.raises(UserError, match="no `id`"):
        open_licence_table(str(path))
    (tmp_path / "broken.jsonl").write_text("{")
    with pytest.raises(UserError, match="broken JSON"):
        open_licence_table(str(tmp_path / "broken.jsonl"))


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("20230601.de/train-00000-of-00020.parquet", "de"),
        ("20230601.zh-min-nan/a.parquet", "zh-min-nan"),
        ("20230601.sv.parquet", "sv"),
        ("other/a.parquet", "fr"),
    ],
)
def test_wikipedia_has_its_language_in_the_name_of_the_folder_or_file_or_in_the_address(tmp_path, name, language):
    row = {"id": "12", "url": "https://fr.wikipedia.org/wiki/%C3%89t%C3%A9", "title": "Été", "text": "L'été est ..."}
    path = write_parquet(tmp_path / name, [row])
    for location in (tmp_path, path, path.parent):
        documents, skipped = read("wikipedia", location)
        assert told(documents) == [("L'été est ...", "stated", language, "")] and skipped == {}
