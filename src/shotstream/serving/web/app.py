"""The studio as one ASGI app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

try:
    from fastapi import FastAPI
    from fastapi.staticfiles import StaticFiles
except ImportError as error:
    raise ImportError('The studio needs FastAPI and uvicorn: pip install "shotstream[serve]"') from error

from shotstream import __version__
from shotstream.serving.studio import Studio
from shotstream.serving.web import (
    attention,
    event_stream,
    exports,
    health,
    prompts,
    sockets,
    sound_files,
    stories,
    story_files,
    story_imports,
    videos,
    watching,
)
from shotstream.serving.web.access import Access
from shotstream.serving.web.answers import add_problems
from shotstream.serving.web.head import HeadAsGet
from shotstream.serving.web.security import Guard

PAGE = Path(__file__).with_name("static")
"""The page, as it was built from the folder ``studio`` of the sources."""


def create_app(studio: Studio, access: Access | None = None) -> FastAPI:
    """Make the app.

    Args:
        studio: Started and closed with the app.
        access: Who may ask; by default only this machine, without a token.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        starting = asyncio.create_task(studio.start())  # /readyz tells when it is done
        try:
            yield
        finally:
            await asyncio.gather(starting, return_exceptions=True)
            await app.state.unwatched.close()
            await studio.close()

    access = access or Access()
    app = FastAPI(
        title="ShotStream",
        version=__version__,
        summary="Tell a story shot by shot and watch it while it is generated.",
        description="Pictures and events come over the WebSocket `/api/live`; see docs/protocol.md.",
        openapi_url="/api/openapi.json",
        docs_url=None,  # it would fetch scripts from elsewhere
        redoc_url=None,
        servers=[{"url": access.root_path}] if access.root_path else None,
        lifespan=lifespan,
    )
    app.state.studio, app.state.unwatched = studio, videos.UnwatchedStories(studio)
    app.state.access = access
    parts = (
        health,
        attention,
        prompts,
        story_files,
        story_imports,
        stories,
        exports,
        sound_files,
        videos,
        event_stream,
        watching,
        sockets,
    )
    for part in parts:
        app.include_router(part.router)
    add_problems(app)
    app.add_middleware(HeadAsGet)
    app.add_middleware(Guard, access=access, metrics=studio.metrics)
    if PAGE.is_dir():
        app.mount("/", StaticFiles(directory=PAGE, html=True))
    return app
