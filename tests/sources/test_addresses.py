"""Reading from addresses: the same documents as from a folder, and one sentence where an address does not answer."""

import functools
import gzip
import http.server
import sys
import threading

import pytest

from xgen.core.errors import UserError
from xgen.sources.addresses import list_files, opened
from xgen.sources.catalog import READERS
from xgen.sources.config import Source
from xgen.sources.intake import Intake

TREE = {
    "a.jsonl": b'{"text": "one"}\n{\n{"text": "two"}\n',
    "b/c.jsonl.gz": gzip.compress(b'{"text": "three"}\n'),
    "b/d.txt": "früh".encode(),
    ".hidden/e.txt": b"no",
}


def source(location, reader="files"):
    return Source("it", reader, str(location), "MIT", 0)


def read(location, reader="files"):
    intake = Intake("it", strict=False)
    documents = list(READERS[reader](source(location, reader), intake))
    return [(one.key, one.text) for one in documents], dict(intake.skipped)


@pytest.fixture
def folder(tmp_path):
    for name, content in TREE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"text": ["four", "five"]}), tmp_path / "b" / "e.parquet")
    return tmp_path


@pytest.fixture
def memory(folder):
    system = pytest.importorskip("fsspec").filesystem("memory")
    system.put(str(folder) + "/", "/bucket/", recursive=True)
    yield "memory://bucket"
    system.rm("/bucket", recursive=True)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


@pytest.fixture
def web(folder):
    pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_a_folder_in_memory_reads_like_the_same_folder_here(folder, memory):
    here = read(folder)
    assert len(here[0]) == 6 and here[1] == {"broken JSON": 1}
    assert read(memory) == read(memory + "/") == here
    assert [(one.key, one.num_bytes) for one in list_files(source(memory))] == [
        (one.key, one.num_bytes) for one in list_files(source(folder))
    ]


@pytest.mark.parametrize("name", ["a.jsonl", "b/c.jsonl.gz", "b/d.txt", "b/e.parquet"])
def test_one_file_in_memory_reads_like_the_same_file_here(folder, memory, name):
    assert read(f"{memory}/{name}") == read(folder / name)


def test_code_in_memory_is_read_with_its_licence(memory):
    system = pytest.importorskip("fsspec").filesystem("memory")
    system.pipe({"/bucket/r/COPYING": b"GNU GENERAL PUBLIC LICENSE", "/bucket/r/X.cls": b"class X {}"})
    (document,) = READERS["source_tree"](source(memory, "source_tree"), Intake("it", strict=True))
    assert (document.key, document.licence, document.language) == ("r/X.cls", "GPL-3.0-only", "apex")


def test_a_web_server_reads_like_the_folder_that_it_serves(folder, web):
    assert read(web) == read(folder)
    for name in ("a.jsonl", "b/c.jsonl.gz", "b/d.txt", "b/e.parquet"):
        assert read(web + name) == read(folder / name)
    assert read(web + "b/c.jsonl.gz?download=true") == read(folder / "b" / "c.jsonl.gz")


def test_an_address_that_does_not_answer_is_one_sentence_and_no_damaged_file(folder, web):
    with pytest.raises(UserError, match="cannot be read"):
        read(web + "missing.jsonl")
    files = list_files(source(web))
    (folder / "a.jsonl").unlink()
    (folder / "b" / "e.parquet").unlink()
    intake = Intake("it", strict=False)
    for key in ("a.jsonl", "b/e.parquet"):
        (file,) = [file for file in files if file.key == key]
        with pytest.raises(UserError, match="run the same command again"):
            list(READERS["files"].read_file(source(web), file, intake))
    assert not intake.skipped
    with pytest.raises(UserError, match=r"cannot be read"):
        read("http://127.0.0.1:9/a.jsonl")


def test_an_address_that_fails_while_parquet_is_read_is_no_damaged_file(memory, monkeypatch):
    (file,) = [file for file in list_files(source(memory)) if file.key == "b/e.parquet"]
    memory_file = pytest.importorskip("fsspec.implementations.memory").MemoryFile

    def fail(self, num_bytes=-1):
        raise TimeoutError("no answer")

    monkeypatch.setattr(memory_file, "read", fail)
    intake = Intake("it", strict=False)
    with pytest.raises(UserError, match="TimeoutError: no answer"):
        list(READERS["files"].read_file(source(memory), file, intake))
    assert not intake.skipped


def test_hugging_face_data_sets_are_opened_by_the_file_system_of_the_hub(monkeypatch):
    fsspec, hub = pytest.importorskip("fsspec"), pytest.importorskip("huggingface_hub")
    system = hub.HfFileSystem
    content = {"datasets/owner/name/data/a.jsonl": b'{"text": "x"}\n', "datasets/owner/name/.gitattributes": b"x"}
    monkeypatch.setattr(system, "info", lambda self, path, **_: {"name": path, "type": "directory", "size": 0})

    def ls(self, path, detail=True, **_):
        files = [{"name": name, "type": "file", "size": len(raw)} for name, raw in content.items()]
        folders = [{"name": "datasets/owner/name/data", "type": "directory", "size": 0}]
        return [one for one in files + folders if one["name"].rpartition("/")[0] == path]

    monkeypatch.setattr(system, "ls", ls)
    monkeypatch.setattr(system, "_open", lambda self, path, **_: __import__("io").BytesIO(content[path]))
    assert fsspec.get_filesystem_class("hf") is system
    assert read("hf://datasets/owner/name") == ([("data/a.jsonl@0", "x")], {})


@pytest.mark.parametrize(
    ("package", "address"),
    [("fsspec", "s3://bucket/a"), ("aiohttp", "https://host.example/a"), ("huggingface_hub", "hf://datasets/a/b")],
)
def test_a_package_that_is_missing_names_the_extra(monkeypatch, package, address):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"{package}.*xgen\[data\]"):
        list_files(source(address))


def test_a_client_that_is_missing_is_named(monkeypatch):
    pytest.importorskip("fsspec")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(UserError, match="s3fs"):
        list_files(source("s3://bucket/a"))


def test_a_protocol_that_nobody_knows_and_an_empty_folder_are_one_sentence():
    pytest.importorskip("fsspec")
    with pytest.raises(UserError, match="cannot be read"):
        list_files(source("nosuch://bucket/a"))
    with pytest.raises(UserError, match="FileNotFoundError"):
        list_files(source("memory://nowhere"))
    system = pytest.importorskip("fsspec").filesystem("memory")
    system.mkdir("/empty")
    with pytest.raises(UserError, match="holds no files"):
        list_files(source("memory://empty"))


def test_a_folder_that_cannot_be_listed_is_not_left_out_in_silence(memory, monkeypatch):
    system = type(pytest.importorskip("fsspec").filesystem("memory"))
    listed = system.ls

    def ls(self, path, *args, **kwargs):
        if path.endswith("/b"):
            raise PermissionError("not yours")
        return listed(self, path, *args, **kwargs)

    monkeypatch.setattr(system, "ls", ls)
    with pytest.raises(UserError, match="PermissionError: not yours"):
        list_files(source(memory))


def test_nothing_of_fsspec_is_imported_for_files_here(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    assert len(read(folder)[0]) == 6
    with opened(str(folder / "a.jsonl")) as file:
        assert file.read(1) == b"{"
