"""A clip that a kill took is made again for whoever comes to watch, though nothing else is to be made."""

from __future__ import annotations

import asyncio

import pytest

from shotstream.serving.delivery.viewers import Viewer
from shotstream.serving.served_model import ServedModel
from shotstream.serving.storage.store import Store
from shotstream.serving.studio import Studio
from tests.serving.conftest import command

pytestmark = pytest.mark.system


async def tell(store: Store, model: ServedModel) -> str:
    """Tell a story of one shot to its end."""
    studio = Studio(store, model)
    await studio.start()
    story = await studio.begin("a fox", 1)
    await studio.direct(story, command(type="shoot", id="1", prompt="runs", chunks=2))
    while (await studio.snapshot(story)).state != "idle":
        await asyncio.sleep(0.01)
    await studio.close()
    return story


async def watch(store: Store, model: ServedModel, story: str, clips: int) -> list[list[bytes]]:
    """See so many clips of a story, in another process as it were."""
    studio, viewer = Studio(store, model), Viewer()
    await studio.start()
    await studio.join(story, viewer)
    viewer.replay(await studio.missed(story, None))
    seen: list[list[bytes]] = []
    try:
        while len(seen) < clips:
            said = await asyncio.wait_for(viewer.next(), 10)
            seen += [said] if isinstance(said, list) else []
    finally:
        await studio.close()
    return seen


def test_a_clip_that_was_lost_is_made_again_for_a_viewer(tmp_path, pipeline):
    model = ServedModel(pipeline, "tiny", "0" * 64)
    with Store(tmp_path) as store:
        story = asyncio.run(tell(store, model))
        before = asyncio.run(watch(store, model, story, 2))
        store.load(story).chunks[-1].clip.unlink()
        assert asyncio.run(watch(store, model, story, 2)) == before
