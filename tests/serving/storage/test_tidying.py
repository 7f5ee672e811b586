"""What is put away comes back whole, what is forgotten is gone, and what kills have left is swept."""

from __future__ import annotations

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
    assert store.sweep() == Swept([], [], [])
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
    with pytest.raises(StoreError, match="is in use; delete it first"):
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


def test_sweeping_removes_what_no_row_speaks_of_and_reports_what_is_gone(store):
    story = begin(store)
    for number in range(len("spcpcpc")):
        journal(store, story, number)
    chunks = store.load(story).chunks
    paths, clips = [chunk.path for chunk in chunks], [chunk.clip for chunk in chunks]
    stranger = store.folder / "stories" / "abcdefghijkl" / "chunks" / "0-0-0-0.safetensors"
    picture, half_a_picture = (store.folder / "uploads" / name for name in ("abc.png", ".abd.123.part.png"))
    swept_away = [
        paths[0].with_name("9-0-0-99.safetensors"),
        paths[0].with_name(".9-0-1-99.123.part.safetensors"),
        clips[0].with_name("9-0-0-99.packets"),
        clips[0].with_name(f".{clips[1].stem}.123.part.packets"),
        half_a_picture,
    ]
    for file in (*swept_away, clips[0], stranger, picture):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    paths[1].unlink()
    swept = store.sweep()
    assert sorted(swept.removed) == sorted(swept_away)
    assert (swept.missing, swept.unknown_folders) == ([paths[1]], [stranger.parents[1]])
    assert sorted(paths[0].parent.iterdir()) == [paths[0], paths[2]]
    assert list(clips[0].parent.iterdir()) == [clips[0]]
    assert stranger.exists()
    assert picture.exists()
