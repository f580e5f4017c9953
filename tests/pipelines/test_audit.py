"""`xgen audit` and `xgen prepare --show`: what is damaged is found and made again, and a plan writes nothing."""

import hashlib
import re

import pytest

from xgen.cli import main
from xgen.pipelines.prepare import prepare
from xgen.recipes.micro import MICRO
from xgen.workspace.folders import data_folder


def bytes_of(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".lock")
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    prepare(MICRO, root)
    return root


def flip(path):
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize(
    ("damage", "how"),
    [
        ("rows/1/000000.npy", "flipped"),
        ("rows/0/000000.npy", "cut"),
        ("rows/0/000000.json", "flipped"),
        ("pieces/000001.tokens", "flipped"),
        ("pieces/000001.tokens", "gone"),
        ("pieces/000000.documents.npy", "cut"),
        ("near/000000.npy", "flipped"),
        ("streams/2.places.npy", "gone"),
        ("held_out.npy", "cut"),
        ("plan.json", "flipped"),
        ("audit.json", "gone"),
    ],
)
def test_a_damaged_file_is_named_and_made_again_to_the_same_bytes(root, damage, how, capsys):
    folder = data_folder(MICRO, root)
    before, kept = bytes_of(folder), [*(folder / "snapshot").iterdir(), *(folder / "rows" / "2").iterdir()]
    times = {path: path.stat().st_mtime_ns for path in kept}
    path = folder / damage
    if how == "flipped":
        flip(path)
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-3])
    else:
        path.unlink()
    assert bytes_of(folder) != before
    assert main(["audit", str(folder), "--verify"]) == 0
    said = capsys.readouterr().out
    assert f"damaged: {path}" in said.replace("\n", "") and "are what was written" in said
    assert bytes_of(folder) == before
    assert {path: path.stat().st_mtime_ns for path in kept} == times, "only what is damaged is made again"


def test_the_page_is_made_of_the_audit_and_is_no_damage(root, capsys):
    folder = data_folder(MICRO, root)
    before = bytes_of(folder)
    assert main(["audit", str(folder), "--page", "--verify"]) == 0
    said = capsys.readouterr().out
    assert "By licence, in tokens" in said and "damaged" not in said
    page = folder / "audit.html"
    assert "What became of it" in page.read_text()
    page.unlink()
    assert bytes_of(folder) == before


def test_a_damaged_snapshot_is_refused_and_nothing_is_touched(root, capsys):
    folder = data_folder(MICRO, root)
    snapshot, rows = folder / "snapshot" / "code.jsonl.zst", folder / "rows" / "0" / "000000.npy"
    whole = snapshot.read_bytes(), rows.read_bytes()
    try:
        flip(snapshot)
        flip(rows)
        damaged = bytes_of(folder)
        assert main(["audit", "micro", "--root", str(root), "--verify"]) == 2
        assert "only copy of what was read" in capsys.readouterr().err
        assert bytes_of(folder) == damaged
    finally:
        snapshot.write_bytes(whole[0])
        rows.write_bytes(whole[1])


def test_the_tables_of_a_folder_are_shown_and_other_verbs_refuse_it(root, capsys):
    folder = str(data_folder(MICRO, root))
    assert main(["audit", folder]) == 0
    said = capsys.readouterr().out
    assert "Sources" in said and "Licences" in said and "Stages" in said
    assert main(["pretrain", folder]) == 2
    assert "is prepared data" in capsys.readouterr().err


def test_the_plan_of_the_report_is_shown_to_the_token_and_writes_nothing(tmp_path, capsys):
    assert main(["prepare", "xgen_7b", "--show", "--root", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "redpajama-common-crawl" in said and "63.98" in said and "again" in said
    assert "starcoder-zig" in said and re.search(r"together 86 +part +50\.00 ", said)
    assert not list(tmp_path.iterdir())
