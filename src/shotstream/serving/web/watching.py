"""Links with which others watch a story and can do nothing else."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request

from shotstream.serving.web.access import Access
from shotstream.serving.web.answers import PROBLEMS, StoryPath
from shotstream.serving.web.bodies import WatchLinks

router = APIRouter(prefix="/api/stories", tags=["stories"], responses=PROBLEMS)


@router.get("/{story}/watch")
async def links(request: Request, story: StoryPath) -> WatchLinks:
    """Links to watch a story with, for people who have no token."""
    return watch_links(request.app.state.access, story)


def watch_links(access: Access, story: str) -> WatchLinks:
    """Links to watch a story with.

    Raises:
        HTTPException: 409, if no token is asked for, so that whoever reaches the studio may do everything.
    """
    key = access.watch_key(story)
    if key is None:
        raise HTTPException(409, "nobody needs a link: the studio asks for no token; start it with --token")
    place, query = f"{access.root_path}/api/stories/{story}", f"?watch={key}"
    return WatchLinks(
        key=key, story=f"{place}{query}", events=f"{place}/events{query}", film=f"{place}/film.mp4{query}"
    )
