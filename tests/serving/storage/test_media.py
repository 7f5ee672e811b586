"""Media files at an address: there before they are spoken of, and checked when they are brought from it."""

from __future__ import annotations

import shutil
from pathlib import Path

import fsspec
import numpy as np
import pytest

from shotstream.media.files import MediaError
from shotstream.media.sounds import read_sound
from shotstream.serving.delivery.clips import read_clip
from shotstream.serving.storage import rows
from shotstream.serving.storage.backup import back_up
from shotstream.serving.storage.integrity import check_library, open_to_read
from shotstream.serving.storage.leases import ReplicaFigures
from shotstream.serving.storage.media_files import OWNER_MARK, RemoteMediaFiles
from shotstream.serving.storage.shared_store import SharedStore
from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import DamagedChunk, StoreError
from tests.media.tones import tone
from tests.serving.storage.numbered_story import ONE_SHOT, begin, card, check, chunk, journal, tell

pytestmark = pytest.mark.unit

PICTURE = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)


def far_files(address: str) -> set[str]:
    """All but the owner's mark."""
    filesystem, path = fsspec.url_to_fs(address)
    return {found.removeprefix(path + "/") for found in filesystem.find(path)} - {OWNER_MARK}


def near_files(library: Path) -> set[str]:
    return {
        path.relative_to(library).as_posix()
        for kind in ("stories", "uploads")
        for path in (library / kind).rglob("*")
        if path.is_file()
    }


def full_story(store: Store) -> tuple[str, str, str]:
    """A story with a file of every kind: its id, and the names of a picture and a sound."""
    story = tell(store, 9)
    store.write_still(story, (0, 0, 3), PICTURE)
    (store.folder / "tone").write_bytes(data := tone())
    sound = store.add_sound(story, data, "a.wav", read_sound(store.folder / "tone", most_seconds=1))
    return story, store.add_picture(PICTURE), sound.sound


def moved(library: Path, target: Path) -> Path:
    """Another machine's folder: the database, and no file but that."""
    target.mkdir(mode=0o700)
    shutil.copy(library / "library.db", target)
    return target


def test_another_machine_reads_all_that_was_kept(address: str, tmp_path: Path) -> None:
    with Store(tmp_path / "library", media=address) as store:
        story, picture, sound = full_story(store)
        assert far_files(address) == near_files(store.folder)
    assert len(far_files(address)) >= 6
    with Store(moved(tmp_path / "library", tmp_path / "other"), media=address) as other:
        assert near_files(other.folder) == set()
        assert other.pictures() == {picture: False}
        assert check(other.load(story)) == 9
        assert np.array_equal(other.picture(picture), PICTURE)
        assert np.array_equal(other.read_still(story, (0, 0, 3)), PICTURE)
        found = other.find_sound(story, sound)
        assert found is not None
        assert found.path.read_bytes() == tone()
        assert near_files(other.folder) == far_files(address)
        journal(other, story, 9)
        assert other.sweep().sentences == []
        assert check_library(other) == []
    assert far_files(address) == near_files(tmp_path / "other")


def test_a_chunk_is_at_the_address_before_it_is_spoken_of(address: str, tmp_path: Path, monkeypatch) -> None:
    with Store(tmp_path / "library", media=address) as store:
        story = tell(store, 3)
        before, entries = far_files(address), store.load(story).entries

        def gone(*_: object, **__: object) -> None:
            raise ConnectionError("no route to host")

        monkeypatch.setattr(type(fsspec.url_to_fs(address)[0]), "pipe_file", gone)
        number = len(entries)
        while ONE_SHOT[number] != "c":
            journal(store, story, number)
            number += 1
        with pytest.raises(MediaError, match=r"Could not write .*no route to host; check the address"):
            journal(store, story, number)
        monkeypatch.undo()
        kept = store.load(story).entries
        assert kept[: len(entries)] == entries
        assert near_files(store.folder) == far_files(address) == before
        for number in range(len(kept), 9):
            journal(store, story, number)
        assert check(store.load(story)) == 9


def test_what_is_damaged_here_is_fetched_again(address: str, tmp_path: Path) -> None:
    with Store(tmp_path / "library", media=address) as store:
        story = tell(store, 9)
    for made in (tmp_path / "library" / "stories" / story / "chunks").iterdir():
        made.write_bytes(made.read_bytes()[:-3])
    with Store(tmp_path / "library") as store:  # which remembers the address
        assert check(store.load(story)) == 9
        assert check_library(store) == []


def test_what_is_damaged_there_is_told_and_made_again(address: str, tmp_path: Path) -> None:
    filesystem, path = fsspec.url_to_fs(address)
    with Store(tmp_path / "library", media=address) as store:
        story = begin(store)
        store.append_chunk(story, chunk(), [card(0, 1)])
        (made,) = store.load(story).chunks
        name = f"{path}/{made.path.relative_to(store.folder).as_posix()}"
        whole = filesystem.cat_file(name)
        filesystem.pipe_file(name, whole[:-1] + bytes([whole[-1] ^ 1]))
        (fault,) = check_library(store)
        assert "damaged at" in str(fault)
        assert f"put it back from {made.path}" in str(fault)
    with Store(moved(tmp_path / "library", tmp_path / "other"), media=address) as other:
        (lost,) = other.load(story).chunks
        with pytest.raises(DamagedChunk):
            lost.latents()
        (fault,) = check_library(other)
        assert fault.kind == "missing chunk"
        assert other.mend_chunk(story, lost, chunk())
        assert filesystem.cat_file(name) == whole
        assert check_library(other) == []


def test_a_network_that_is_gone_has_nothing_made_again(address: str, tmp_path: Path, monkeypatch) -> None:
    with Store(tmp_path / "library", media=address) as store:
        story = tell(store, 9)
    with Store(moved(tmp_path / "library", tmp_path / "other"), media=address) as other:
        kind = type(fsspec.url_to_fs(address)[0])

        def gone(*_: object, **__: object) -> None:
            raise ConnectionError("no route to host")

        monkeypatch.setattr(kind, "cat_file", gone)
        with pytest.raises(StoreError, match=r"Could not read .*far: no route to host"):
            other.load(story)
        monkeypatch.undo()
        assert check(other.load(story)) == 9


def test_what_is_deleted_for_good_is_deleted_there(address: str, tmp_path: Path) -> None:
    with Store(tmp_path / "library", media=address) as store:
        story, picture, _ = full_story(store)
        kept = tell(store, 5)
        store.delete(story)
        store.forget(story)
        store.remove_picture(picture)
        assert all(name.startswith(f"stories/{kept}/") for name in far_files(address))
        assert far_files(address) == near_files(store.folder)


def test_a_duplicate_is_kept_there_too(address: str, tmp_path: Path) -> None:
    with Store(tmp_path / "library", media=address) as store:
        story, *_ = full_story(store)
    with Store(moved(tmp_path / "library", tmp_path / "other"), media=address) as other:
        copy = other.duplicate(story, "Another")
        assert len([name for name in far_files(address) if name.startswith(f"stories/{copy}/")]) >= 5
        other.delete(story)
        other.forget(story)
    with Store(moved(tmp_path / "other", tmp_path / "third"), media=address) as third:
        assert len(third.load(copy).entries) == 9
        assert check_library(third) == []


def test_a_copy_of_the_library_has_all_its_files(address: str, tmp_path: Path) -> None:
    with Store(tmp_path / "library", media=address) as store:
        story, *_ = full_story(store)
    moved(tmp_path / "library", tmp_path / "other")
    Store(tmp_path / "other", media=address).close()
    with open_to_read(tmp_path / "other") as reader:
        assert back_up(reader, tmp_path / "copy").missing == []
    with Store(tmp_path / "copy") as copy:  # which has its files in its folder
        assert copy.media.address is None
        assert check(copy.load(story)) == 9
        assert check_library(copy) == []


def test_a_library_with_files_is_moved_by_copying_them(address: str, tmp_path: Path) -> None:
    with Store(tmp_path / "library") as store:
        story = tell(store, 9)
    with pytest.raises(StoreError, match=r"lacks \d+ files of the library .*copy stories/ and uploads/"):
        Store(tmp_path / "library", media=address)
    filesystem, path = fsspec.url_to_fs(address)
    for name in near_files(tmp_path / "library"):
        filesystem.makedirs(f"{path}/{name}".rpartition("/")[0], exist_ok=True)
        filesystem.pipe_file(f"{path}/{name}", (tmp_path / "library" / name).read_bytes())
    Store(tmp_path / "library", media=address).close()
    shutil.rmtree(tmp_path / "library" / "stories")
    with Store(tmp_path / "library") as store:
        assert check(store.load(story)) == 9
    with pytest.raises(StoreError, match="has its media files at another address; leave --media out"):
        Store(tmp_path / "library", media="memory://elsewhere")
    note = tmp_path / "library" / "media-address"
    assert note.stat().st_mode & 0o077 == 0


def test_a_folder_is_one_address_however_it_is_given(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "media-address").write_text(f"file://{tmp_path}/far/\n")  # of an older studio
    for given in (f"{tmp_path}/far", f"file://{tmp_path}/far", "far/", None):
        with Store(tmp_path / "library", media=given) as store:
            assert store.media.address == f"{tmp_path}/far"


def test_an_address_of_another_library_is_refused(address: str, tmp_path: Path) -> None:
    with Store(tmp_path / "library", media=address) as store:
        tell(store, 9)
    before = far_files(address)
    for _ in range(2):  # and it is not left claimed
        with pytest.raises(StoreError, match=r"of another library, \w{12}; .* delete .*/library-id"):
            Store(tmp_path / "second", media=address)
    assert far_files(address) == before
    assert not (tmp_path / "second" / "media-address").exists()
    Store(tmp_path / "second").close()  # which goes on with its files in its folder
    Store(tmp_path / "library").close()
    filesystem, path = fsspec.url_to_fs(address)
    filesystem.rm_file(f"{path}/{OWNER_MARK}")
    with pytest.raises(StoreError, match=r"of 1 stories that this library does not know, such as stories/\w"):
        Store(tmp_path / "second", media=address)
    with Store(tmp_path / "library") as store:  # of an older studio, which left no mark
        assert filesystem.cat_file(f"{path}/{OWNER_MARK}") == f"{library_id(store)}\n".encode()
    with pytest.raises(StoreError, match="of another library"):
        Store(tmp_path / "second", media=address)


def test_two_that_come_at_once_do_not_both_stay(address: str, tmp_path: Path, monkeypatch) -> None:
    mark = RemoteMediaFiles.mark

    def mark_with_another(media: RemoteMediaFiles, own: str) -> None:
        mark(media, own)
        mark(media, "0" * 12)

    monkeypatch.setattr(RemoteMediaFiles, "mark", mark_with_another)
    with pytest.raises(StoreError, match="of another library, 000000000000; this one is"):
        Store(tmp_path / "library", media=address)


def test_a_restored_library_takes_its_place_again(address: str, tmp_path: Path) -> None:
    with Store(tmp_path / "library", media=address) as store:
        story, *_ = full_story(store)
        own = library_id(store)
    with open_to_read(tmp_path / "library") as reader:
        back_up(reader, tmp_path / "copy")
    (tmp_path / "library").rename(tmp_path / "lost")
    with Store(tmp_path / "copy", media=address) as copy:
        assert library_id(copy) == own
        assert check(copy.load(story)) == 9
        assert check_library(copy) == []
    (tmp_path / "copy").rename(tmp_path / "moved")
    with Store(tmp_path / "moved") as there:
        assert check(there.load(story)) == 9


def test_who_only_reads_marks_nothing(address: str, tmp_path: Path) -> None:
    filesystem, path = fsspec.url_to_fs(address)
    with Store(tmp_path / "library", media=address) as store:
        story = tell(store, 9)
        filesystem.rm_file(f"{path}/{OWNER_MARK}")
        with open_to_read(tmp_path / "library") as reader:
            assert check(reader.load(story)) == 9
        assert not filesystem.exists(f"{path}/{OWNER_MARK}")


def test_an_address_that_lacks_files_is_not_marked(address: str, tmp_path: Path) -> None:
    with Store(tmp_path / "library") as store:
        tell(store, 9)
    with pytest.raises(StoreError, match=r"lacks \d+ files of the library"):
        Store(tmp_path / "library", media=address)
    with Store(tmp_path / "second", media=address) as second:
        assert second.stories() == []


def library_id(store: Store) -> str:
    with store.reading() as connection:
        return rows.library_id(connection)


def test_an_empty_note_of_the_address_is_not_taken_for_the_folder(tmp_path: Path) -> None:
    with Store(tmp_path / "library", media=f"{tmp_path}/far"):
        pass
    (tmp_path / "library" / "media-address").write_text("\n")
    with pytest.raises(StoreError, match=r"media-address is empty: .* write the address into it"):
        Store(tmp_path / "library")


def test_replicas_with_folders_of_their_own_go_on_with_a_story(address: str, tmp_path: Path) -> None:
    """As on two machines: one database, one address, no folder in common."""
    with Store(tmp_path / "library", media=address) as store:
        url = f"sqlite:///{tmp_path}/library/library.db"
        one, two = (SharedStore(tmp_path / name, url, name, address) for name in ("one", "two"))
        for own in (one, two):
            store.leases.add(own.replica, "127.0.0.1:1", ReplicaFigures(places=2))
        story = begin(one)
        one.claim(story)
        one.append_chunk(story, chunk(), [card(0, 1)])
        store.leases.drop("one")
        two.claim(story)
        two.append_chunk(story, chunk(index=1), [card(0, 2)])
        first, second = two.load(story).chunks
        assert first.path.is_relative_to(tmp_path / "two")
        assert first.latents().equal(one.load(story).chunks[0].latents())
        assert second.latents().shape == first.latents().shape
        assert len(one.load(story).chunks) == 2
        for own in (one, two):
            own.close()
        with pytest.raises(OSError, match="No such file"):
            read_clip(first)


def test_how_large_a_library_is_counts_what_is_there(address: str, tmp_path: Path) -> None:
    with Store(tmp_path / "library", media=address) as store:
        tell(store, 9)
        known = sum((store.folder / name).stat().st_size for name in near_files(store.folder))
    with Store(moved(tmp_path / "library", tmp_path / "other"), media=address) as other:
        assert other.media.size() == known + len(f"{'0' * 12}\n")
