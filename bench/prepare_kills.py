"""Prepare a large corpus, kill the driver or a worker again and again, and compare every byte with an undisturbed run.

    python bench/prepare_kills.py --megabytes 1000 --kills 10 --folder /tmp/kills

The corpus is what every machine has: the text of the recipe `tiny`, repeated with changes in every document, as JSON
lines (plain and gzip), Parquet where pyarrow is there, and text files. Prints a line a kill and a table of the runs.
"""

import argparse
import dataclasses
import gzip
import hashlib
import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from xgen.core.types import Document
from xgen.data.config import DataConfig, Mixture, Share
from xgen.recipes.micro import MICRO
from xgen.recipes.schema import Recipe, to_plain
from xgen.recipes.tiny import TINY
from xgen.sources.catalog import documents_of
from xgen.sources.config import Source
from xgen.sources.intake import Intake
from xgen.workspace.folders import data_folder

FILE_MEGABYTES = 150
"""Of a file of JSON lines: more than one piece."""
DRIVER = """
import json, sys
from xgen.cli import main
from xgen.recipes import catalog
from xgen.recipes.schema import from_plain
catalog.RECIPES["it"] = from_plain(json.loads(open(sys.argv[1]).read()))
sys.exit(main(["prepare", "it", *sys.argv[2:]]))
"""


def machine_documents() -> list[Document]:
    return [
        document for source in TINY.data.sources for document in documents_of(source, Intake(source.name, strict=False))
    ]


def changed(documents: list[Document], num_bytes: int) -> Iterator[dict[str, str]]:
    """Repeat documents, each time with a fifth of the lines in another order and a line of its own."""
    chance, written, round_ = random.Random(0), 0, 0
    while written < num_bytes:
        for document in documents:
            lines = document.text.split("\n")
            for _ in range(len(lines) // 10):
                one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
                lines[one], lines[other] = lines[other], lines[one]
            text = f"round {round_} of {document.key}\n" + "\n".join(lines)
            text = text.encode("utf-8", "replace").decode()
            yield {"text": text, "licence": document.licence}
            written += len(text.encode())
            if written >= num_bytes:
                return
        round_ += 1


def write_corpus(folder: Path, num_bytes: int) -> None:
    """Write files of each kind: mostly JSON lines, a part of it compressed, a part as Parquet, some as texts."""
    folder.mkdir(parents=True)
    rows = changed(machine_documents(), num_bytes)
    kinds = ["jsonl", "jsonl", "jsonl.gz", "parquet" if importlib.util.find_spec("pyarrow") else "jsonl", "txt"]
    for number, kind in enumerate(kinds * 1000):
        part, held = [], 0
        limit = FILE_MEGABYTES * 1_000_000 if kind == "jsonl" else FILE_MEGABYTES * 200_000
        for row in rows:
            part.append(row)
            held += len(row["text"])
            if held >= limit:
                break
        if not part:
            return
        write_part(folder, f"{number:03}", kind, part)


def write_part(folder: Path, name: str, kind: str, rows: list[dict[str, str]]) -> None:
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    if kind == "jsonl":
        (folder / f"{name}.jsonl").write_bytes(lines)
    elif kind == "jsonl.gz":
        (folder / f"{name}.jsonl.gz").write_bytes(gzip.compress(lines, 1))
    elif kind == "parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / f"{name}.parquet", row_group_size=500)
    else:
        for number, row in enumerate(rows):
            (folder / f"{name}-{number:05}.txt").write_text(row["text"], encoding="utf-8")


def recipe_over(folder: Path, num_bytes: int) -> Recipe:
    """Two stages that read about all of the corpus, with filters that need no package."""
    source = Source("machine", "files", str(folder), "as stated", 0, filters=("code",))
    data = DataConfig((source,), (Mixture("all", (Share("machine", 1.0),)),), 100, 64, 0.5)
    tokens = num_bytes // 12 // 4096 * 4096
    stages = tuple(
        dataclasses.replace(stage, tokens=tokens, batch_tokens=4096, context_length=length, mixture="all")
        for stage, length in zip(MICRO.stages[:2], (1024, 2048), strict=True)
    )
    return dataclasses.replace(MICRO, data=data, stages=stages)


def start(recipe: Path, root: Path, workers: int) -> subprocess.Popen:
    command = [sys.executable, "-c", DRIVER, str(recipe), "--root", str(root), "--workers", str(workers)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def children_of(pid: int) -> list[int]:
    """Name the workers of a driver: its children that do more than track resources."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
            command = path.with_name("cmdline").read_bytes()
        except OSError:
            continue
        if int(words[1]) == pid and b"resource_tracker" not in command:
            found.append(int(path.parent.name))
    return found


def peak_megabytes(pids: list[int]) -> dict[int, float]:
    peaks = {}
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        peaks[pid] = next((int(line.split()[1]) / 1e3 for line in text.splitlines() if line.startswith("VmHWM")), 0.0)
    return peaks


def run_through(recipe: Path, root: Path, workers: int) -> tuple[float, float, float]:
    """Prepare undisturbed; return seconds, and the peak memory of the driver and of the largest worker in MB."""
    started, process = time.monotonic(), start(recipe, root, workers)
    driver, largest = 0.0, 0.0
    while process.poll() is None:
        driver = max(driver, *peak_megabytes([process.pid]).values(), 0.0)
        largest = max(largest, *peak_megabytes(children_of(process.pid)).values(), 0.0)
        time.sleep(0.25)
    assert process.returncode == 0, process.communicate()[1]
    return time.monotonic() - started, driver, largest


def bytes_of(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith(".lock"):
            with path.open("rb") as file:
                found[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    shutil.rmtree(options.folder, ignore_errors=True)
    write_corpus(options.folder / "in", options.megabytes * 1_000_000)
    recipe = recipe_over(options.folder / "in", options.megabytes * 1_000_000)
    text = options.folder / "recipe.json"
    text.write_text(json.dumps(to_plain(recipe)))
    roots = {name: options.folder / name for name in ("undisturbed", "killed")}
    seconds, driver, worker = run_through(text, roots["undisturbed"], options.workers)
    print(f"undisturbed: {seconds:.0f} s, peak {driver:.0f} MB in the driver, {worker:.0f} MB in a worker", flush=True)
    chance, victims = random.Random(time.time_ns()), []
    between = seconds / (options.kills + 1)
    process = start(text, roots["killed"], options.workers)
    while len(victims) < options.kills:
        time.sleep(between * chance.uniform(0.6, 1.4))
        if process.poll() is not None:
            raise SystemExit(f"it ended after {len(victims)} kills: {process.communicate()[1]}")
        workers = children_of(process.pid)
        victim = process.pid if len(victims) % 2 or not workers else chance.choice(workers)
        os.kill(victim, signal.SIGKILL)
        victims.append("driver" if victim == process.pid else "worker")
        pieces = len(list(roots["killed"].glob("data/*/pieces/*.json")))
        rows = len(list(roots["killed"].glob("data/*/rows/*/*.json")))
        print(f"kill {len(victims)}: the {victims[-1]}, with {pieces} pieces and {rows} files of rows", flush=True)
        if victim == process.pid:
            process.communicate()
            process = start(text, roots["killed"], options.workers)
    assert process.wait() == 0, process.communicate()[1]
    ours, theirs = (bytes_of(data_folder(recipe, root)) for root in roots.values())
    manifest = json.loads((data_folder(recipe, roots["killed"]) / "manifest.json").read_text())
    tokens = manifest["sources"]["machine"]["read"]["tokens"]
    same = "identical" if ours == theirs else f"DIFFERENT: {[n for n in ours if ours[n] != theirs.get(n)][:5]}"
    print(f"{len(ours)} files, {tokens:,} tokens read, {victims.count('worker')} workers and ", end="")
    print(f"{victims.count('driver')} drivers killed: {same}")
    sys.exit(0 if ours == theirs else 1)


if __name__ == "__main__":
    main()
