"""HTTP for those who run the studio, and what the page asks first."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response

from shotstream import __version__
from shotstream.serving.web.answers import TheStudio, gives, problem
from shotstream.serving.web.bodies import ModelFacts, Problem, Vocabulary

router = APIRouter(tags=["studio"])


@router.get("/healthz", response_class=PlainTextResponse)
async def healthz() -> str:
    """Whether the server runs."""
    return "ok\n"


@router.get("/readyz", response_class=Response, responses=gives("text/plain") | {503: {"model": Problem}})
async def readyz(studio: TheStudio) -> Response:
    """Whether the model is warm."""
    if not studio.ready:
        return problem(503, "the model is being warmed up, or cannot be: the log says")
    return PlainTextResponse("ready\n")


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(studio: TheStudio) -> Response:
    """Figures in Prometheus' format."""
    open_stories = studio.engine.open_stories
    studio.metrics.open_stories.set(len(open_stories))
    studio.metrics.queued_commands.set(sum(live.queued for live in open_stories))
    return Response(studio.metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/api/model")
async def model(studio: TheStudio) -> ModelFacts:
    """What tells the stories."""
    made_with = studio.model.made_with
    return ModelFacts(
        model=made_with.model,
        size=(made_with.width, made_with.height),
        fps=made_with.fps,
        chunk_seconds=studio.model.chunk_seconds,
        limits=studio.limits,
        version=__version__,
        loras=studio.model.loras,
    )


@router.get("/api/vocabulary")
async def vocabulary(studio: TheStudio, setting: str = "") -> Vocabulary:
    """What the model can be told, and of a story with this setting."""
    model = studio.model
    prompts, settings = model.examples(setting)
    return Vocabulary(
        words=None if model.words is None else list(model.words),
        prompts=list(prompts),
        settings=list(settings),
        names=list(model.names),
        hero=model.hero(setting),
        adapter=model.adapter.by,
    )
