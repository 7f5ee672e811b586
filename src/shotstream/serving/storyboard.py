"""A story as a page draws it: a card for every shot, the frames it remembers, how full its caches are."""

from __future__ import annotations

from typing import Literal

from shotstream.serving.directed import DirectedStory
from shotstream.serving.events import MemoryChanged, MemoryFrame, Parent, ShotCard, Snapshot
from shotstream.streaming.take import TakeRecord


def snapshot(story: DirectedStory, parent: Parent | None = None) -> Snapshot:
    """All that a page needs to draw a story."""
    return Snapshot(
        setting=story.session.setting,
        seed=story.session.seed,
        state=story.machine.state,
        reason=story.machine.reason,
        shots=_cards(story),
        memory=_remembered(story),
        parent=parent,
    )


def memory(story: DirectedStory) -> MemoryChanged:
    """What the running shot, or else the next one, is made from."""
    config = story.session.pipeline.transformer.config
    frames, live = _remembered(story), story.live
    made = min(live.made, config["window_chunks"]) if live else 0
    return MemoryChanged(
        frames=frames,
        global_used=len(frames),
        global_size=config["context_frames"],
        local_used=made * config["chunk_frames"],
        local_size=config["window_chunks"] * config["chunk_frames"],
    )


def _cards(story: DirectedStory) -> list[ShotCard]:
    records, live = list(story.session.script), story.live
    if live and live.record.shot == len(records) and story.machine.running:
        records.append(live.record)
    return [_card(story, record) for record in records]


def _card(story: DirectedStory, record: TakeRecord) -> ShotCard:
    live, shot = story.live, record.shot
    length = live.length_chunks if live and live.record.shot == shot else record.chunks
    return ShotCard(
        number=shot,
        prompt=story.edits.get(shot, record.prompt),
        prompts=record.prompts,
        length_seconds=story.tempo.seconds(max(length, 1)),
        seed=record.seed,
        take=record.take,
        takes=record.take + 1,
        state=_state(story, shot),
        chunks=record.chunks,
        frames=story.tempo.frames(record.chunks) if record.chunks else 0,
    )


def _state(story: DirectedStory, shot: int) -> Literal["queued", "live", "done", "stale"]:
    live = story.live
    if live and live.record.shot == shot and story.machine.running:
        return "live" if live.made else "queued"
    if shot in story.reshoots:
        return "queued"
    return "stale" if shot in story.stale else "done"


def _remembered(story: DirectedStory) -> list[MemoryFrame]:
    session, live = story.session, story.live
    shot = live.record.shot if live and story.machine.running else len(session.script)
    pins = [pin.key for pin in session.memory.pins]
    return [
        MemoryFrame(
            shot=frame.shot,
            frame=frame.frame,
            source="reference" if frame.is_reference else "pin" if frame.key in pins else "rule",
        )
        for frame in session.memory.choose(shot)
    ]
