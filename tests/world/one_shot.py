"""A story of one shot, changed, and how clearly that can be seen."""

from dataclasses import replace

import numpy as np

from shotstream.world.sampler import Character, WorldShot, WorldStory
from shotstream.world.scene import draw_shot

SIZE = {"height": 64, "width": 96}
STORY = WorldStory(
    seed=0,
    split="train",
    setting="",
    cast=(Character("cat", "red", "top hat", "white", "belly"),),
    place="meadow",
    time="day",
    landmark="tree",
    side="left",
    shots=(WorldShot("", (0,), "stands", "medium", "still", 1, 0.4),),
)


def with_shot(story=STORY, **changes):
    return replace(story, shots=(replace(story.shots[0], **changes),))


def with_hero(story=STORY, **changes):
    return replace(story, cast=(replace(story.cast[0], **changes),))


def picture(story):
    return draw_shot(story, 0, **SIZE)[0].astype(int)  # [H, W, 3]


def changed_share(one, other, clearly=30):
    """The share of pixels that differ clearly."""
    return (np.abs(picture(one) - picture(other)).max(axis=-1) > clearly).mean()
