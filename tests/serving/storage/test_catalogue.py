"""A library is read a page at a time, with as few questions as if it were small."""

from __future__ import annotations

import pytest
from sqlalchemy import event, update

from shotstream.serving.storage.catalogue import Catalogue
from shotstream.serving.storage.schema import stories
from shotstream.serving.storage.store import Store
from tests.serving.storage.numbered_story import begin, journal

pytestmark = pytest.mark.unit


def pages(store: Store, most: int, **options) -> list[list[str]]:
    listed, before = [], None
    while True:
        page, before = Catalogue(store).page(most, before=before, **options)
        listed.append([story.summary.id for story in page])
        if before is None:
            return listed


@pytest.mark.parametrize("at_once", [False, True])
def test_pages_have_every_story_once_the_newest_first(store, at_once: bool) -> None:
    """Also those that changed in the same moment."""
    for _ in range(7):
        begin(store)
    if at_once:
        with store._transaction() as connection:
            connection.execute(update(stories).values(changed_seconds=1700000000.25))
    all_of_them = [story.id for story in store.stories()]
    for most, lengths in ((3, [3, 3, 1]), (7, [7]), (100, [7])):
        listed = pages(store, most)
        assert [len(page) for page in listed] == lengths
        assert [story for page in listed for story in page] == all_of_them


def test_what_is_put_away_has_pages_of_its_own(store) -> None:
    kept, gone = begin(store), begin(store)
    store.delete(gone)
    assert pages(store, 1) == [[kept]]
    assert pages(store, 1, deleted=True) == [[gone]]


def test_a_page_is_read_with_two_questions(store) -> None:
    for _ in range(20):
        journal(store, begin(store), 0)
    asked: list[str] = []
    event.listen(store._engine, "before_cursor_execute", lambda *arguments: asked.append(arguments[2]))
    page, _ = Catalogue(store).page(10)
    assert len([question for question in asked if question.startswith("SELECT")]) == 2
    assert all(story.cards for story in page)


@pytest.mark.parametrize("before", ["", "x", "1-abc", "1.5-ABCDEFGHIJKL", "nan-abcdefghijkl"])
def test_a_place_that_is_none_is_refused(store, before: str) -> None:
    with pytest.raises(ValueError, match="no page before"):
        Catalogue(store).page(1, before=before)


def test_a_family_is_a_story_with_all_its_branches(store) -> None:
    root, stranger = begin(store), begin(store)
    journal(store, root, 0)
    first, second = begin(store, parent=(root, 0)), begin(store, parent=(root, 0))
    grandchild = begin(store, parent=(first, 0))
    catalogue = Catalogue(store)
    for member in (root, first, second, grandchild):
        assert {one.summary.id for one in catalogue.family(member)} == {root, first, second, grandchild}
    assert [one.summary.id for one in catalogue.family(stranger)] == [stranger]
    assert (catalogue.stories(), catalogue.branches(root), catalogue.branches(second)) == (5, 2, 0)


def test_only_a_story_that_nothing_was_said_to_is_removed(store) -> None:
    said, titled, parent, empty = (begin(store) for _ in range(4))
    journal(store, said, 0)
    store.rename(titled, "mine")
    journal(store, parent, 0)
    branch = begin(store, parent=(parent, 0))
    removed = [Catalogue(store).remove_empty(story) for story in (said, titled, branch, empty, empty)]
    assert removed == [False, False, False, True, False]
    assert {story.id for story in store.stories()} == {said, titled, parent, branch}
