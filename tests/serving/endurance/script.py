"""What the director of the kill test asks for: every kind of command, most of them while a shot runs."""

from __future__ import annotations

from tests.serving.endurance.surviving_client import Step

SETTING = "An orange cat wearing a top hat is in a meadow on a sunny day."


def _shoot(prompt: str, chunks: int, *, after_chunks: int | None = None, **more: object) -> Step:
    return Step({"type": "shoot", "prompt": prompt, "chunks": chunks, **more}, after_chunks)


SCRIPT = [
    _shoot("Wide shot of the orange cat waving hello.", 3),
    Step({"type": "redirect", "prompt": "The cat jumps up and down."}, 1),
    _shoot("Close up. The cat looks around.", 4),
    Step({"type": "pin", "shot": 0, "frame": 4}, 1),
    _shoot("Medium shot of the orange cat dancing happily.", 3, after_chunks=1),
    Step({"type": "retake", "shot": 1, "prompt": "Close up of the cat waving hello.", "seed": 7}),
    Step({"type": "edit", "shot": 1, "prompt": "Medium shot. The cat jumps up and down."}),
    Step({"type": "reshoot", "from_shot": 0}),
    Step({"type": "choose", "shot": 1, "take": 0}),
    _shoot("Wide shot. The cat walks along.", 2),
    Step({"type": "hold"}, 1),
    Step({"type": "pause"}, 1),
    Step({"type": "resume"}, 0),
    Step({"type": "cut"}, 1),
    Step({"type": "extend", "chunks": 1}),
    _shoot("Close up. The cat looks around.", 2),
    Step({"type": "delete", "shot": 4}),
    Step({"type": "undo"}),
    Step({"type": "branch", "shot": 1}),
    Step({"type": "unpin", "shot": 0, "frame": 4}),
    _shoot("Medium shot. The orange cat walks along. The camera pans slowly.", 3),
    _shoot("Close up. The cat looks around.", 2, after_chunks=1, after=True),
    _shoot("Wide shot of the orange cat dancing happily.", 2),
]
