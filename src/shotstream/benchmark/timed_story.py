"""The story that is told while the time is taken, in words that the shipped model knows."""

from __future__ import annotations

SETTING = "An orange cat wearing a top hat is in a meadow on a sunny day."
PROMPTS = (
    "Wide shot of the orange cat waving hello.",
    "Close up. The cat looks around.",
    "Medium shot. The orange cat walks along. The camera pans slowly.",
    "In a wide shot, the cat jumps up and down.",
    "Medium shot of the orange cat dancing happily.",
)


def prompt(shot: int) -> str:
    """The prompt of a shot, counted from 0; longer stories begin again."""
    return PROMPTS[shot % len(PROMPTS)]
