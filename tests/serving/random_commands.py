"""Commands to a live story: a few that tests give, and random ones."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from shotstream.serving.story.live_story import LiveStory
from tests.serving.conftest import FOX, Studio

TURN: dict[str, Any] = {}
"""A turn of the engine instead of a command."""
UNSEEN: dict[str, Any] = {"type": "a chunk that nobody sees yet"}


def commands(kind: str, **fields: st.SearchStrategy) -> st.SearchStrategy[dict]:
    return st.fixed_dictionaries({"type": st.just(kind), **fields})


PROMPTS = ["runs", "sleeps", "a cat"]
prompts = st.sampled_from([*PROMPTS, "unheard words", "x" * 70])
shots = st.integers(0, 3)
points = st.sampled_from([0, 1, 3, 4, 7, 12])
lengths = st.integers(1, 5)
planned = st.fixed_dictionaries(
    {"prompt": prompts},
    optional={
        "chunks": lengths,
        "seed": st.integers(0, 2),
        "skipped": st.booleans(),
        "references": st.just([{"upload": FOX}]),
    },
)
trims = st.tuples(shots, points, points).map(
    lambda drawn: {
        "type": "trim",
        "shot": drawn[0],
        "in_frame": min(drawn[1:]),
        "out_frame": max(drawn[1:]) or None,
    }
)
any_command = st.one_of(
    commands("shoot", prompt=prompts, chunks=lengths),
    commands("shoot", prompt=prompts, seconds=st.floats(0.1, 9)),
    commands("shoot", prompt=prompts, chunks=lengths, after=st.just(True)),
    *(commands(kind) for kind in ("cut", "stop", "hold", "undo", "pause", "resume")),
    commands("redirect", prompt=prompts),
    commands("extend", chunks=lengths),
    commands("retake", shot=shots),
    commands("retake", shot=shots, prompt=prompts, seed=st.integers(0, 2)),
    commands("choose", shot=shots, take=st.integers(0, 2)),
    commands("branch", shot=shots),
    commands("pin", shot=shots, frame=st.sampled_from([0, 4, 12])),
    commands("unpin", shot=shots, frame=st.sampled_from([-1, 0, 4])),
    commands("reference", upload=st.sampled_from([FOX, "nothing"])),
    commands("edit", shot=shots, prompt=prompts),
    commands("reshoot", from_shot=shots),
    *[commands("move", shot=shots, before=st.one_of(st.none(), shots))] * 2,
    commands("delete", shot=shots),
    *[trims] * 2,
    *[commands("replan", from_shot=st.integers(2, 5), shots=st.lists(planned, max_size=3))] * 2,
)
SHOOT: dict[str, Any] = {"type": "shoot", "prompt": "runs", "chunks": 2}
OPENING = [SHOOT, TURN, TURN, {**SHOOT, "chunks": 1}, TURN, {**SHOOT, "prompt": "sleeps"}, TURN]
RESHOOT: dict[str, Any] = {"type": "reshoot", "from_shot": 0}
DELETE: dict[str, Any] = {"type": "delete", "shot": -1}
scenes = st.one_of(
    *[st.just([TURN])] * 3,
    *[any_command.map(lambda command: [command])] * 3,
    st.builds(lambda command: [command, TURN], commands("shoot", prompt=prompts, chunks=lengths)),
    st.builds(
        lambda edit: [edit, RESHOOT, TURN], commands("edit", shot=shots, prompt=st.sampled_from(PROMPTS))
    ),
    st.sampled_from([[], [{"type": "undo"}], [SHOOT, TURN, TURN]]).map(
        lambda after: [{"type": "stop"}, DELETE, *after]
    ),
)
steps = st.lists(scenes, min_size=4, max_size=14).map(
    lambda many: [*OPENING, *(step for scene in many for step in scene)]
)


def apply(studio: Studio, live: LiveStory, steps: list[dict], start: int = 0) -> None:
    """Command number n has the id n; all are answered before the next. Shot -1 is the newest."""
    for number, step in enumerate(steps, start):
        if step is UNSEEN:
            if live.may_work:
                live.make_chunk()
        elif step:
            newest = {"shot": max(0, len(live.snapshot.shots) - 1)} if step.get("shot") == -1 else {}
            studio.send(live, str(number), **{**step, **newest})
        else:
            studio.engine.turn()
            studio.show_newest(live)
            studio.clock.now += 0.05


half_seen = steps.flatmap(
    lambda all_seen: st.lists(st.integers(0, 3), min_size=len(all_seen), max_size=len(all_seen)).map(
        lambda unseen: [
            each for step, count in zip(all_seen, unseen, strict=True) for each in [step, *[UNSEEN] * count]
        ]
    )
)
"""The same, with chunks between that are made ahead, so that the next command may put them aside."""
