"""HTTP for stories: the library, and everything that a director can say."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Body, Query, Response

from shotstream.serving.protocol.commands import Command, Playhead
from shotstream.serving.protocol.events import Receipt, Refused
from shotstream.serving.web.answers import PROBLEMS, StoryPath, TheStudio, problem
from shotstream.serving.web.bodies import Began, NewStory, StoryEntry, StoryRead, Titled, entry
from shotstream.serving.web.sockets import welcome
from shotstream.story import MOST_TITLE_CHARACTERS

_COPY = " (copy)"
MOST_LISTED = 100
"""Stories of one page: more would keep chunks from being made meanwhile."""

router = APIRouter(prefix="/api/stories", tags=["stories"], responses=PROBLEMS)


@router.get("")
async def list_stories(
    studio: TheStudio,
    response: Response,
    deleted: bool = False,
    limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = MOST_LISTED,
    before: Annotated[str | None, Query(max_length=64)] = None,
    search: Annotated[str, Query(max_length=200)] = "",
) -> list[StoryEntry]:
    """List stories of the library, or those that were put away, the newest change first.

    With `search`, those alone that have all its words in their title, setting or prompts. If there are
    more, the header `Link` has the address of the next page, with `rel="next"`.
    """
    page = partial(studio.catalogue.page, limit, deleted=deleted, before=before, search=search)
    listed, end = await asyncio.to_thread(page)
    if end:
        query = urlencode({"deleted": str(deleted).lower(), "limit": limit, "before": end, "search": search})
        response.headers["Link"] = f'<?{query}>; rel="next"'
    return [entry(story) for story in listed]


@router.post("", status_code=201)
async def begin(studio: TheStudio, new: NewStory) -> Began:
    """Begin a story."""
    return Began(story=await studio.begin(new.setting, new.seed, new.title))


@router.get("/{story}")
async def read(studio: TheStudio, story: StoryPath) -> StoryRead:
    """Read a story as it stands."""
    said = await welcome(studio, story, await studio.snapshot(story))
    title = (await asyncio.to_thread(studio.store.summary, story)).title
    return StoryRead(**dict(said), title=title, viewers=studio.viewers_of(story))


@router.get("/{story}/family")
async def family(studio: TheStudio, story: StoryPath) -> list[StoryEntry]:
    """List a story with all that it branched off, and all that branched off these."""
    return [entry(listed) for listed in await asyncio.to_thread(studio.catalogue.family, story)]


@router.patch("/{story}")
async def rename(studio: TheStudio, story: StoryPath, titled: Titled) -> Titled:
    """Give a story another title; the answer has it as it is kept."""
    await asyncio.to_thread(studio.store.rename, story, titled.title)
    return titled


@router.post("/{story}/duplicate", status_code=201)
async def duplicate(studio: TheStudio, story: StoryPath) -> Began:
    """Begin a story that is what this one is by now; what is done to one changes nothing of the other."""
    await asyncio.to_thread(studio.quotas.check_story)
    await studio.recorded()
    known = await asyncio.to_thread(studio.store.summary, story)
    title = f"{(known.title or known.setting)[: MOST_TITLE_CHARACTERS - len(_COPY)]}{_COPY}".strip()
    return Began(story=await asyncio.to_thread(studio.store.duplicate, story, title))


@router.delete("/{story}", status_code=204)
async def move_to_trash(studio: TheStudio, story: StoryPath) -> None:
    """Put a story away; it can be brought back."""
    await studio.move_to_trash(story)


@router.post("/{story}/undelete", status_code=204)
async def bring_back(studio: TheStudio, story: StoryPath) -> None:
    """Bring back a story that was put away."""
    await asyncio.to_thread(studio.store.undelete, story)


@router.delete("/{story}/forever", status_code=204)
async def forget(studio: TheStudio, story: StoryPath) -> None:
    """Remove a story that was put away, for good."""
    await asyncio.to_thread(studio.store.forget, story)


@router.post("/{story}/playhead", status_code=204)
async def show(studio: TheStudio, story: StoryPath, playhead: Playhead) -> None:
    """Say what is shown now: no more is made than `lookahead_seconds` after it."""
    await studio.snapshot(story)
    studio.playhead(story, playhead)


@router.post("/{story}/commands", response_model=Receipt)
async def direct(studio: TheStudio, story: StoryPath, command: Annotated[Command, Body()]):
    """Direct a story: any command of the protocol, answered by its receipt."""
    answer = await studio.direct(story, command)
    if isinstance(answer, Refused):
        return problem(404 if answer.code == "not_found" else 409, answer.message, answer.code)
    return answer
