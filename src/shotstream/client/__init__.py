"""A studio from another program: tell stories there, direct them, take their frames as arrays.

::

    from shotstream.client import Client

    with Client("http://127.0.0.1:8000") as studio:
        with studio.begin("A red fox is in the snow.", seed=3) as story:
            for clip in story.shoot("Wide shot of the fox walking along.", seconds=3):
                show(clip.frames)  # uint8 [T, H, W, 3]

`AsyncClient` is the same with ``await`` and ``async for``.
"""

from shotstream.client.asynchronous import AsyncClient, AsyncStudioStory
from shotstream.client.feed import Clip, StudioError
from shotstream.client.synchronous import Client, StudioStory

__all__ = ["AsyncClient", "AsyncStudioStory", "Client", "Clip", "StudioError", "StudioStory"]
