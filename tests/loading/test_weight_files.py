"""Names that are taken off, networks that are picked, and files that are refused."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import warnings
import zipfile
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from shotstream.loading.hashes import count_weights, sample_weights, weight_files
from shotstream.loading.lora import read_lora
from shotstream.loading.weight_files import (
    CheckpointError,
    CheckpointWarning,
    WeightFile,
    read_metadata,
    read_weights,
)
from shotstream.loading.weight_names import to_original

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("model.blocks.0.weight", "blocks.0.weight"),
        ("base_model.model.model.module.weight", "weight"),
        ("blocks.0._orig_mod.weight", "blocks.0.weight"),
        ("text_model.encoder.weight", "text_model.encoder.weight"),
        ("submodule.weight", "submodule.weight"),
        ("blocks.0.submodule.weight", "blocks.0.submodule.weight"),
    ],
)
def test_only_whole_words_are_taken_off_as_wrappers(name, plain):
    assert list(WeightFile.pick({name: torch.zeros(1)}, Path("a file")).tensors) == [plain]


@pytest.mark.parametrize("name", ["..", "../a.safetensors", "inner", 5, None])
def test_an_index_names_only_safetensors_files_beside_it(tmp_path, name):
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(CheckpointError, match="names files outside its folder"):
        read_weights(tmp_path)


def test_headers_are_read_from_a_file_or_folder(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.zeros(1)}, path, {"format": "pt", "note": "hello"})
    assert read_metadata(path)["note"] == read_metadata(tmp_path)["note"] == "hello"
    assert read_metadata(tmp_path / "a.pt") == {}


# ---- networks of a checkpoint ----


def network(value: float = 0.0):
    return {"blocks.0.weight": torch.full((2,), value)}


def flat(found):
    return {f"{name}.{weight}": value for name, part in found.items() for weight, value in part.items()}


@pytest.mark.parametrize("form", [dict, flat])
def test_several_networks_are_named_with_the_option_that_picks_one(form):
    found = form({"real_score": network(), "fake_score": network(1)})
    with pytest.raises(
        CheckpointError, match=r"holds real_score, fake_score; say which .*--network.*wrapper="
    ):
        WeightFile.pick(found, Path("a file"))
    assert WeightFile.pick(found, Path("a file"), "fake_score").tensors["blocks.0.weight"][0] == 1
    with pytest.raises(
        CheckpointError, match="holds no 'generator'; the networks in it: real_score, fake_score"
    ):
        WeightFile.pick(found, Path("a file"), "generator")


@pytest.mark.parametrize("form", [dict, flat])
def test_which_generator_was_taken_is_said_where_they_differ(form, recwarn):
    found = form({"generator": network(), "generator_ema": network(1), "critic": network(2)})
    with pytest.warns(CheckpointWarning, match="generator_ema, the averaged one, was taken"):
        assert WeightFile.pick(found, Path("a file")).tensors["blocks.0.weight"][0] == 1
    recwarn.clear()
    assert WeightFile.pick(found, Path("a file"), "generator").tensors["blocks.0.weight"][0] == 0
    WeightFile.pick(form({"generator": network(), "generator_ema": network()}), Path("a file"))
    WeightFile.pick(form({"generator": network(), "critic": network(1)}), Path("a file"))
    assert not recwarn.list


def test_a_checkpoint_of_wrapped_modules_is_read(tmp_path, transformer):
    weights = to_original(transformer.state_dict())
    names = {
        f"model.blocks.{name.split('.')[1]}._checkpoint_wrapped_module.{name.split('.', 2)[2]}"
        if name.startswith("blocks.")
        else f"model.{name}": value
        for name, value in weights.items()
    }
    torch.save({"generator": names}, tmp_path / "a.pt")
    assert WeightFile.read(tmp_path / "a.pt").tensors.keys() == weights.keys()


# ---- what is no weight file ----


class Evil:
    def __reduce__(self):
        return print, ("run!",)


class Own:
    pass


def cut_off(path, fraction, **settings):
    """Write a part of what torch.save makes."""
    torch.save({"blocks.0.weight": torch.zeros(500)}, path, **settings)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * fraction)])


def write_torchscript(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: torch.save({"a": Evil()}, path), r"code besides weights \(.*print\)"),
        (
            lambda path: torch.save({"a": Evil()}, path, _use_new_zipfile_serialization=False),
            "code besides weights",
        ),
        (
            lambda path: torch.save({"args": Namespace(a=1), "generator": network()}, path),
            "argparse.Namespace",
        ),
        (lambda path: torch.save({"a": Own()}, path), "code besides weights"),
        (lambda path: torch.save(torch.nn.Linear(2, 2), path), "code besides weights"),
        (lambda path: torch.save({"a": os.path.join}, path), "code besides weights"),
        (lambda path: path.write_bytes(pickle.dumps({"a": Evil()})), "would run"),
        (lambda path: path.write_bytes(b"cposix\nsystem\n(S'echo'\ntR."), "would run|code besides weights"),
        (write_torchscript, "is a program .TorchScript."),
        (lambda path: path.write_bytes(b"GGUF" + bytes(100)), "GGUF"),
        (lambda path: path.write_bytes(b"\x93NUMPY" + bytes(100)), "a NumPy array"),
        (
            lambda path: path.write_bytes(b"PK\x03\x04" + bytes(100)),
            "is cut off .a zip archive without its end",
        ),
        (
            lambda path: zipfile.ZipFile(path, "w").writestr("a", "b"),
            "is a zip archive of a, not of weights; unpack",
        ),
        (lambda path: zipfile.ZipFile(path, "w").close(), "no weight file|a zip archive of nothing"),
        (
            lambda path: path.write_text("hello, this is no weight file"),
            'a text that begins with "hello, this',
        ),
        (lambda path: path.write_text('{"a": 1}'), "is a text that begins with"),
        (lambda path: path.write_text("Ünïcode " * 1000), "is a text that begins with .Ünïcode"),
        (lambda path: path.write_bytes(bytes(range(200, 256)) * 9), "no weight file: neither torch.save nor"),
        (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50)), "is a picture .PNG., not weights"),
        (lambda path: path.write_bytes(b"\x1f\x8b" + bytes(50)), "packed with gzip; unpack it"),
        (
            lambda path: save_file(network(), path),
            "a safetensors file under another name; call it .safetensors",
        ),
        (lambda path: cut_off(path, 0.5), "is cut off .a zip archive without its end"),
        (
            lambda path: cut_off(path, 0.5, _use_new_zipfile_serialization=False),
            "is cut off; download it again",
        ),
        (lambda path: path.write_bytes(pickle.dumps({"a": 1})), "a pickle that torch.save did not write"),
        (os.mkfifo, "is no file .a pipe or a device."),
        (lambda path: path.symlink_to("/dev/zero"), "is no file .a pipe or a device."),
        (os.mkdir, "has no safetensors file"),
    ],
)
def test_what_is_no_weight_file_is_refused_in_a_sentence(tmp_path, capfd, recwarn, write, message):
    write(tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=message):
        read_weights(tmp_path / "a.pt")
    assert capfd.readouterr() == ("", "")  # nothing in it was run
    assert not recwarn.list


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: torch.save(network(), path), "a file of torch.save under another name; call it .pt"),
        (lambda path: path.write_text("hello"), 'is a text that begins with "hello"'),
        (lambda path: path.write_bytes(bytes(range(200, 256))), "is damaged or cut off"),
        (lambda path: path.write_bytes(b""), "is empty"),
    ],
)
def test_what_is_called_safetensors_and_is_not_is_refused(tmp_path, write, message):
    write(tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=message):
        read_weights(tmp_path / "a.safetensors")


@pytest.mark.parametrize("kind", ["a.safetensors", "model.safetensors.index.json", "adapter_config.json"])
def test_pipes_in_a_folder_are_not_waited_for(tmp_path, kind):
    os.mkfifo(tmp_path / kind)
    with pytest.raises(
        CheckpointError, match=r"is no file|is no index of weight files|has no safetensors file"
    ):
        read_lora(tmp_path)
    assert weight_files(tmp_path) == []


def test_one_process_s_part_of_a_checkpoint_is_called_that(tmp_path):
    """Whether torch can open such a file depends on what was imported before: here it was."""
    from torch.distributed.tensor import DeviceMesh, DTensor, Shard

    path, store = tmp_path / "a.pt", torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        part = DTensor.from_local(torch.ones(2, 2), DeviceMesh("cpu", [0]), [Shard(0)])
        torch.save({"generator": {"blocks.0.weight": part}}, path)
    finally:
        torch.distributed.destroy_process_group()
    with pytest.raises(CheckpointError, match="holds one process's part of a network"):
        WeightFile.read(path)
    read = (
        "import sys, pathlib, shotstream.loading.weight_files as f; f.read_weights(pathlib.Path(sys.argv[1]))"
    )
    told = subprocess.run([sys.executable, "-c", read, path], capture_output=True, text=True, check=False)
    assert "CheckpointError: " in told.stderr
    assert "holds one process's part of a network" in told.stderr


def test_a_folder_of_a_distributed_checkpoint_names_the_tool(tmp_path):
    (tmp_path / "__0_0.distcp").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="dcp_to_torch"):
        read_weights(tmp_path)


def test_more_values_than_the_file_holds_are_refused(tmp_path):
    torch.save({"a": torch.ones(1).expand(10**12)}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="more values than are in the file"):
        WeightFile.read(tmp_path / "a.pt").check_fit({"a": torch.empty(10**12, device="meta")})


@pytest.mark.parametrize("length", [2**63, 10**8, 200])
def test_a_header_of_absurd_size_is_refused(tmp_path, length):
    (tmp_path / "a.safetensors").write_bytes(length.to_bytes(8, "little") + b"{}")
    for read in (read_weights, count_weights, sample_weights):
        with pytest.raises(ValueError, match="is damaged"):
            read(tmp_path)


@pytest.mark.parametrize(
    "weight",
    [
        {"dtype": "F32", "shape": [10**9, 10**9], "data_offsets": [0, 4 * 10**18]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]},
        {"dtype": "F32", "data_offsets": [0, 4]},
        [],
    ],
)
def test_a_header_of_absurd_weights_is_refused(tmp_path, weight):
    header = json.dumps({"a": weight}).encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    for read in (read_weights, count_weights, sample_weights):
        with pytest.raises(ValueError, match="is damaged"):
            read(tmp_path)
