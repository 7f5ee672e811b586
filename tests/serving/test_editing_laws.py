"""Whatever is done at the desk: the journal gives the same storyboard, and the film is what was shown."""

from __future__ import annotations

import os
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from shotstream.media.live import decode_chunk, encode_chunk
from shotstream.media.sounds import SoundFacts
from shotstream.serving.delivery.clips import encode_clip, pack_clip
from shotstream.serving.delivery.export import StoryFilm
from shotstream.serving.protocol.events import ShotCard, StateChanged, in_film
from shotstream.serving.protocol.states import State
from shotstream.serving.story.live_story import LiveStory
from shotstream.serving.story.waiting import is_skipped
from shotstream.story import shown_frames
from tests.media.tones import tone
from tests.serving.conftest import Studio, studios
from tests.serving.random_commands import SHOOT, TURN, UNSEEN, apply, commands, lengths, points, shots, trims

pytestmark = pytest.mark.law

SEQUENCES = 2000 if os.environ.get("SHOTSTREAM_LONG") else 60

WORDS = ["runs", "sleeps", "a cat"]
words = st.sampled_from(WORDS)
desk = st.one_of(
    commands("shoot", prompt=words, chunks=lengths),
    commands("shoot", prompt=words, chunks=lengths, after=st.just(True)),
    commands("shoot", prompt=words, chunks=lengths, in_frame=points),
    *[trims] * 3,
    commands("retake", shot=shots, seed=st.integers(0, 2)),
    commands("choose", shot=shots, take=st.integers(0, 2)),
    commands("redirect", prompt=words),
    commands("extend", chunks=lengths),
    *(commands(kind) for kind in ("cut", "stop", "hold", "undo", "undo")),
    *[commands("delete", shot=st.integers(0, 5))] * 2,
    *[commands("move", shot=shots, before=st.one_of(st.none(), shots))] * 3,
    commands("sound", offset_seconds=st.sampled_from([-0.5, 0.0, 1.0]), gain_db=st.sampled_from([0.0, -6.0])),
    commands("silence"),
)
order = st.fixed_dictionaries({"type": st.just("order"), "keys": st.lists(st.integers(0, 9), max_size=4)})
"""Shots that wait in another order, with as many new ones between as there are keys more than shots.

Key 7 skips a shot that waits, or takes it back in. New shots with a larger one are skipped.
"""
step = st.one_of(*[st.just(TURN)] * 4, *[st.just(UNSEEN)] * 2, *[desk] * 4, order)
THREE = [{**SHOOT, "chunks": 1}, TURN] * 3
openings = st.sampled_from([[SHOOT, TURN, TURN], THREE])
"""Of three short shots, so that there is something to move."""
sequences = st.tuples(openings, st.lists(step, min_size=8, max_size=30)).map(
    lambda parts: [*parts[0], *parts[1], TURN, TURN]
)


def direct(studio: Studio, live: LiveStory, steps: list[dict]) -> None:
    """As `apply`, with the order of what waits turned into the plan that the page sends."""
    data = tone(seconds=0.5)
    sound = studio.store.add_sound(live.story, data, "beep.wav", SoundFacts("wav", 0.5, [9] * 10)).sound
    for number, each in enumerate(steps):
        if each.get("type") == "order":
            apply(studio, live, [_replan(live, each["keys"])], number)
        else:
            named = {"sound": sound} if each.get("type") in ("sound", "silence") else {}
            apply(studio, live, [{**each, **named} if named else each], number)


def _replan(live: LiveStory, keys: list[int]) -> dict:
    begun = live.director.begun_shots
    waiting = [
        {"prompt": shot.prompt, "chunks": shot.chunks, "skipped": is_skipped(shot) != (key == 7)}
        for shot, key in zip(live.director.waiting.new_shots, [*keys, *[0] * 20], strict=False)
    ]
    new = [
        {"prompt": WORDS[key % 3], "chunks": 1 + key % 2, "skipped": key > 7} for key in keys[len(waiting) :]
    ]
    ordered = sorted(
        zip([*keys, *[9] * len(waiting)], [*waiting, *new], strict=False), key=lambda pair: pair[0]
    )
    return {"type": "replan", "from_shot": begun, "shots": [shot for _, shot in ordered]}


def shown_film(studio: Studio, live: LiveStory) -> list[np.ndarray]:
    """The frames that the viewer was shown of the takes on the storyboard, as browsers decode them."""
    film: list[np.ndarray] = []
    for card in in_film(live.snapshot.shots):
        film += _shown(studio, live, card)
    return film


def _shown(studio: Studio, live: LiveStory, card: ShotCard) -> list[np.ndarray]:
    frames: list[np.ndarray] = []
    wanted = shown_frames(card.frames, card.in_frame, card.out_frame)
    for chunk in studio.viewer(live).chunks:
        if (chunk.shot, chunk.take) != (card.number, card.take):
            continue
        decoded = decode_chunk(encode_chunk(chunk.frames, chunk.fps))
        here = range(chunk.first_frame, chunk.first_frame + len(decoded))
        first = max(wanted.start - here.start, 0)
        last = min(max(wanted.stop - here.start, 0), len(decoded))
        if first and first < last:  # the film begins inside a chunk: what is left is a chunk of its own
            decoded = decode_chunk(encode_chunk(decoded[first:last], chunk.fps))
            first, last = 0, len(decoded)
        frames += list(decoded[first:last])
    return frames


def keep_clips(studio: Studio, live: LiveStory) -> None:
    """What the recorder does."""
    made = {(chunk.shot, chunk.take, chunk.index): chunk for chunk in studio.viewer(live).chunks}
    for stored in studio.store.load(live.story).chunks:
        clip = encode_clip(made[stored.shot, stored.take, stored.chunk])
        studio.store.keep_clip(live.story, stored, pack_clip(clip))


def exported_film(studio: Studio, story: str, folder: Path) -> list[np.ndarray]:
    StoryFilm.of(studio.store, story).write(folder / f"{story}.mp4")
    with av.open(str(folder / f"{story}.mp4")) as film:
        return [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]


@settings(max_examples=SEQUENCES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sequences)
def test_the_storyboard_and_the_film_are_what_was_seen(pipeline, tmp_path_factory, steps: list[dict]) -> None:
    with studios(pipeline) as make_studio:
        studio = make_studio(shot_seconds=5.0, lookahead_seconds=4.0)
        live = studio.begin()
        direct(studio, live, steps)
        assert State.FAILED not in [said.state for said in studio.viewer(live).of(StateChanged)]
        again = make_studio(studio.store.copy(), shot_seconds=5.0, lookahead_seconds=4.0)
        assert again.open(live.story).snapshot == live.snapshot == again.store.snapshot(live.story)
        film = shown_film(studio, live)
        event(f"{min(len(film) // 10 * 10, 50)} frames or more")
        event(
            f"{sum(card.in_frame > 0 or card.out_frame is not None for card in live.snapshot.shots)} trimmed"
        )
        event(f"{len(live.snapshot.sounds)} sounds")
        event(f"{sum(card.place is not None for card in live.snapshot.shots)} moved")
        event(f"{sum(card.state == 'skipped' for card in live.snapshot.shots)} skipped")
        if film:
            keep_clips(studio, live)
            script = StoryFilm.of(studio.store, live.story).story
            placed = [(sound.offset_seconds, sound.gain_db) for sound in script.sounds]
            assert placed == [(sound.offset_seconds, sound.gain_db) for sound in live.snapshot.sounds]
            exported = exported_film(studio, live.story, tmp_path_factory.mktemp("film"))
            assert np.array_equal(exported, film)
