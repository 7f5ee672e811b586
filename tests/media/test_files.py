from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shotstream.media.files import (
    DiskFull,
    FolderInUse,
    MediaError,
    atomic_path,
    claimed,
    clear_parts,
    whole_folder,
    write_text,
)

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


def test_parts_of_dead_runs_are_cleared_and_nothing_else(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    live = os.getppid()
    gone = [f".a.{dead.pid}-{dead.pid}.part.mp4", f".b.c.{dead.pid}-7.part", f".model.{dead.pid}.part"]
    stay = [f".a.{live}-{live}.part.mp4", "a.mp4", ".hidden", f"a.{dead.pid}-1.part.mp4", ".a.x-1.part.mp4"]
    for name in [*gone[:2], *stay]:
        (tmp_path / name).write_text("half")
    (tmp_path / gone[2] / "inside").mkdir(parents=True)
    clear_parts(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(stay)
    clear_parts(tmp_path / "nowhere")


def test_parts_are_named_as_they_are_cleared(tmp_path):
    """What this process left itself, before it writes again, is dead too."""
    a, b, c = (tmp_path / name for name in ("a.b.mp4", "b", "c"))
    unfinished = [atomic_path(a), atomic_path(b), whole_folder(c)]
    for opened in unfinished:
        part = opened.__enter__()
        if not part.exists():
            part.write_text("half")
    assert len(list(tmp_path.iterdir())) == 3
    clear_parts(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_claimed_by_one_process_at_a_time(tmp_path):
    folder = tmp_path / "new" / "story"
    code = (
        "import sys; from pathlib import Path; from shotstream.media.files import *\n"
        "try:\n    with claimed(Path(sys.argv[1])): pass\n"
        "except FolderInUse as error: sys.exit(str(error))"
    )
    words = [sys.executable, "-c", code, str(folder)]
    with claimed(folder):
        (folder / "a.mp4").write_text("")
        other = subprocess.run(words, capture_output=True, text=True)
        assert "Another process writes into" in other.stderr
        with pytest.raises(FolderInUse), claimed(folder):
            pass
    assert subprocess.run(words).returncode == 0
    assert [path.name for path in folder.iterdir()] == ["a.mp4"]


def test_a_claimed_folder_that_stays_empty_is_not_left(tmp_path):
    (tmp_path / "old").mkdir()
    for name in ("old", "new"):
        with claimed(tmp_path / name):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MediaError, match="Could not write"), claimed(tmp_path / "file"):
        pass
    with pytest.raises(MediaError, match="Could not write"), claimed(Path("/proc/nowhere")):
        pass
