"""A story that is deleted for good while a shot of it runs leaves nothing behind."""

from __future__ import annotations

import asyncio
import random

import pytest

from shotstream.serving.delivery import recorder
from shotstream.serving.protocol.events import Limits
from shotstream.serving.served_model import ServedModel
from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import Swept
from shotstream.serving.studio import Studio
from tests.serving.conftest import command

pytestmark = pytest.mark.unit

STORIES = 8


async def delete_while_shot(studio: Studio, moment: float) -> None:
    story = await studio.begin("a fox", 1)
    await studio.direct(story, command(type="shoot", id="1", prompt="runs", chunks=40))
    await asyncio.sleep(moment)
    await studio.move_to_trash(story)
    await asyncio.to_thread(studio.store.forget, story)


def test_nothing_is_left(tmp_path, pipeline, monkeypatch, caplog):
    encode, chance = recorder.encode_clip, random.Random(0)

    def encode_slowly(chunk):
        import time

        time.sleep(0.02)  # the story is removed meanwhile
        return encode(chunk)

    monkeypatch.setattr(recorder, "encode_clip", encode_slowly)

    async def run(store: Store) -> None:
        studio = Studio(store, ServedModel(pipeline, "tiny", "0" * 64), Limits(lookahead_seconds=60))
        await studio.start()
        for _ in range(STORIES):
            await delete_while_shot(studio, chance.uniform(0.05, 0.3))
        await studio.close()

    with Store(tmp_path) as store:
        asyncio.run(run(store))
        assert store.sweep() == Swept()
        assert list((tmp_path / "stories").iterdir()) == []
        assert store.stories() == store.stories(deleted=True) == []
