"""HTTP for how much attention remembered frames get; it is measured when somebody asks, and only then."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query

from shotstream.serving.protocol.refusal import Refusal
from shotstream.serving.web.answers import PROBLEMS, StoryPath, TheStudio
from shotstream.serving.web.bodies import AttentionRead, FrameAttention
from shotstream.streaming.attention_shares import attention_shares
from shotstream.streaming.session import StorySession

router = APIRouter(prefix="/api/stories", tags=["stories"], responses=PROBLEMS)


@router.get("/{story}/attention")
async def attention(
    studio: TheStudio, story: StoryPath, chunk: Annotated[int | None, Query(ge=0, lt=2**32)] = None
) -> AttentionRead:
    """Measure where a chunk of the newest shot looked: at which remembered frames, and at its own shot.

    The chunk is one that the next would see, by default the newest. The story stands still for one pass.
    """
    await studio.snapshot(story)  # whether there is such a story
    return await asyncio.wrap_future(studio.engine.look(story, partial(_measure, chunk)))


def _measure(chunk: int | None, session: StorySession) -> AttentionRead:
    """Measure it.

    Raises:
        Refusal: If no shot runs, or the chunk cannot be looked into.
    """
    try:
        shares = attention_shares(session, chunk)
    except ValueError as error:
        raise Refusal("not_now", str(error)) from error
    take = session.running
    assert take is not None
    record, overall, layers = take.record, shares.overall.tolist(), shares.layers.T.tolist()
    return AttentionRead(
        shot=record.shot,
        take=record.take,
        chunk=record.chunks - 1 if chunk is None else chunk,
        frames=[
            FrameAttention(shot=key.shot, take=key.take, frame=key.frame, share=share, layers=by_layer)
            for key, share, by_layer in zip(shares.frames, overall, layers, strict=False)
        ],
        own_share=overall[-1],
        own_layers=layers[-1],
    )
