"""What somebody who comes to watch is sent first."""

from __future__ import annotations

import asyncio

import pytest

from shotstream.serving.protocol.events import Limits, Receipt
from shotstream.serving.served_model import ServedModel
from shotstream.serving.storage.store import Store
from shotstream.serving.studio import Studio
from tests.serving.conftest import command

pytestmark = pytest.mark.system


async def first_takes(store: Store, model: ServedModel, *commands: dict) -> list[tuple[int, int]]:
    """Tell a story of two shots, direct more, and come to watch: (shot, take) of what is missed."""
    studio = Studio(store, model, Limits(lookahead_seconds=60))
    await studio.start()
    story = await studio.begin("a fox", 1)
    shots = [{"type": "shoot", "prompt": prompt, "chunks": 2} for prompt in ("runs", "sleeps")]
    for number, fields in enumerate([*shots, *commands]):
        answer = await studio.direct(story, command(id=str(number), **fields))
        assert isinstance(answer, Receipt), answer
        while (await studio.snapshot(story)).state != "idle":
            await asyncio.sleep(0.01)
    chunks, _ = studio._missed(story, None)
    await studio.close()
    return [(chunk.shot, chunk.take) for chunk in chunks]


@pytest.mark.parametrize(
    ("commands", "seen"),
    [
        ([], (1, 0)),
        ([{"type": "retake", "shot": 0}], (0, 1)),
        ([{"type": "retake", "shot": 1}, {"type": "choose", "shot": 1, "take": 0}], (1, 0)),
        ([{"type": "retake", "shot": 0}, {"type": "delete", "shot": 0}], (1, 0)),
        ([{"type": "delete", "shot": 0}, {"type": "delete", "shot": 1}], None),
    ],
)
def test_the_newest_take_that_stands_is_sent(tmp_path, pipeline, commands, seen) -> None:
    with Store(tmp_path) as store:
        missed = asyncio.run(first_takes(store, ServedModel(pipeline, "tiny", "0" * 64), *commands))
        assert missed == ([seen] * 2 if seen else [])
