"""Followers of metrics.jsonl, read back as their own programs read them."""

import json
import struct
import sys
import time

import pytest

from train.test_spikes import trained
from train.test_validation import trained as measured
from xgen.core.errors import UserError
from xgen.core.ledger import RunFolder
from xgen.train.followers import TensorBoard, following, require_followers


def scalars(run: RunFolder, name: str) -> dict[int, float]:
    """Read event files with TensorBoard itself."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    return {event.step: event.value for event in events.Scalars(name)}


def in_metrics(run: RunFolder, name: str) -> dict[int, float]:
    return {line["step"]: pytest.approx(line[name], rel=1e-6) for line in run.metrics.read() if name in line}


def test_tensorboard_shows_what_stands_in_the_metrics(tmp_path):
    run = measured(tmp_path / "a", track=("tensorboard",), validate_every=7)
    for name in ("loss", "learning_rate", "validation_loss"):
        assert scalars(run, name) == in_metrics(run, name)
        assert scalars(run, name)


def test_a_resumed_run_takes_back_the_steps_that_it_does_again(tmp_path):
    run = RunFolder.create(tmp_path, {})
    lines = [{"step": step, "stage": "1a", "loss": 10.0 * step} for step in range(1, 9)]
    with following(run, ("tensorboard",), 0) as (follower,):
        for line in lines:
            run.metrics.append(line)
            follower.add(line)
    assert list(scalars(run, "loss")) == [1, 2, 3, 4, 5, 6, 7, 8]
    run.metrics.cut_after(5)
    with following(run, ("tensorboard",), 5) as (follower,):
        pass
    assert list(scalars(run, "loss")) == [1, 2, 3, 4, 5], "before anything is done again"
    with following(run, ("tensorboard",), 5) as (follower,):
        follower.add(lines[5])
    assert scalars(run, "loss") == {line["step"]: line["loss"] for line in lines[:6]}


def test_a_follower_that_joins_late_gets_the_lines_before(tmp_path):
    run = trained(tmp_path / "a", "report", 1e-3)
    assert not (run.path / "tensorboard").exists(), "nobody asked for it yet"
    with following(run, ("tensorboard",), 20):
        pass
    assert scalars(run, "loss") == in_metrics(run, "loss")
    with following(run, ("tensorboard",), 20):
        pass
    assert len(scalars(run, "loss")) == 20


def test_lines_before_a_flush_survive_a_kill(tmp_path):
    run = RunFolder.create(tmp_path, {})
    follower = TensorBoard(run, 0)
    follower.add({"step": 1, "stage": "1a", "loss": 2.0, "spike": "skip"})
    follower.flush()
    assert scalars(run, "loss") == {1: 2.0}
    assert scalars(run, "spike") == {1: 1.0}


def offline_records(run: RunFolder):
    """Read what W&B keeps while it is offline: records in blocks of 32 KiB, as LevelDB's log."""
    wandb_internal_pb2 = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    for path in sorted((run.path / "wandb").glob("offline-run-*/*.wandb")):
        data, at, whole = path.read_bytes(), 7, b""
        while at + 7 <= len(data):
            if 32_768 - at % 32_768 < 7:
                at += 32_768 - at % 32_768
                continue
            size, kind = struct.unpack_from("<HB", data, at + 4)
            whole += data[at + 7 : at + 7 + size]
            at += 7 + size
            if kind in (1, 4):  # a whole record, or the last part of one
                record = wandb_internal_pb2.Record()
                record.ParseFromString(whole)
                yield record
                whole = b""


def test_weights_and_biases_gets_every_line_under_the_name_of_the_run(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = RunFolder.create(tmp_path / "micro-0123456789", {"seed": 7})
    lines = [{"step": step, "stage": "1a", "loss": 1 / step, "tokens": 32 * step} for step in range(1, 6)]
    with following(run, ("wandb",), 0) as (follower,):
        for line in lines:
            follower.add(line)
    deadline = time.monotonic() + 60  # W&B's own process may write after `finish` returns
    records = list(offline_records(run))
    while not any(record.HasField("exit") for record in records):
        assert time.monotonic() < deadline
        time.sleep(0.05)
        records = list(offline_records(run))
    assert {record.run.run_id for record in records if record.HasField("run")} == {"micro-0123456789"}
    found = [
        {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
        for record in records
        if record.HasField("history")
    ]
    assert [(one["_step"], one["loss"], one["tokens"]) for one in found] == [
        (line["step"], line["loss"], line["tokens"]) for line in lines
    ]


@pytest.mark.parametrize(("name", "package"), [("tensorboard", "tensorboardX"), ("wandb", "wandb")])
def test_a_missing_package_is_one_sentence_that_says_what_to_install(name, package, tmp_path, monkeypatch):
    for module in [package, *(known for known in sys.modules if known.startswith(f"{package}."))]:
        monkeypatch.setitem(sys.modules, module, None)
    for ask in (lambda: require_followers((name,)), lambda: following(RunFolder(tmp_path), (name,), 0).__enter__()):
        with pytest.raises(UserError, match=rf"the package {package} is not installed.*pip install 'xgen\[track\]'"):
            ask()
