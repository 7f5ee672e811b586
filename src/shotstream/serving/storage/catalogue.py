"""The library as it is listed: a page at a time, families of branches, and how many stories there are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, delete, func, or_, select

from shotstream.serving.storage import rows
from shotstream.serving.storage.schema import chunks, events, shots, stories
from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import NoStory, StorySummary

_PLACE = re.compile(r"([0-9]+(?:\.[0-9]+)?)-([a-z0-9]{12})")
_MOST_GENERATIONS = 1000


@dataclass(frozen=True)
class ListedStory:
    """A story of a page."""

    summary: StorySummary
    cards: list[dict[str, Any]]
    """Its storyboard as JSON, see `ShotCard`; in order."""


class Catalogue:
    """Lists a library without reading more of it than is shown.

    Args:
        store: The library.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(
        self,
        most: int,
        *,
        deleted: bool = False,
        before: str | None = None,
        oldest_first: bool = False,
        search: str = "",
    ) -> tuple[list[ListedStory], str | None]:
        """List stories, or those that were put away, the newest change first.

        Args:
            most: How many.
            deleted: Those that were put away.
            before: Where the page before it ended.
            oldest_first: The other way round: the oldest change first.
            search: Words that all stand in the title, the setting or prompts that were told, in any case.

        Returns:
            The stories, and where the page ended; None if there are no more.

        Raises:
            ValueError: If `before` is no such place.
        """
        put_away = stories.c.deleted_seconds.is_not(None) if deleted else stories.c.deleted_seconds.is_(None)
        found = select(stories).where(put_away)
        for word in search.split():
            found = found.where(_has(word))
        if before is not None:
            found = found.where(_comes_after(before, oldest_first))
        order = (stories.c.changed_seconds, stories.c.id.desc())
        newest_first = (stories.c.changed_seconds.desc(), stories.c.id)
        found = found.order_by(*(order if oldest_first else newest_first)).limit(most + 1)
        with self._store.reading() as connection:
            read = connection.execute(found).all()
            listed = _listed(connection, read[:most])
        if len(read) <= most:
            return listed, None
        return listed, page_end(read[most - 1])

    def story(self, story: str) -> ListedStory:
        """Read one story as a page lists it.

        Raises:
            NoStory: If there is no such story, or it was put away.
        """
        with self._store.reading() as connection:
            row = rows.story_row(connection, story)
            if row.deleted_seconds is not None:
                raise NoStory(f"the story {story} was put away; bring it back on the page first")
            return ListedStory(rows.summary(row), _cards(connection, [story])[story])

    def family(self, story: str) -> list[ListedStory]:
        """List a story with all that it branched off, and all that branched off these; none that is put away.

        Raises:
            NoStory: If there is no such story.
        """
        with self._store.reading() as connection:
            root = rows.story_row(connection, story)
            for _ in range(_MOST_GENERATIONS):
                if root.parent_story is None:
                    break
                root = rows.story_row(connection, root.parent_story)
            members = select(stories.c.id).where(stories.c.id == root.id).cte(recursive=True)
            branches = select(stories.c.id).where(stories.c.parent_story == members.c.id)
            members = members.union_all(branches)
            known = stories.c.id.in_(select(members.c.id))
            found = select(stories).where(known, stories.c.deleted_seconds.is_(None))
            return _listed(connection, connection.execute(found).all())

    def stories(self) -> int:
        """Count the stories, those that are put away too."""
        return self._count(select(func.count()).select_from(stories))

    def branches(self, story: str) -> int:
        """Count the stories that branch off a story."""
        return self._count(select(func.count()).where(stories.c.parent_story == story))

    def remove_empty(self, story: str) -> bool:
        """Remove a story that nothing was ever said to and that has no title; return whether it was one."""
        with self._store._transaction() as connection:
            nothing = and_(stories.c.entries == 0, stories.c.title == "", stories.c.parent_story.is_(None))
            if connection.scalar(select(stories.c.id).where(stories.c.id == story, nothing)) is None:
                return False
            for table in (events, shots):
                connection.execute(delete(table).where(table.c.story == story))
            connection.execute(delete(stories).where(stories.c.id == story))
        return True

    def _count(self, counted: Select[Any]) -> int:
        with self._store.reading() as connection:
            return connection.scalar(counted) or 0


def _has(word: str) -> Any:
    """Stories with these letters in their title, their setting, or a prompt that a chunk was told."""
    texts = [func.lower(column) for column in (stories.c.title, stories.c.setting, chunks.c.prompt)]
    title, setting, prompt = (text.contains(word.lower(), autoescape=True) for text in texts)
    told = select(chunks.c.position).where(chunks.c.story == stories.c.id, prompt)
    return or_(title, setting, told.exists())


def page_end(last: StorySummary | Row[Any]) -> str:
    """Where a page ends whose last story is this one."""
    return f"{last.changed_seconds!r}-{last.id}"


def _comes_after(place: str, oldest_first: bool) -> Any:
    """Stories of the pages after a place."""
    match = _PLACE.fullmatch(place)
    if match is None:
        raise ValueError(f"there is no page before {place!r}; follow the link of the page after it")
    changed, story = float(match[1]), match[2]
    if oldest_first:
        at_once = and_(stories.c.changed_seconds == changed, stories.c.id < story)
        return or_(stories.c.changed_seconds > changed, at_once)
    at_once = and_(stories.c.changed_seconds == changed, stories.c.id > story)
    return or_(stories.c.changed_seconds < changed, at_once)


def _listed(connection: Connection, found: Sequence[Row]) -> list[ListedStory]:
    """Read stories of these rows, and all their cards at once; a story whose row is damaged is left out."""
    listed = rows.summaries(found)
    cards = _cards(connection, [summary.id for summary in listed])
    return [ListedStory(summary, cards[summary.id]) for summary in listed]


def _cards(connection: Connection, ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """The storyboards of stories, all read at once."""
    cards: dict[str, list[dict[str, Any]]] = {story: [] for story in ids}
    boards = select(shots.c.story, shots.c.card).where(shots.c.story.in_(ids)).order_by(shots.c.shot)
    for story, card in connection.execute(boards):
        cards[story].append(card)
    return cards
