from __future__ import annotations

import pytest

from shotstream.media.files import MediaError, atomic_path, write_text

pytestmark = pytest.mark.cpu


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
