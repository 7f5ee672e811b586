"""Messages of a socket put together: when a clip is whole, and when a shot has ended."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest

from shotstream.client.feed import Feed, StudioError
from shotstream.serving.protocol.events import Dropped, Receipt, Refused, ShotChanged, StateChanged, Turned
from shotstream.serving.protocol.messages import ProtocolError, VideoHeader, read_message
from shotstream.serving.protocol.states import State

pytestmark = pytest.mark.unit


def card(state: str, frames: int = 0, take: int = 0, **more: object) -> str:
    facts = {
        "prompt": "a fox",
        "prompts": [],
        "length_seconds": 2.0,
        "seed": 0,
        "takes": take + 1,
        "chunks": 0,
    }
    return ShotChanged(number=0, state=state, frames=frames, take=take, **facts, **more).model_dump_json()  # pyright: ignore


def frames(first: int, count: int, take: int = 0, last: bool = False) -> list[bytes]:
    return [
        VideoHeader(1, 0, take, first + number, (number == 0) + 2 * (last and number == count - 1), 0).pack()
        + b"u"
        for number in range(count)
    ]


def hear(feed: Feed, *messages: str | bytes) -> list[tuple[int, int]]:
    """Take messages; return (first frame, frame after the last) of the clips that are whole now."""
    for message in messages:
        feed.hear(message)
    clips = [(clip.first_frame, clip.end_frame) for clip in feed.clips]
    feed.clips.clear()
    return clips


def test_a_clip_is_whole_when_its_card_has_counted_it() -> None:
    feed = Feed("abcdefghijkl")
    assert hear(feed, card("live", 5), *frames(0, 5)) == [(0, 5)]


def test_a_clip_is_whole_when_something_else_comes() -> None:
    feed = Feed("abcdefghijkl")
    assert hear(feed, card("live"), *frames(0, 5)) == []
    assert hear(feed, frames(5, 8)[0]) == [(0, 5)], "the next keyframe"
    assert hear(feed, card("live", 13)) == [(5, 6)], "a text"


def test_the_last_clip_of_a_shot_is_whole_at_once() -> None:
    feed = Feed("abcdefghijkl")
    hear(feed, card("live"))
    feed.hear(b"".join(frames(0, 1, last=True)))
    assert feed.clips[0].last


def test_a_shot_has_ended_when_all_its_frames_have_come() -> None:
    feed = Feed("abcdefghijkl")
    hear(feed, card("queued"), card("live", 5), *frames(0, 5))
    assert not feed.has_ended(0)
    hear(feed, card("done", 13))
    assert not feed.has_ended(0), "a clip comes a little after its card"
    hear(feed, *frames(5, 8))
    assert feed.has_ended(0)


def test_a_retake_has_not_ended_with_the_take_before_it() -> None:
    feed = Feed("abcdefghijkl")
    hear(feed, card("live", 5), *frames(0, 5), card("done", 5))
    assert feed.has_ended(0)
    hear(feed, card("queued", 5))
    assert not feed.has_ended(0)
    for message in (*frames(0, 5, take=1), card("done", 5, take=1)):
        feed.hear(message)
    clip = feed.next_clip(0)
    assert clip is not None
    assert (clip.take, feed.has_ended(0)) == (1, True)


def test_what_was_put_aside_is_let_go_and_comes_once_more() -> None:
    feed = Feed("abcdefghijkl")
    for message in (card("live", 13), *frames(0, 5), *frames(5, 8), *frames(13, 8), card("live", 21)):
        feed.hear(message)
    feed.hear(Turned(shot=0, take=0, frame=5).model_dump_json())
    assert [clip.first_frame for clip in feed.clips] == [0]
    assert hear(feed, card("done", 13)) == [(0, 5)]
    assert not feed.has_ended(0), "the clip in its place is still to come"
    assert hear(feed, *frames(5, 8)) == [(5, 13)]
    assert feed.has_ended(0)


def test_a_retake_begins_with_no_clip_of_the_take_before_it() -> None:
    feed = Feed("abcdefghijkl")
    made = [(0, 0)]
    hear(feed, card("live", 5), *frames(0, 5), card("done", 13, made=made), card("queued", 13, made=made))
    first_take = feed.next_take(0)
    for message in frames(5, 8):
        feed.hear(message)
    assert feed.next_clip(0, first_take) is None, "the card is still that of the take before"
    for message in (card("live", 5, take=1), *frames(0, 5, take=1)):
        feed.hear(message)
    clip = feed.next_clip(0, first_take)
    assert clip is not None
    assert clip.take == 1


def test_of_a_shot_that_was_done_before_nothing_is_waited_for() -> None:
    feed = Feed("abcdefghijkl")
    hear(feed, card("done", 5))
    assert feed.has_ended(0)
    assert feed.has_ended(7), "one that is gone"


def test_a_story_that_stands_still_is_an_error() -> None:
    feed = Feed("abcdefghijkl")
    hear(feed, card("live"), StateChanged(state=State.FAILED, reason="the disk is full").model_dump_json())
    with pytest.raises(StudioError, match="the disk is full"):
        feed.has_ended(0)
    with pytest.raises(StudioError, match="cannot be read"):
        feed.hear('{"type": "error", "message": "it cannot be read"}')


def test_answers_wait_for_who_asked() -> None:
    feed = Feed("abcdefghijkl")
    first, second = (feed.command("redirect", prompt="a cat") for _ in range(2))
    assert first.id != second.id
    feed.hear(Receipt(id=first.id, applies_from=None).model_dump_json())
    feed.hear(Refused(id=second.id, code="busy", message="32 commands wait").model_dump_json())
    assert feed.accepted(feed.answers[first.id]).id == first.id
    with pytest.raises(StudioError, match="32 commands wait") as refused:
        feed.accepted(feed.answers[second.id])
    assert refused.value.code == "busy"


def test_commands_are_those_of_the_protocol() -> None:
    feed = Feed("abcdefghijkl")
    shoot = feed.command("shoot", prompt="a fox", seconds=2, seed=None)
    assert read_message(shoot.model_dump_json(exclude_none=True)) == shoot
    assert read_message(feed.hello()).type == "hello"
    with pytest.raises(ProtocolError):
        feed.command("shoot", prompt="")
    with pytest.raises(ProtocolError, match="playhead"):
        feed.command("playhead", shot=0, take=0, frame=0)


def test_frames_that_were_left_out_are_counted() -> None:
    feed = Feed("abcdefghijkl")
    feed.hear(Dropped(frames=12).model_dump_json())
    feed.hear(Dropped(frames=5).model_dump_json())
    assert feed.dropped_frames == 17


def test_a_missing_package_is_a_sentence(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    monkeypatch.delitem(sys.modules, "shotstream.client.address", raising=False)
    with pytest.raises(ImportError, match=r'pip install "shotstream\[client\]"'):
        import_module("shotstream.client.address")
