"""A story as a page draws it: a card for every shot, the frames it remembers, how full its caches are."""

from __future__ import annotations

from typing import Literal

from shotstream.serving.protocol.commands import Shoot
from shotstream.serving.protocol.events import (
    AutoRetakeChanged,
    CastChanged,
    Change,
    Deleted,
    Memory,
    MemoryChanged,
    MemoryFrame,
    Parent,
    PlacedSound,
    SettingChanged,
    ShotCard,
    ShotChanged,
    Snapshot,
    SoundsChanged,
    StateChanged,
)
from shotstream.serving.story.director import Director
from shotstream.serving.story.waiting import is_skipped
from shotstream.streaming.context_frames import ContextFrame
from shotstream.streaming.take import TakeRecord


def snapshot(story: Director, parent: Parent | None = None) -> Snapshot:
    """All that a page needs to draw a story."""
    return Snapshot(
        setting=story.session.setting,
        seed=story.session.seed,
        state=story.machine.state,
        reason=story.machine.reason,
        shots=_cards(story),
        memory=_memory(story),
        parent=parent,
        sounds=[
            PlacedSound(sound=sound, offset_seconds=offset, gain_db=gain)
            for sound, (offset, gain) in sorted(story.edit.sounds.items())
        ],
        cast=list(story.edit.cast),
        auto_retake=story.contests.rule,
    )


def beginning(now: Snapshot) -> list[Change]:
    """What must be told to those who know nothing of an idle story."""
    board: list[Change] = [
        *(ShotChanged(**dict(card)) for card in now.shots),
        MemoryChanged(**dict(now.memory)),
    ]
    board += [SoundsChanged(sounds=now.sounds)] if now.sounds else []
    return [*board, CastChanged(cast=now.cast)] if now.cast else board


def changes(before: Snapshot, now: Snapshot) -> list[Change]:
    """What must be told to those who know `before`, for them to know `now`."""
    former = {card.number: card for card in before.shots}
    gone = range(len(now.shots), len(before.shots))
    changed: list[Change] = [Deleted(shot=shot) for shot in gone]
    changed += [ShotChanged(**dict(card)) for card in now.shots if former.get(card.number) != card]
    if (now.state, now.reason) != (before.state, before.reason):
        changed.append(StateChanged(state=now.state, reason=now.reason))
    if now.memory != before.memory:
        changed.append(MemoryChanged(**dict(now.memory)))
    if now.sounds != before.sounds:
        changed.append(SoundsChanged(sounds=now.sounds))
    if now.cast != before.cast:
        changed.append(CastChanged(cast=now.cast))
    if now.setting != before.setting:
        changed.append(SettingChanged(setting=now.setting))
    if now.auto_retake != before.auto_retake:
        changed.append(AutoRetakeChanged(rule=now.auto_retake))
    return changed


def _cards(story: Director) -> list[ShotCard]:
    records, live = list(story.session.script), story.live
    if live and live.record.shot == len(records) and story.machine.running:
        records.append(live.record)
    cards = [_card(story, record) for record in records]
    waiting = enumerate(story.waiting.new_shots, len(cards))
    return cards + [_waiting_card(story, number, shot) for number, shot in waiting]


def _card(story: Director, record: TakeRecord) -> ShotCard:
    live, shot = story.live, record.shot
    length = live.length_chunks if live and live.record.shot == shot else record.chunks
    in_frame, out_frame = story.edit.points(shot, record.take)
    return ShotCard(
        number=shot,
        prompt=story.edits.get(shot, record.prompt),
        prompts=record.prompts,
        length_seconds=story.timing.seconds(max(length, 1)),
        seed=record.seed,
        take=record.take,
        takes=max(story.takes.next_take(shot), record.take + 1),
        state=_state(story, shot),
        chunks=record.chunks,
        frames=story.timing.frames(record.chunks) if record.chunks else 0,
        made=story.takes.made(shot),
        in_frame=in_frame,
        out_frame=out_frame,
        written=story.written.get(story.edits.get(shot, record.prompt)),
        lora=_lora(story, record),
        place=place if (place := story.session.context.place(shot)) != shot else None,
        continuity=[known for take, _ in story.takes.made(shot) if (known := story.scores.get((shot, take)))],
    )


def _lora(story: Director, record: TakeRecord) -> list[str] | None:
    """The LoRAs of a take, if others than those of the model."""
    if record.adapters == story.session.pipeline.active_adapters:
        return None
    return [f"{use.name}:{use.scale:g}" for use in record.adapters]


def _waiting_card(story: Director, number: int, shot: Shoot) -> ShotCard:
    take = story.takes.number_of(shot, number)
    return ShotCard(
        number=number,
        prompt=shot.prompt,
        prompts=[],
        length_seconds=story.timing.seconds(story.session.length_chunks(shot.seconds, shot.chunks)),
        seed=story.session.seed if shot.seed is None else shot.seed,
        take=take,
        takes=take + 1,
        state="skipped" if is_skipped(shot) else "queued",
        chunks=0,
        frames=0,
        in_frame=shot.in_frame or 0,
        out_frame=shot.out_frame,
        written=story.written.get(shot.prompt),
        lora=shot.lora,
        references=shot.references or [],
    )


def _state(story: Director, shot: int) -> Literal["queued", "live", "done", "stale", "deleted"]:
    live = story.live
    running = live if live and live.record.shot == shot and story.machine.running else None
    if running and running.made:
        return "live"
    if (
        shot in story.session.context.left_out
    ):  # the first chunk of a retake brings it back, no retake to come
        return "deleted"
    if running or any(not isinstance(command, Shoot) and command.shot == shot for command in story.waiting):
        return "queued"
    return "stale" if shot in story.stale else "done"


def _memory(story: Director) -> Memory:
    """What the running shot, or else the next one, is made from."""
    config = story.session.pipeline.transformer.config
    session, live = story.session, story.live
    running = live if live and story.machine.running else None
    shot = running.record.shot if running else len(session.script)
    prompt = running.record.prompt if running else None
    if prompt is None and (waiting := story.waiting.coming_shots):
        prompt = waiting[0].prompt
    remembered, why = session.context.choose(shot, prompt), session.context.why(shot, prompt)
    chosen = {frame.key for frame in remembered}
    pinned = [pin for pin in session.context.pins if pin.key not in chosen]  # from the next shot on
    made = min(live.made, config["window_chunks"]) if live else 0
    return Memory(
        frames=[_frame(story, frame, why.get(frame.shot)) for frame in [*remembered, *pinned]],
        global_used=len(remembered),
        global_size=config["context_frames"],
        local_used=made * config["chunk_frames"],
        local_size=config["window_chunks"] * config["chunk_frames"],
    )


def _frame(story: Director, frame: ContextFrame, why: str | None) -> MemoryFrame:
    if frame.is_reference:
        upload = story.uploads.get(frame.key)
        return MemoryFrame(shot=frame.shot, take=0, frame=frame.frame, source="reference", upload=upload)
    pins = [pin.key for pin in story.session.context.pins]
    if frame.key in pins:
        return MemoryFrame(shot=frame.shot, take=frame.take, frame=frame.frame, source="pin")
    return MemoryFrame(shot=frame.shot, take=frame.take, frame=frame.frame, source="rule", why=why)
