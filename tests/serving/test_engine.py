from __future__ import annotations

import gc
import weakref

import pytest
from sqlalchemy import delete

from shotstream.serving.protocol.events import Refused, ShotChanged
from shotstream.serving.protocol.refusal import Refusal
from shotstream.serving.protocol.states import State
from shotstream.serving.storage.schema import chunks
from tests.serving.conftest import Studio, command
from tests.waiting import until

pytestmark = pytest.mark.unit


def test_stories_take_turns_chunk_by_chunk(studio: Studio) -> None:
    """Also with one that is told already, and one whose viewers are gone."""
    open_stories = [studio.begin() for _ in range(4)]
    for live in open_stories[:3]:
        studio.send(live, type="shoot", prompt="runs", chunks=3)
    studio.run()
    assert studio.order == [live.story for live in open_stories[:3]] * 3


def test_opening_a_long_story_keeps_no_other_waiting(studio: Studio, make_studio) -> None:
    told = studio.begin()
    studio.send(told, type="shoot", prompt="runs", chunks=5)
    studio.run()
    again = make_studio(studio.store)
    other = again.begin()
    again.send(other, type="shoot", prompt="runs", chunks=2)
    opening = again.engine.open(told.story)
    again.run(2)
    assert len(again.viewer(other).chunks) == 2
    assert not opening.done()
    again.run()
    assert opening.result().snapshot == told.snapshot


def test_many_commands_keep_no_chunk_from_being_made(make_studio) -> None:
    studio = make_studio(queued_commands=3)
    live = studio.begin()
    studio.send(live, type="shoot", prompt="runs", chunks=3)
    for turn in range(3):
        for number in range(5):
            studio.offer(live, f"{turn} {number}", type="redirect", prompt="sleeps")
        studio.engine.turn()
    assert len(studio.viewer(live).chunks) == 3
    codes = [answer.code for answer in studio.viewer(live).answers if isinstance(answer, Refused)]
    assert codes == ["busy"] * 6


def test_a_story_that_rests_makes_room_before_one_that_is_made(make_studio) -> None:
    studio = make_studio(open_stories=2)
    made, rests = studio.begin(), studio.begin()
    for live in (made, rests):
        studio.send(live, type="shoot", prompt="runs", chunks=1)
    studio.run()
    studio.send(made, type="shoot", prompt="sleeps", chunks=2)
    for live in (made, rests):
        live.unlisten(studio.viewer(live))
    studio.begin()
    assert studio.engine.find(made.story)
    assert not studio.engine.find(rests.story)


def test_a_story_is_kept_from_its_first_command_on(make_studio) -> None:
    studio = make_studio(open_stories=1)
    said = studio.begin()
    studio.send(said, type="pause")
    said.unlisten(studio.viewer(said))
    empty = studio.begin()
    empty.unlisten(studio.viewer(empty))
    studio.begin()
    listed = [story.id for story in studio.store.stories()]
    assert len(listed) == 2, "the one in the middle is gone"
    studio.engine.close()
    assert [story.id for story in studio.store.stories()] == [said.story]


def test_unwatched_stories_make_room(make_studio) -> None:
    studio = make_studio(open_stories=2)
    first, second = studio.begin(), studio.begin()
    studio.send(first, type="shoot", prompt="runs", chunks=1)
    studio.run()
    with pytest.raises(Refusal, match="2 stories are open and watched") as refused:
        studio.begin()
    assert refused.value.code == "limit"
    first.unlisten(studio.viewer(first))
    studio.begin()
    studio.offer(first, type="shoot", prompt="runs")
    answer = studio.viewer(first).answers[-1]
    assert isinstance(answer, Refused), "nobody waits in vain for a story that was closed"
    second.unlisten(studio.viewer(second))
    assert studio.open(first.story).snapshot == first.snapshot


def test_a_branch_beyond_the_limit_waits_in_the_library(make_studio) -> None:
    studio = make_studio(open_stories=1)
    live = studio.begin()
    studio.send(live, type="shoot", prompt="runs", chunks=1)
    studio.run()
    branch = studio.send(live, type="branch", shot=0)
    assert branch.type == "receipt"
    live.unlisten(studio.viewer(live))
    assert len(studio.open(str(branch.story)).snapshot.shots) == 1


def test_what_cannot_be_opened_is_said(studio: Studio) -> None:
    with pytest.raises(Refusal, match="the setting has 2001 characters"):
        studio.begin("x" * 2001)
    with pytest.raises(LookupError):
        studio.open("nothing")
    studio.store.full = True
    with pytest.raises(OSError, match="the disk is full"):
        studio.begin()


def test_who_waits_when_the_studio_closes_is_answered(studio: Studio) -> None:
    live = studio.begin()
    studio.offer(live, type="shoot", prompt="runs")
    opening = [studio.engine.begin(), studio.engine.open("nothing")]
    studio.engine.turn()
    studio.offer(live, type="pause")
    studio.engine.close()
    assert [answer.type for answer in studio.viewer(live).answers] == ["receipt", "refused"]
    for future in opening:
        with pytest.raises(Refusal, match="the studio is closing"):
            future.result(0)


def test_the_thread_tells_stories_and_ends(studio: Studio) -> None:
    engine, answers = studio.engine, []
    engine.start()
    live = engine.begin("a fox").result(10)
    engine.offer(live, command(type="shoot", id="1", prompt="runs", chunks=2), answers.append)
    until(lambda: len(studio.order) == 2)
    engine.close()
    engine.offer(live, command(type="pause", id="2"), answers.append)
    assert [answer.type for answer in answers] == ["receipt", "refused"]
    with pytest.raises(Refusal, match="the studio is closing"):
        engine.begin().result(10)


def test_a_viewer_that_breaks_its_promise_harms_no_other(studio: Studio) -> None:
    engine, seen = studio.engine, []
    engine.start()
    bad, good = engine.begin().result(10), engine.begin().result(10)
    bad.listen(lambda event: 1 / 0)
    good.listen(seen.append)
    for live in (bad, good):
        engine.offer(live, command(type="shoot", id="1", prompt="runs", chunks=1), lambda answer: None)
    until(lambda: any(isinstance(event, ShotChanged) and event.state == "done" for event in seen))
    engine.close()


def test_an_error_with_one_storys_chunk_costs_no_other_its_own(studio: Studio, monkeypatch) -> None:
    """The one that failed tells again what it could not save."""
    one, other = studio.begin(), studio.begin()
    for live in (one, other):
        studio.send(live, type="shoot", prompt="runs", chunks=3)
    studio.run(1)
    append = studio.store.append_chunk

    def fail_one(story, chunk, changes):
        if story == one.story:
            raise RuntimeError("the disk is on fire")
        return append(story, chunk, changes)

    monkeypatch.setattr(studio.store, "append_chunk", fail_one)
    studio.run()
    monkeypatch.undo()
    assert one.snapshot.state is State.FAILED
    assert [chunk.index for chunk in studio.viewer(other).chunks] == [0, 1, 2]
    studio.send(one, type="resume")
    studio.run()
    assert [chunk.index for chunk in studio.viewer(one).chunks] == [0, 1, 2]


def test_a_hole_in_the_library_is_noticed(studio: Studio, make_studio) -> None:
    live = studio.begin()
    studio.send(live, type="shoot", prompt="runs", chunks=3)
    studio.run()
    with studio.store._transaction() as connection:
        connection.execute(delete(chunks).where(chunks.c.chunk == 1))
    with pytest.raises(ValueError, match="has 3 of its 4 entries"):
        make_studio(studio.store).open(live.story)


def test_a_story_that_is_closed_is_let_go_of_at_once(studio: Studio, make_studio) -> None:
    """Its caches are large: they must not wait for a garbage collection."""
    live = studio.begin()
    for prompt in ("runs", "sleeps"):
        studio.send(live, type="shoot", prompt=prompt, chunks=2)
        studio.run()
    again = make_studio(studio.store.copy())
    sessions = [
        weakref.ref(live.director.session),
        weakref.ref(again.open(live.story).director.session),
    ]
    gc.collect()
    gc.disable()
    try:
        for where in (studio, again):
            closed = where.engine.let_go(live.story)
            while not closed.done():
                where.engine.turn()
        del live, closed
        assert [session() for session in sessions] == [None, None]
    finally:
        gc.enable()


def test_a_failure_that_is_over_is_over_in_the_library_too(studio: Studio, make_studio) -> None:
    live = studio.begin()
    studio.send(live, type="shoot", prompt="runs", chunks=2)
    live._fail("something", RuntimeError("happened"))
    assert studio.store.snapshot(live.story).state is State.FAILED
    again = make_studio(studio.store)
    again.open(live.story)
    assert again.store.snapshot(live.story).state is State.SHOOTING
