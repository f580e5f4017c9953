"""The files of the 2023 release are read as data: the right numbers, and nothing in them ever runs."""

import collections
import io
import json
import pickle
import pickletools
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export.conftest import CONFIG
from xgen.core.errors import UserError
from xgen.export.huggingface import read_folder
from xgen.export.torch_archive import tensors
from xgen.model.params import table


def archive(path: Path, pickled: bytes, entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("archive/data.pkl", pickled)
        for name, content in entries.items():
            file.writestr(f"archive/{name}", content)
    return path


class Marker:
    """Leaves a file behind if it is ever unpickled the usual way."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, "ran")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("place", ["alone", "beside a tensor's name", "in the attributes"])
def test_code_in_a_file_is_named_and_never_runs(tmp_path, protocol, place):
    marker = tmp_path / "marker"
    payload = Marker(marker)
    if place == "beside a tensor's name":
        payload = {"model.norm.weight": payload}
    elif place == "in the attributes":
        state = collections.OrderedDict()
        state._metadata, payload = payload, state
    pickled = pickle.dumps(payload, protocol)
    pickle.loads(pickled)
    assert marker.exists(), "the payload is harmless, so the test shows nothing"
    marker.unlink()
    with pytest.raises(UserError, match=r"Path\.write_text|getattr|pathlib|the pickle instruction"):
        tensors(archive(tmp_path / "a.bin", pickled, {}))
    assert not marker.exists()


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02cposix\nsystem\nX\x05\x00\x00\x00touch\x85R.",
        b"(S'touch x'\niposix\nsystem\n.",
        b"\x80\x02cbuiltins\neval\nX\x01\x00\x00\x001\x85R.",
        b"\x80\x02ctorch\nload\n)R.",
        b"\x80\x02ctorch._utils\n_rebuild_parameter\n)R.",
        b"\x80\x02ctorch\nLongStorage\n.",
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93.",
        b"\x80\x02ctorch\nFloatStorage\n)R.",
        b"\x80\x02ccollections\nOrderedDict\n)\x81.",
    ],
    ids=["system", "inst", "eval", "load", "parameter", "int64", "stack global", "call of a type", "newobj"],
)
def test_what_a_checkpoint_never_needs_is_refused_by_name(tmp_path, pickled):
    with pytest.raises(UserError, match="asks for") as refused:
        tensors(archive(tmp_path / "a.bin", pickled, {}))
    names = (
        "posix.system",
        "builtins.eval",
        "torch.load",
        "_rebuild_parameter",
        "LongStorage",
        "FloatStorage",
        "NEWOBJ",
        "instruction",
    )
    assert any(name in str(refused.value) for name in names)


def described(**views: tuple[int, tuple[int, int], tuple[int, int]]) -> bytes:
    """Pickle, as torch.save does, views (offset, shape, stride) of one storage of 12 numbers."""
    storage = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x0ctQ"
    pickled = b"\x80\x02}("
    for name, (offset, shape, stride) in views.items():
        numbers = b"K%cK%cK%c\x86K%cK%c\x86" % (offset, *shape, *stride)
        pickled += (
            b"X\x01\x00\x00\x00"
            + name.encode()
            + b"ctorch._utils\n_rebuild_tensor_v2\n("
            + storage
            + numbers
            + b"\x89ccollections\nOrderedDict\n)RtR"
        )
    return pickled + b"u."


def test_reading_needs_no_torch_and_follows_offsets_and_strides(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    numbers = np.arange(12, dtype=np.float32)
    path = archive(
        tmp_path / "a.bin",
        described(a=(4, (2, 3), (3, 1)), b=(0, (3, 4), (1, 3))),
        {"data/0": numbers.tobytes(), "byteorder": b"little"},
    )
    found = tensors(path)
    np.testing.assert_array_equal(found["a"].read(), numbers[4:10].reshape(2, 3))
    np.testing.assert_array_equal(found["b"].read(), numbers.reshape(4, 3).T)


def test_a_view_beyond_its_storage_and_a_storage_beyond_its_file_are_refused(tmp_path):
    numbers = np.arange(12, dtype=np.float32).tobytes()
    whole = described(a=(6, (2, 3), (3, 1)))
    tensors(archive(tmp_path / "whole.bin", whole, {"data/0": numbers}))
    for offset in (7, 255):
        with pytest.raises(UserError, match="damaged"):
            tensors(archive(tmp_path / "view.bin", described(a=(offset, (2, 3), (3, 1))), {"data/0": numbers}))
    for entries in ({}, {"data/0": numbers[:-1]}, {"data/1": numbers}):
        with pytest.raises(UserError, match="damaged"):
            tensors(archive(tmp_path / "storage.bin", whole, entries))
    with pytest.raises(UserError, match="damaged"):
        tensors(archive(tmp_path / "compressed.bin", whole, {"data/0": numbers}, zipfile.ZIP_DEFLATED))
    with pytest.raises(UserError, match="big-endian"):
        tensors(archive(tmp_path / "big.bin", whole, {"data/0": numbers, "byteorder": b"big"}))


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def saved(torch, tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("saved") / "a.bin"
    base = torch.arange(24, dtype=torch.float32)
    state = {
        "a": base.reshape(4, 6)[1:3, ::2],
        "b": torch.ones(3, dtype=torch.bfloat16) / 3,
        "c": base.reshape(4, 6).half().t(),
        "d": torch.tensor(5.0),
        "e": base[:1].expand(3),
    }
    torch.save(collections.OrderedDict(state), path)
    return path.read_bytes()


@pytest.mark.parity
def test_every_kind_of_float_tensor_reads_as_torch_holds_it(torch, saved, tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(saved)
    expected = torch.load(path, weights_only=True)
    found = tensors(path)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].shape == tuple(tensor.shape)
        np.testing.assert_array_equal(found[name].read().astype(np.float32), tensor.float().numpy())
    with pytest.raises(UserError, match=r"torch\.LongStorage"):
        torch.save({"a": torch.arange(3)}, path)
        tensors(path)


@pytest.mark.parity
def test_the_format_before_zip_is_told_as_such(torch, tmp_path):
    torch.save({"a": torch.ones(3)}, tmp_path / "old.bin", _use_new_zipfile_serialization=False)
    with pytest.raises(UserError, match=r"no zip archive, as PyTorch writes since 1\.6"):
        tensors(tmp_path / "old.bin")


@pytest.mark.parity
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_cut_file_is_told_as_such(saved, tmp_path, share):
    (tmp_path / "cut.bin").write_bytes(saved[: int(len(saved) * share)])
    with pytest.raises(UserError, match="cut short"):
        tensors(tmp_path / "cut.bin")


@pytest.mark.parity
@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_no_change_of_bytes_does_more_than_refuse_or_give_other_numbers(saved, tmp_path_factory, data):
    """Both in the file and in the pickle inside it, whose checksum would shield it."""
    with zipfile.ZipFile(io.BytesIO(saved)) as file:
        entries = {name.partition("/")[2]: file.read(name) for name in file.namelist()}
    inside = data.draw(st.booleans())
    content = bytearray(entries.pop("data.pkl") if inside else saved)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "fuzzed.bin"
    if inside:
        archive(path, bytes(content), entries)
    else:
        path.write_bytes(bytes(content))
    try:
        for tensor in tensors(path).values():
            if np.prod(tensor.shape, dtype=float) < 1e5:
                assert tensor.read().sum() is not None
    except UserError:
        pass


@pytest.mark.parity
@pytest.mark.parametrize("shards", [1, 3])
def test_a_folder_of_the_released_layout_reads_as_the_same_model(torch, exported, tmp_path, shards):
    folder = tmp_path / "released"
    folder.mkdir()
    shutil.copy(exported.folder / "config.json", folder)
    state = {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.ones(4) for i in range(CONFIG.num_layers)}
    for row in table(CONFIG):
        value = torch.tensor(exported.params[row.name])
        if row.stacked:
            state |= {row.hf_name.format(layer=i): value[i].clone() for i in range(CONFIG.num_layers)}
        else:
            state[row.hf_name] = value
    names = sorted(state)
    if shards == 1:
        torch.save(state, folder / "pytorch_model.bin")
    else:
        files = [f"pytorch_model-{i + 1:05}-of-{shards:05}.bin" for i in range(shards)]
        for i, file in enumerate(files):
            torch.save({name: state[name] for name in names[i::shards]}, folder / file)
        weight_map = {name: files[n % shards] for n, name in enumerate(names)}
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    config, params, context_length = read_folder(folder)
    assert (config, context_length) == (CONFIG, 64)
    for name, value in exported.params.items():
        np.testing.assert_array_equal(params[name], value, err_msg=name)
    if shards > 1:
        torch.save(state, folder / files[0])
        with pytest.raises(UserError, match="is in two files"):
            read_folder(folder)


@pytest.mark.parity
def test_every_instruction_that_torch_writes_is_one_that_we_carry_out(torch, tmp_path):
    """torch.nn.Module.state_dict has attributes; a model with many tensors uses the long forms of instructions."""
    module = torch.nn.Sequential(*(torch.nn.Linear(2, 300, bias=False) for _ in range(80)))
    torch.save(module.state_dict(), tmp_path / "a.bin")
    found = tensors(tmp_path / "a.bin")
    assert len(found) == 80
    for name, value in module.state_dict().items():
        np.testing.assert_array_equal(found[name].read(), value.numpy())
    with zipfile.ZipFile(tmp_path / "a.bin") as file:
        used = {opcode.name for opcode, _, _ in pickletools.genops(file.read("a/data.pkl"))}
    assert {"BUILD", "LONG_BINPUT", "BININT2"} <= used
