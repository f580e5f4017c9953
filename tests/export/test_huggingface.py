"""Folders are written whole and proved or not at all, and what is read is what was written."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from export.conftest import CONFIG, RELEASE, proof_of
from xgen.core.errors import UserError
from xgen.export import huggingface
from xgen.export.huggingface import as_stored, read_folder, write_folder
from xgen.model.params import table


@pytest.fixture
def copy(exported, tmp_path) -> Path:
    return shutil.copytree(exported.folder, tmp_path / "copy")


def edit_tensors(folder: Path, change) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_what_is_read_is_what_was_written(exported):
    config, params, context_length = read_folder(exported.folder)
    assert (config, context_length) == (CONFIG, 64)
    assert_same(params, exported.params)


def test_shards_hold_each_weight_once_and_read_back_the_same(exported, tmp_path):
    limit = 4_000_000
    release = dataclasses.replace(RELEASE, max_shard_bytes=limit)
    write_folder(tmp_path / "shards", CONFIG, exported.params, release, exported.proof)
    files = sorted((tmp_path / "shards").glob("*.safetensors"))
    assert [file.name for file in files] == [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    assert all(sum(array.nbytes for array in load_file(file).values()) <= limit for file in files)
    index = json.loads((tmp_path / "shards/model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(value.nbytes for value in exported.params.values())
    for file in files:
        assert {name for name, held in index["weight_map"].items() if held == file.name} == load_file(file).keys()
    assert_same(read_folder(tmp_path / "shards")[1], exported.params)


def test_a_bfloat16_folder_holds_the_rounded_weights_and_is_proved_by_their_logits(exported, tmp_path):
    release = dataclasses.replace(RELEASE, dtype="bfloat16")
    rounded = as_stored(exported.params, "bfloat16")
    assert not np.array_equal(rounded["q"], exported.params["q"])
    assert write_folder(tmp_path / "half", CONFIG, rounded, release, proof_of(rounded, CONFIG)) < 1e-4
    assert_same(read_folder(tmp_path / "half")[1], rounded)
    assert json.loads((tmp_path / "half/config.json").read_text())["dtype"] == "bfloat16"
    with pytest.raises(UserError, match="differ from the model's by"):
        write_folder(tmp_path / "unrounded", CONFIG, exported.params, release, exported.proof)


def test_a_refused_export_leaves_nothing(exported, tmp_path, monkeypatch):
    swapped = exported.params | {"q": exported.params["k"], "k": exported.params["q"]}
    with pytest.raises(UserError, match="differ from the model's by"):
        write_folder(tmp_path / "model", CONFIG, swapped, RELEASE, exported.proof)
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_export_is_replaced_and_survives_a_refused_one(exported, copy):
    other = exported.params | {"q": exported.params["k"]}
    with pytest.raises(UserError):
        write_folder(copy, CONFIG, other, RELEASE, exported.proof)
    assert_same(read_folder(copy)[1], exported.params)
    write_folder(copy, CONFIG, other, RELEASE, proof_of(other, CONFIG))
    assert_same(read_folder(copy)[1], other)
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]


def test_a_folder_that_is_not_ours_is_never_replaced(exported, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.txt").write_text("years of work")
    with pytest.raises(UserError, match="no export of xgen"):
        write_folder(tmp_path / "thesis", CONFIG, exported.params, RELEASE, exported.proof)
    assert (tmp_path / "thesis/chapter.txt").read_text() == "years of work"
    assert [path.name for path in tmp_path.iterdir()] == ["thesis"]
    (tmp_path / "file").write_text("a file")
    with pytest.raises(UserError, match="no export of xgen"):
        write_folder(tmp_path / "file", CONFIG, exported.params, RELEASE, exported.proof)


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from xgen.export import huggingface
from xgen.export.verify import Proof

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

at, source, target = sys.argv[1:]
setattr(huggingface, at, die)
config, params, length = huggingface.read_folder(Path(source))
proof = Proof(np.zeros(4, np.int32), np.zeros((4, config.vocab_size), np.float32), float("inf"))
release = huggingface.Release(context_length=length, card="", template="")
huggingface.write_folder(Path(target), config, params, release, proof)
"""


@pytest.mark.parametrize("at", ["save_file", "verify", "_to_disk"])
def test_a_killed_export_leaves_nothing_under_the_name_and_does_not_hinder_the_next(exported, tmp_path, at):
    target = tmp_path / "model"
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, at, str(exported.folder), str(target)],
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert not target.exists() and list(tmp_path.iterdir()), "killed before anything was written"
    (tmp_path / ".model.partial/model-00001-of-00002.safetensors").write_text("of other shards")
    write_folder(target, CONFIG, exported.params, RELEASE, exported.proof)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert {path.name for path in target.iterdir()} == {path.name for path in exported.folder.iterdir()}


def test_a_kill_between_the_two_renamings_loses_neither_export(exported, copy):
    copy.rename(copy.with_name(".copy.old"))
    swapped = exported.params | {"q": exported.params["k"]}
    with pytest.raises(UserError, match="differ"):
        write_folder(copy, CONFIG, swapped, RELEASE, exported.proof)
    assert_same(read_folder(copy)[1], exported.params)


def test_a_kill_while_the_replaced_export_is_deleted_does_not_hinder_the_next(exported, copy):
    old = shutil.copytree(copy, copy.with_name(".copy.old"))
    (old / "xgen.json").unlink()
    write_folder(copy, CONFIG, exported.params, RELEASE, exported.proof)
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]
    copy.rename(old)
    (old / "xgen.json").unlink()
    with pytest.raises(UserError, match="differ"):
        write_folder(copy, CONFIG, exported.params | {"q": exported.params["k"]}, RELEASE, exported.proof)
    assert not copy.exists(), "half an export came back"


def test_two_exports_to_one_folder_do_not_mix(exported, tmp_path, monkeypatch):
    def second(*_):
        write_folder(tmp_path / "model", CONFIG, exported.params, RELEASE, exported.proof)

    monkeypatch.setattr(huggingface, "verify", second)
    with pytest.raises(UserError, match="another xgen process"):
        write_folder(tmp_path / "model", CONFIG, exported.params, RELEASE, exported.proof)


def test_too_small_a_disk_is_told_before_anything_is_written(exported, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 10**6, 1000))
    with pytest.raises(UserError, match="GB are free"):
        write_folder(tmp_path / "model", CONFIG, exported.params, RELEASE, exported.proof)
    assert not (tmp_path / "model").exists()


REFUSED = {
    "missing": (lambda tensors: tensors.pop("model.norm.weight"), "lacks model.norm.weight"),
    "unexpected": (lambda tensors: tensors.update({"lm_head.bias": np.zeros(16, np.float32)}), "has lm_head.bias"),
    "another shape": (lambda tensors: tensors.update({"model.norm.weight": np.zeros(15, np.float32)}), "of shape .15."),
    "quantized": (lambda tensors: tensors.update({"model.norm.weight": np.zeros(16, np.int8)}), "numbers of type I8"),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_weights_that_do_not_belong_are_told(copy, change, message):
    edit_tensors(copy, change)
    with pytest.raises(UserError, match=message):
        read_folder(copy)


def test_the_frequencies_that_old_versions_saved_are_ignored(exported, copy):
    edit_tensors(
        copy,
        lambda tensors: tensors.update(
            {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": np.ones(4, np.float32) for i in (0, 1)}
        ),
    )
    assert_same(read_folder(copy)[1], exported.params)


@pytest.mark.parametrize("kept", [4, 300, 4096, -1])
def test_a_safetensors_file_that_was_cut_is_told(copy, kept):
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(UserError, match="damaged"):
        read_folder(copy)


def test_a_folder_without_weights_or_with_a_broken_index_is_told(copy):
    (copy / "model.safetensors").rename(copy.parent / "outside.safetensors")
    with pytest.raises(UserError, match="holds no weights"):
        read_folder(copy)
    index = copy / "model.safetensors.index.json"
    for text, message in (
        ("[]", "no weight_map"),
        ('{"weight_map": {"a": 1}}', "no weight_map"),
        ("{", "not valid"),
        ('{"weight_map": {"a": "gone.safetensors"}}', "'gone.safetensors', which is not"),
        ('{"weight_map": {"a": "../outside.safetensors"}}', "which is not in the folder"),
    ):
        index.write_text(text)
        with pytest.raises(UserError, match=message):
            read_folder(copy)


def test_the_folder_holds_what_its_readers_need(exported, tmp_path):
    names = {path.name for path in exported.folder.iterdir()}
    assert names == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "README.md",
        "xgen.json",
    }
    release = dataclasses.replace(RELEASE, template="report", extra={"NOTICE": "of others"})
    write_folder(tmp_path / "tuned", CONFIG, exported.params, release, exported.proof)
    assert {path.name for path in (tmp_path / "tuned").iterdir()} == names | {"chat_template.jinja", "NOTICE"}


@pytest.mark.parity
def test_transformers_loads_every_weight_bit_for_bit_and_back(exported, tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    release = dataclasses.replace(RELEASE, max_shard_bytes=1_000_000)
    write_folder(tmp_path / "shards", CONFIG, exported.params, release, exported.proof)
    for folder in (exported.folder, tmp_path / "shards"):
        model, report = transformers.AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
        assert not any(report.values()), report
        assert model.dtype == torch.float32
        assert model.config.pad_token_id is None and model.config.eos_token_id == 50_256
        assert model.generation_config.eos_token_id == 50_256
        state = model.state_dict()
        for row in table(CONFIG):
            if row.stacked:
                theirs = np.stack([state.pop(row.hf_name.format(layer=i)).numpy() for i in range(CONFIG.num_layers)])
            else:
                theirs = state.pop(row.hf_name).numpy()
            assert theirs.tobytes() == exported.params[row.name].tobytes()
        assert not state
    model.save_pretrained(tmp_path / "theirs", max_shard_size="2MB")
    config, params, length = read_folder(tmp_path / "theirs")
    assert (config, length) == (CONFIG, 64)
    assert_same(params, exported.params)
