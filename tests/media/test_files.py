from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from shotstream.media.files import DiskFull, MediaError, atomic_path, write_text

pytestmark = pytest.mark.unit


def test_a_whole_file_takes_its_name_and_folders_are_made(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"
    write_text(path, "Grüße")
    assert path.read_text(encoding="utf-8") == "Grüße"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "half of it can be encoded, \ud800 cannot")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_name_keeps_the_suffix_and_the_folder(tmp_path):
    with atomic_path(tmp_path / "a.mp4") as part:
        assert part.parent == tmp_path
        assert part.suffix == ".mp4"
        part.touch()


@pytest.mark.parametrize("blocked", ["file/a.txt", "folder"])
def test_impossible_places_give_one_sentence(tmp_path, blocked):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(MediaError, match=r"Could not write .*choose another"):
        write_text(tmp_path / blocked, "text")


def test_a_file_is_on_the_disk_before_it_takes_its_name_and_its_name_before_the_call_returns(
    tmp_path, monkeypatch
):
    happened = []
    fsync, replace = os.fsync, Path.replace

    def note_sync(opened: int) -> None:
        happened.append(("sync", os.readlink(f"/proc/self/fd/{opened}")))
        fsync(opened)

    def note_rename(part: Path, path: Path) -> Path:
        happened.append(("rename", str(part), str(path)))
        return replace(part, path)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(Path, "replace", note_rename)
    path = tmp_path / "new" / "a.txt"
    write_text(path, "text")
    part = happened[1][1]
    assert happened == [
        ("sync", str(tmp_path)),
        ("sync", part),
        ("rename", part, str(path)),
        ("sync", str(path.parent)),
    ]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_no_room_is_told_from_other_errors(tmp_path, monkeypatch, number):
    def full(_: int) -> None:
        raise OSError(number, os.strerror(number))

    path = tmp_path / "a.txt"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MediaError) as caught:
        write_text(path, "new")
    assert isinstance(caught.value, DiskFull) == (number != errno.EIO)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
