from __future__ import annotations

import gc
from collections.abc import Iterable
from copy import deepcopy

import numpy as np
import pytest
import torch
from PIL import Image

from shotstream.streaming.chunk import Chunk
from shotstream.streaming.rollout import ShotRollout
from shotstream.streaming.session import StorySession
from shotstream.streaming.take import TakeRecord

pytestmark = pytest.mark.law


def film(chunks: Iterable[Chunk | None]) -> np.ndarray:
    return np.concatenate([chunk.frames for chunk in chunks if chunk is not None])


@pytest.fixture
def session(pipeline) -> StorySession:
    return pipeline.open("a red fox", seed=5)


def tell(session: StorySession, *prompts: str) -> list[np.ndarray]:
    return [film(session.shoot(prompt)) for prompt in prompts]


def test_a_shot_comes_chunk_by_chunk(session: StorySession) -> None:
    chunks = list(session.shoot("runs"))
    assert [chunk.index for chunk in chunks] == [0, 1, 2]
    assert [chunk.first_frame for chunk in chunks] == [0, 5, 13]
    assert [len(chunk.frames) for chunk in chunks] == [5, 8, 8]
    assert [chunk.last for chunk in chunks] == [False, False, True]
    assert chunks[0].frames.shape[1:] == (16, 32, 3)
    assert chunks[0].latents.shape == (1, 2, 4, 2, 4)
    assert {chunk.prompt for chunk in chunks} == {"runs"}
    assert set(chunks[0].seconds) == {"denoise", "decode", "total"}
    assert session.next_chunk() is None
    assert [(record.shot, record.take, record.chunks) for record in session.script] == [(0, 0, 3)]


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(pipeline, session) -> None:
    told = tell(session, "runs", "sleeps", "runs")
    again = tell(pipeline.open("a red fox", seed=5), "runs", "sleeps", "runs")
    other = tell(pipeline.open("a red fox", seed=6), "runs", "sleeps", "runs")
    assert all(np.array_equal(a, b) for a, b in zip(told, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(told, other, strict=True))
    assert not np.array_equal(told[0], told[2]), "the third shot has its own noise and memory"


def test_every_earlier_shot_and_prompt_counts(pipeline, session) -> None:
    told = tell(session, "runs", "sleeps")
    assert not np.array_equal(tell(pipeline.open("a red fox", seed=5), "cat", "sleeps")[1], told[1])
    assert not np.array_equal(tell(pipeline.open("a blue fox", seed=5), "runs")[0], told[0])


def test_a_cut_inside_the_loop_goes_on_with_the_next_shot(session: StorySession) -> None:
    seen = []
    for chunk in session.shoot("runs"):
        seen.append((chunk.shot, chunk.index, chunk.last))
        if seen == [(0, 0, False), (0, 1, False)]:
            session.cut("sleeps", chunks=1)
    assert seen == [(0, 0, False), (0, 1, False), (1, 0, True)]
    assert session.context.shot_frames == [13, 5]


def test_a_shot_cut_before_its_first_chunk_leaves_no_trace(pipeline, session) -> None:
    session.cut("cat")
    assert np.array_equal(film(session.shoot("runs")), tell(pipeline.open("a red fox", seed=5), "runs")[0])


def test_a_cut_short_shot_is_remembered_as_far_as_it_came(pipeline, session) -> None:
    session.cut("runs")
    session.next_chunk()
    short = pipeline.open("a red fox", seed=5)
    film(short.shoot("runs", chunks=1))
    assert np.array_equal(tell(session, "sleeps")[0], tell(short, "sleeps")[0])


def test_extending_is_as_asking_for_the_longer_shot(pipeline, session) -> None:
    """Before and after the shot's end, past the trained window too; the shots after it are the same."""
    session.cut("runs", chunks=2)
    session.next_chunk()
    session.extend(chunks=1)
    chunks = list(iter(session.next_chunk, None))
    session.extend(seconds=1.5)
    chunks += iter(session.next_chunk, None)
    whole = pipeline.open("a red fox", seed=5)
    expected = list(whole.shoot("runs", chunks=5))
    assert np.array_equal(film(chunks), film(expected[1:]))
    assert np.array_equal(tell(session, "sleeps")[0], tell(whole, "sleeps")[0])


@pytest.mark.parametrize("failing", [1, 2, 3])
@pytest.mark.parametrize("redirected", [True, False])
def test_a_chunk_that_failed_can_be_made_again(pipeline, session, redirected: bool, failing: int) -> None:
    """Whichever pass fails: one over the window under another prompt, the clean one, a denoising step."""
    alone, passes = pipeline.open("a red fox", seed=5), []
    for story in (session, alone):
        story.cut("runs", chunks=4)
        story.next_chunk()
        story.next_chunk()
        if redirected:
            story.redirect("sleeps")

    def fail(*_: object) -> None:
        passes.append(None)
        if len(passes) == failing:
            raise torch.OutOfMemoryError

    handle = pipeline.transformer.register_forward_pre_hook(fail)
    with pytest.raises(torch.OutOfMemoryError):
        session.next_chunk()
    handle.remove()
    for _ in range(2):
        made, expected = session.next_chunk(), alone.next_chunk()
        assert made.latents.equal(expected.latents)
        assert np.array_equal(made.frames, expected.frames)


def test_redirecting_keeps_what_was_shown_and_changes_what_follows(pipeline, session) -> None:
    straight = list(session.shoot("runs", chunks=5))
    other = pipeline.open("a red fox", seed=5)
    turned = []
    for chunk in other.shoot("runs", chunks=5):
        turned.append(chunk)
        if chunk.index == 1:
            other.redirect("sleeps in the snow")
    assert [chunk.prompt for chunk in turned] == ["runs"] * 2 + ["sleeps in the snow"] * 3
    same = [np.array_equal(a.frames, b.frames) for a, b in zip(straight, turned, strict=True)]
    assert same == [True, True, False, False, False]
    assert {frame.prompt for frame in other.context.frames} == {"runs", "sleeps in the snow"}


def test_redirecting_to_the_same_prompt_changes_nothing(pipeline, session) -> None:
    straight = film(session.shoot("runs"))
    other = pipeline.open("a red fox", seed=5)
    other.cut("runs")
    turned = [other.next_chunk()]
    other.redirect("runs")
    assert np.array_equal(film([*turned, *iter(other.next_chunk, None)]), straight)


def test_redirecting_before_the_first_chunk_replaces_the_prompt(pipeline, session) -> None:
    session.cut("cat")
    session.redirect("runs")
    told = film(iter(session.next_chunk, None))
    assert np.array_equal(told, tell(pipeline.open("a red fox", seed=5), "runs")[0])


def test_a_retake_touches_one_shot_and_later_ones_remember_it(pipeline, session) -> None:
    tell(session, "runs", "sleeps", "cat")
    plain = session.branch()
    chunks = list(session.retake(1, prompt="snow"))
    assert {(chunk.shot, chunk.take) for chunk in chunks} == {(1, 1)}
    assert [(record.prompt, record.take) for record in session.script] == [
        ("runs", 0),
        ("snow", 1),
        ("cat", 0),
    ]
    remembered = zip(session.context.choose(3), plain.context.choose(3), strict=True)
    assert [now is before for now, before in remembered] == [True, True, False, False, True, True]
    assert np.array_equal(session.context.choose(3)[2].pixels, chunks[0].frames[0])
    assert not np.array_equal(tell(session, "night")[0], tell(plain, "night")[0])


def test_a_retake_repeats_redirections_and_length_under_new_noise(session: StorySession) -> None:
    session.cut("runs", chunks=4)
    first = [session.next_chunk(), session.next_chunk()]
    session.redirect("sleeps")
    first += iter(session.next_chunk, None)
    again = list(session.retake(0))
    assert [chunk.prompt for chunk in again] == [chunk.prompt for chunk in first if chunk]
    assert not np.array_equal(film(again), film(first))


def test_a_retake_of_the_running_shot_has_its_whole_length(session: StorySession) -> None:
    session.cut("runs", chunks=4)
    session.next_chunk()
    assert len(list(session.retake(0))) == 4
    session.extend(chunks=1)
    assert session.next_chunk() is not None, "the retake is the shot that is extended"


def test_an_abandoned_retake_leaves_the_former_take(session: StorySession) -> None:
    tell(session, "runs", "sleeps")
    before = [frame.pixels for frame in session.context.frames]
    session.retake(0)
    session.cut("cat")
    assert [record.take for record in session.script] == [0, 0]
    assert all(a is b.pixels for a, b in zip(before, session.context.frames, strict=True))


def test_a_branch_goes_its_own_way(session: StorySession) -> None:
    told = tell(session, "runs", "sleeps", "cat")
    branch = session.branch(at=1)
    assert np.array_equal(tell(branch, "cat")[0], told[2]), "the same prompt tells the same story"
    tell(branch, "snow", "night")
    assert [record.prompt for record in session.script] == ["runs", "sleeps", "cat"]
    assert [record.prompt for record in branch.script] == ["runs", "sleeps", "cat", "snow", "night"]
    assert session.context.shot_frames == [21, 21, 21]


def test_pins_and_references_change_later_shots_only(pipeline, session) -> None:
    plain = pipeline.open("a red fox", seed=5)
    tell(plain, "runs")
    session.cut("runs")
    session.next_chunk()
    pinned = session.pin(0, 3)
    assert pinned.prompt == "runs"
    film(iter(session.next_chunk, None))
    picture = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    reference = session.reference(picture, "a cat")
    assert reference.key == (0, -1)
    assert [frame.key for frame in session.context.choose(1)] == [
        (0, -1),
        (0, 0),
        (0, 3),
        (0, 7),
        (0, 13),
        (0, 20),
    ]
    with_pins, without = tell(session, "sleeps")[0], tell(plain, "sleeps")[0]
    assert not np.array_equal(with_pins, without)
    session.unpin(0, 3)
    session.unpin(*reference.key)
    session.retake(1)
    assert [frame.key for frame in session.context.choose(1)] == [
        frame.key for frame in plain.context.choose(1)
    ]


def test_without_padding_context_is_what_there_is_to_remember(make_pipeline) -> None:
    session = make_pipeline(pad_context=False).open("a fox in the snow")
    list(session.shoot("the fox runs", chunks=1))
    assert session._generator._cache.context_frames == 0
    list(session.shoot("the fox sleeps", chunks=1))
    assert session._generator._cache.context_frames == 6
    brought = make_pipeline(pad_context=False).open("a fox in the snow")
    brought.reference(Image.new("RGB", (64, 64), "red"))
    list(brought.shoot("the fox runs", chunks=1))
    assert brought._generator._cache.context_frames == 1  # once, not six times over


def test_a_reference_serves_the_first_shot(pipeline, session) -> None:
    session.reference(Image.new("RGB", (64, 64), "red"))
    assert not np.array_equal(tell(session, "runs")[0], tell(pipeline.open("a red fox", seed=5), "runs")[0])


def test_a_snapshot_stays_what_it_was(session: StorySession) -> None:
    tell(session, "runs")
    session.cut("sleeps", chunks=5)
    session.next_chunk()
    session.pin(1, 2)
    snapshot = session.snapshot()
    went_on = film([*iter(session.next_chunk, None), *session.shoot("cat")])
    for _ in range(2):
        session.restore(snapshot)
        assert np.array_equal(film([*iter(session.next_chunk, None), *session.shoot("cat")]), went_on)


def test_streams_from_the_wan_autoencoder_too(wan_pipeline) -> None:
    session, again = wan_pipeline.open("a fox"), wan_pipeline.open("a fox")
    film(session.shoot("runs"))
    session.cut("sleeps")
    session.next_chunk()
    again.restore(session.snapshot())
    rest = [film(iter(teller.next_chunk, None)) for teller in (session, again)]
    assert len(rest[0]) == 16
    assert np.array_equal(*rest)


def living_tensor_bytes() -> int:
    gc.collect()
    kinds = (torch.Tensor, torch.nn.Parameter)
    alive = [thing for thing in gc.get_objects() if type(thing) in kinds]
    return sum(tensor.numel() * tensor.element_size() for tensor in alive)


def test_memory_is_flat_from_shot_2_to_shot_40(pipeline) -> None:
    """In tensors that are alive, and in pictures that are kept; what grows is bounded."""
    session, tensor_bytes, pictures = pipeline.open("a fox", history_shots=4), {}, []
    for shot in range(41):
        film(session.shoot(f"runs {shot % 10}", chunks=2))
        session._generator.stills.wait()
        pictures.append(len(session.context.frames))
        if shot in (2, 20, 40):
            tensor_bytes[shot] = living_tensor_bytes()
    assert tensor_bytes[40] == tensor_bytes[20] < 1.05 * tensor_bytes[2]
    assert max(pictures[2:]) <= 1.5 * pictures[2]
    assert len(set(pictures[12:])) == 1


def test_what_cannot_be_done_is_said(session: StorySession) -> None:
    with pytest.raises(ValueError, match=r"no shot is running; open one with shoot\(\) or cut\(\)"):
        session.redirect("runs")
    with pytest.raises(ValueError, match="the story has 0, numbered from 0"):
        session.branch()
    with pytest.raises(ValueError, match="the prompt is empty"):
        session.cut(" ")
    with pytest.raises(ValueError, match="either in seconds or in chunks"):
        session.cut("runs", 2.0, chunks=3)
    with pytest.raises(ValueError, match="a shot of 0 chunks shows nothing"):
        session.cut("runs", chunks=0)
    with pytest.raises(ValueError, match="too long to be kept until its cut; cut after"):
        session.cut("runs", 1e9)
    tell(session, "runs")
    with pytest.raises(ValueError, match="give either seconds or chunks"):
        session.extend()
    with pytest.raises(
        ValueError, match="frame 21 of shot 0 is not remembered; of that shot these are: 0, 4"
    ):
        session.pin(0, 21)
    with pytest.raises(ValueError, match="there is no shot 1; the story has 1"):
        session.retake(1)


def test_shots_too_far_back_cannot_be_retaken(pipeline) -> None:
    session = pipeline.open("a fox", history_shots=2)
    for _ in range(4):
        film(session.shoot("runs", chunks=1))
    film(session.retake(2))
    with pytest.raises(ValueError, match="shot 1 is too far back: only shots from 2 on are kept"):
        session.retake(1)


def test_latents_of_another_size_are_no_chunk(pipeline) -> None:
    session = pipeline.open("a fox")
    session.cut("runs")
    with pytest.raises(ValueError, match="are no chunk of this story"):
        session.next_chunk(torch.zeros(1, 2, 4, 3, 4))


def test_known_latents_are_not_denoised(pipeline, monkeypatch) -> None:
    session, again = pipeline.open("a fox"), pipeline.open("a fox")
    [latents] = [chunk.latents for chunk in session.shoot("runs", chunks=1)]
    again.cut("runs", chunks=1)
    monkeypatch.delattr(ShotRollout, "denoise")
    assert again.next_chunk(latents) is not None


def test_a_former_take_stands_for_its_shot_again(pipeline) -> None:
    """What is told after is as if the other take had never been made."""
    straight, back = pipeline.open("a fox"), pipeline.open("a fox")
    for session in (straight, back):
        session.cut("runs", chunks=2)
        former = [session.next_chunk() for _ in range(2)]
        session.redirect("sleeps")
        session.extend(chunks=1)
        former.append(session.next_chunk())
    record = deepcopy(back.script[0])
    film(back.retake(0, seed=7))
    kept = list(back.decode(chunk.latents for chunk in former))
    assert np.array_equal(kept, np.concatenate([chunk.frames for chunk in former]))
    back.choose(record, kept.__getitem__)
    assert back.script == straight.script
    assert np.array_equal(film(back.shoot("a cat", chunks=2)), film(straight.shoot("a cat", chunks=2)))
    with pytest.raises(ValueError, match="there is no shot 3; the story has 2"):
        back.choose(TakeRecord(3, 0, 0, [(0, "runs")], 1), kept.__getitem__)


def test_a_take_that_cannot_be_found_changes_nothing(pipeline) -> None:
    session = pipeline.open("a fox")
    film(session.shoot("runs", chunks=1))
    record = deepcopy(session.script[0])
    film(session.retake(0))

    def lost(frame: int) -> np.ndarray:
        raise OSError("gone")

    memory = [frame.pixels.tobytes() for frame in session.context.frames]
    with pytest.raises(OSError, match="gone"):
        session.choose(record, lost)
    assert session.script[0].take == 1
    assert [frame.pixels.tobytes() for frame in session.context.frames] == memory
    session.extend(chunks=1)
    assert session.next_chunk() is not None
