"""Folders at addresses: whole or absent, whatever the file system, and errors that say what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from shotstream.machine.remote_folder import MANIFEST, RemoteDamage, RemoteError, RemoteFolder, plain_address

pytestmark = pytest.mark.unit


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    near = {"a.bin": tmp_path / "near.bin", "inside/b.txt": tmp_path / "near.txt"}
    near["a.bin"].write_bytes(bytes(range(256)) * 100)
    near["inside/b.txt"].write_text("words")
    return near


def test_what_was_put_is_fetched_and_nothing_else_is_there(address: str, files, tmp_path: Path) -> None:
    folder = RemoteFolder(address)
    folder.check()
    assert folder.names() == []
    folder.put("one", files)
    folder.put("two", {"a.bin": files["inside/b.txt"]})
    assert RemoteFolder(address).names() == ["one", "two"]
    RemoteFolder(address).fetch("one", tmp_path / "here")
    assert {name: (tmp_path / "here" / name).read_bytes() for name in files} == {
        name: path.read_bytes() for name, path in files.items()
    }
    assert sorted(path.name for path in (tmp_path / "here").rglob("*")) == ["a.bin", "b.txt", "inside"]
    folder.remove("one")
    folder.remove("never there")
    assert folder.names() == ["two"]


def test_another_folder_takes_the_place_of_one(address: str, files, tmp_path: Path) -> None:
    folder = RemoteFolder(address)
    folder.put("one", files)
    folder.put("one", {"c.txt": files["inside/b.txt"]})
    folder.fetch("one", tmp_path / "here")
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["c.txt"]
    filesystem, path = fsspec.url_to_fs(address)
    assert not filesystem.exists(f"{path}/one/a.bin")


class CutOff(Exception):
    """Stands for a kill, or a network that is gone."""


@pytest.mark.parametrize("after", [0, 1, 2])
def test_what_was_cut_off_is_not_taken_for_whole(address: str, files, after: int, monkeypatch) -> None:
    """After no file, after one, and after all of them, before the manifest is written."""
    folder = RemoteFolder(address)
    folder.put("former", files)
    kind, done = type(fsspec.url_to_fs(address)[0]), []

    def cut(self, *args, **kwargs):
        if len(done) == after:
            raise CutOff("the line went dead")
        done.append(args)
        return whole(self, *args, **kwargs)

    whole = kind.put_file
    monkeypatch.setattr(kind, "put_file", cut)
    if after == len(files):
        monkeypatch.setattr(kind, "pipe_file", lambda *args, **kwargs: (_ for _ in ()).throw(CutOff("dead")))
    for name in ("new", "former"):  # a folder that is replaced is gone before the first file is written
        done.clear()
        with pytest.raises(RemoteError, match=r"Could not write .*far: .*dead; check the address"):
            folder.put(name, files)
    monkeypatch.undo()
    assert folder.names() == []
    folder.put("new", files)
    assert folder.names() == ["new"]


def test_half_a_manifest_is_none(address: str, files) -> None:
    folder = RemoteFolder(address)
    folder.put("one", files)
    filesystem, path = fsspec.url_to_fs(f"{address}/one/{MANIFEST}")
    said = filesystem.cat_file(path)
    for cut in (b"", said[: len(said) // 2], b"[]", said.replace(b"sha256", b"sha1")):
        filesystem.pipe_file(path, cut)
        assert folder.names() == []
        with pytest.raises(RemoteDamage, match=r"one is not whole: it has no manifest\.json"):
            folder.fetch("one", Path("never made"))


def test_a_flipped_bit_is_found(address: str, files, tmp_path: Path) -> None:
    folder = RemoteFolder(address)
    folder.put("one", files)
    filesystem, path = fsspec.url_to_fs(f"{address}/one/a.bin")
    content = bytearray(filesystem.cat_file(path))
    content[5] ^= 1
    filesystem.pipe_file(path, bytes(content))
    with pytest.raises(RemoteDamage, match=r"one is damaged: a\.bin has another checksum"):
        folder.fetch("one", tmp_path / "here")


@pytest.mark.parametrize("name", ["../escaped", "/escaped"])
def test_a_manifest_writes_nowhere_else(address: str, files, name: str, tmp_path: Path) -> None:
    folder = RemoteFolder(address)
    folder.put("one", files)
    filesystem, path = fsspec.url_to_fs(f"{address}/one/{MANIFEST}")
    filesystem.pipe_file(path, filesystem.cat_file(path).replace(b"a.bin", name.encode()))
    with pytest.raises(RemoteDamage, match="is no path in it"):
        folder.fetch("one", tmp_path / "here")
    assert not (tmp_path / "escaped").exists()


@pytest.mark.parametrize(
    ("address", "package", "remedy"),
    [
        ("s3://bucket/runs", "s3fs", 'pip install "fsspec[s3]"'),
        ("sftp://me:secret@host/runs", "paramiko", 'pip install "fsspec[sftp]"'),
        ("webdav://host/runs", "webdav4", "pip install it (Install webdav4 to access WebDAV)"),
    ],
)
def test_a_missing_package_is_named_with_the_line_that_installs_it(
    address: str, package: str, remedy: str, monkeypatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError) as raised:
        RemoteFolder(address)
    assert remedy in str(raised.value)
    assert "secret" not in str(raised.value)


def test_an_unknown_protocol_is_told() -> None:
    with pytest.raises(ValueError, match=r"nope://x is no address of a folder .* such as s3://BUCKET/FOLDER"):
        RemoteFolder("nope://x")


def test_an_address_that_cannot_be_written_is_told_before_anything_is_done(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RemoteError, match=r"Could not use .*file/far: .*; check the address, your keys"):
        RemoteFolder(f"{tmp_path}/file/far").check()


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("/x", "/x"),
        ("/x//y/./z/", "/x/y/z"),
        ("file:///x/", "/x"),
        ("file:/x", "/x"),
        ("local:///x", "/x"),
        ("x", f"{Path.cwd()}/x"),
        ("~/x", str(Path("~/x").expanduser())),
        ("file:///", "/"),
        ("s3://bucket/folder//", "s3://bucket/folder"),
        ("memory://", "memory://"),
    ],
)
def test_an_address_is_written_in_one_way(given: str, plain: str) -> None:
    assert plain_address(given) == plain == plain_address(plain)
    if "s3" not in given:
        assert RemoteFolder(given).shown == plain


def test_an_empty_address_is_refused() -> None:
    with pytest.raises(ValueError, match="the address is empty; give a path"):
        plain_address(" ")


def test_an_address_is_shown_without_its_password() -> None:
    class Nowhere(MemoryFileSystem):
        protocol = "nowhere"

    fsspec.register_implementation("nowhere", Nowhere, clobber=True)
    assert RemoteFolder("nowhere://me:secret@host/runs/").shown == "nowhere://me:...@host/runs"
    signed = RemoteFolder("nowhere://host/runs?sig=secret")
    assert signed.shown == "nowhere://host/runs?..."


def test_what_a_package_says_is_shown_without_passwords(monkeypatch) -> None:
    def refuse(self, path, **options):
        raise OSError("cannot reach memory://me:se:cret@host/runs?sig=secret now")

    monkeypatch.setattr(MemoryFileSystem, "find", refuse)
    with pytest.raises(RemoteError) as raised:
        RemoteFolder("memory://eyes").files("")
    assert "cannot reach memory://me:...@host/runs?... now" in str(raised.value)


def test_two_may_look_at_an_address_at_once(monkeypatch) -> None:
    one, other = RemoteFolder("memory://both"), RemoteFolder("memory://both")
    read = MemoryFileSystem.cat_file

    def between(self, path, **options):
        monkeypatch.setattr(MemoryFileSystem, "cat_file", read)
        other.check()
        return read(self, path, **options)

    monkeypatch.setattr(MemoryFileSystem, "cat_file", between)
    one.check()
