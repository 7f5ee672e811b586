"""What is put away comes back whole, what is forgotten is gone, and what kills have left is swept."""

from __future__ import annotations

from pathlib import Path

import pytest

from shotstream.serving.storage.stored import StoreError, Swept
from tests.serving.storage.numbered_story import begin, check, check_board, journal

pytestmark = pytest.mark.unit


def test_a_deleted_story_comes_back_whole(store):
    first, second = begin(store), begin(store)
    for number in range(3):
        journal(store, first, number)
    assert [story.id for story in store.stories()] == [first, second]
    store.delete(first)
    assert [story.id for story in store.stories()] == [second]
    assert [story.id for story in store.stories(deleted=True)] == [first]
    assert store.sweep() == Swept()
    store.undelete(first)
    assert check(store.load(first)) == 3
    check_board(store.snapshot(first), 3)
    assert store.stories(deleted=True) == []


def test_a_story_is_forgotten_for_good_once_it_is_put_away_and_nothing_branches_off(store):
    story, other = begin(store), begin(store)
    for number in range(5):
        journal(store, story, number)
        journal(store, other, number)
    branch = begin(store, parent=(story, 0))
    with pytest.raises(StoreError, match="is not put away; put it away first"):
        store.forget(story)
    store.delete(story)
    with pytest.raises(StoreError, match=f"{branch}.* branches off"):
        store.forget(story)
    assert check(store.load(story)) == 5
    for gone in (branch, story):
        store.delete(gone)
        store.forget(gone)
        with pytest.raises(StoreError, match="no story"):
            store.load(gone)
    assert [folder.name for folder in (store.folder / "stories").iterdir()] == [other]
    assert store.history(story) == []
    assert check(store.load(other)) == 5


@pytest.fixture
def told(store) -> str:
    """A story of three chunks."""
    story = begin(store)
    for number in range(len("spcpcpc")):
        journal(store, story, number)
    return story


def put(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"something")


def test_halves_of_files_are_removed(store, told):
    folder = store.folder / "stories" / told
    halves = [
        folder / "chunks" / ".9-0-1-99.123-124.part.safetensors",
        folder / "clips" / ".0-0-0-2.123-124.part.packets",
        folder / "stills" / ".0-0-3.123-124.part.png",
        store.folder / "uploads" / ".abd.123-124.part.png",
    ]
    put(*halves)
    assert store.sweep() == Swept(halves=4)
    assert not any(half.exists() for half in halves)
    assert check(store.load(told)) == 7


def test_what_the_database_does_not_know_is_moved_aside_and_told(store, told):
    folder = store.folder / "stories" / told
    unknown = [
        folder / "chunks" / "9-0-0-99.safetensors",
        folder / "chunks" / "notes.txt",
        folder / "chunks" / ".notes.123-124.part.txt",
        folder / "clips" / "9-0-0-99.packets",
        folder / "stills" / "9-0-0.png",
        folder / "a folder" / "something",
        store.folder / "stories" / "a file",
    ]
    known = [folder / "stills" / "0-0-3.png", store.folder / "uploads" / "abc.png", store.folder / "x" / "y"]
    put(*unknown, *known)
    for turn in (1, 2):
        swept = store.sweep()
        moved = {file if file.name != "something" else file.parent for file in unknown}
        assert {store.folder / file for file in swept.lost} == moved
        assert swept.lost_to == Path("lost") / str(turn)
        for file in unknown:
            assert not file.exists()
            moved_to = store.folder / swept.lost_to / file.relative_to(store.folder)
            assert moved_to.read_bytes() == b"something"
        assert sorted(sentence.split(" that ")[0] for sentence in swept.sentences) == [
            "1 files in stories/a file",
            f"6 files in stories/{told}",
        ]
        assert store.sweep() == Swept()
        put(*unknown)
    assert all(file.exists() for file in known)
    assert check(store.load(told)) == 7


def test_a_folder_that_the_database_does_not_know_is_left_alone_and_told(store, told):
    stranger = store.folder / "stories" / "abcdefghijkl" / "chunks" / "0-0-0-0.safetensors"
    put(stranger)
    swept = store.sweep()
    assert swept == Swept(unknown_folders=[Path("stories/abcdefghijkl")])
    assert "library check --adopt" in swept.sentences[0]
    assert stranger.exists()


def test_chunks_that_are_gone_are_told(store, told):
    gone = store.load(told).chunks[1].path
    gone.unlink()
    swept = store.sweep()
    assert swept == Swept(missing=[gone.relative_to(store.folder)])
    assert gone.name in swept.sentences[0]


@pytest.mark.parametrize("linked", ["clips", "stills", "chunks", "."])
def test_nothing_behind_a_link_is_touched(store, told, tmp_path, linked):
    place = store.folder / "stories" / told / linked
    elsewhere = tmp_path / "elsewhere"
    strange = [elsewhere / name for name in ("holiday.png", "0-0-0-99.packets", ".0-0-0-2.1-2.part.packets")]
    if place.exists():
        place.rename(elsewhere)
    put(*strange)
    place.symlink_to(elsewhere, target_is_directory=True)
    swept = store.sweep()
    assert all(file.exists() for file in strange)
    assert place.is_symlink() == (linked in ("chunks", "."))
    assert len(swept.sentences) == 1
    if linked in ("chunks", "."):
        assert swept == Swept(links=[place.relative_to(store.folder)])
        assert check(store.load(told)) == 7
    else:
        assert swept.lost == [place.relative_to(store.folder)]
