"""Stories that share their passes tell what each tells alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
import torch
from PIL import Image

from shotstream.streaming.chunk import Chunk
from shotstream.streaming.pipeline import ShotStreamPipeline
from shotstream.streaming.session import StorySession
from shotstream.streaming.together import keeps_bits, next_chunks
from shotstream.streaming.whole_shot import WholeShotPipeline

from .alike import assert_alike

pytestmark = pytest.mark.cpu


@contextmanager
def rows_of_passes(pipeline: ShotStreamPipeline, most: int = 99) -> Iterator[list[int]]:
    """Note the rows of every pass; one of more than `most` fails, as if it had no memory."""
    rows: list[int] = []

    def see(_, given: tuple[torch.Tensor]) -> None:
        rows.append(len(given[0]))
        if rows[-1] > most:
            raise torch.OutOfMemoryError(f"{rows[-1]} rows are too many")

    handle = pipeline.transformer.register_forward_pre_hook(see)
    yield rows
    handle.remove()


def opened(pipeline: ShotStreamPipeline, made: int, seed: int = 1) -> StorySession:
    """A story of which a shot and so many chunks of the next are made."""
    session = pipeline.open("a fox", seed)
    list(session.shoot("a cat in the snow", chunks=1))
    session.cut("runs", chunks=9)
    for _ in range(made):
        session.next_chunk()
    return session


def chunks_of(sessions: Sequence[StorySession]) -> list[Chunk]:
    """Their next chunks, made together."""
    made = next_chunks(sessions)
    assert all(isinstance(chunk, Chunk) for chunk in made), made
    return [chunk for chunk in made if isinstance(chunk, Chunk)]


def assert_as_alone(made: Sequence[object], alone: Sequence[StorySession]) -> None:
    for chunk, session in zip(made, alone, strict=True):
        assert_alike(chunk, session.next_chunk())


def test_stories_at_different_places_share_passes(pipeline) -> None:
    """One at its first chunk, one with a part of the window, one whose window slides."""
    together, alone = ([opened(pipeline, made) for made in (0, 1, 5)] for _ in range(2))
    for _ in range(3):
        with rows_of_passes(pipeline) as rows:
            made = next_chunks(together)
        assert rows[-2:] == [3, 3], "one pass per step"
        assert set(rows[:-2]) == {1}, "contexts and clean passes are each story's own"
        assert_as_alone(made, alone)


def test_what_is_done_to_one_story_leaves_the_others_alone(pipeline) -> None:
    stories, alone = ([opened(pipeline, made, seed=made) for made in (1, 2, 3, 4)] for _ in range(2))
    for told in (stories, alone):
        told[0].redirect("sleeps in the snow")
        told[1].retake(0, prompt="a blue cat")
        told[2].reference(Image.new("RGB", (32, 16), "red"))
        told[2].cut("night")
        told.append(told[3].branch())
        told[-1].cut("sleeps")
    for _ in range(3):
        assert_as_alone(next_chunks(stories), alone)


def test_others_are_made_one_by_one(pipeline, make_pipeline) -> None:
    """Of another model, of another size, of a model that makes whole shots; and those that make nothing."""
    another = make_pipeline()
    sizes = {name: another.config[name] for name in ("fps", "height", "width", "caption_template")}
    teacher = WholeShotPipeline(**another.components, **sizes)
    teacher.steps = 2

    def stories() -> list[StorySession]:
        wide = pipeline.open("a fox", width=64)
        told = [opened(another, 1), opened(pipeline, 1), opened(pipeline, 2), wide, teacher.open("a cat")]
        told[3].cut("runs", chunks=2)
        told[4].cut("runs", chunks=1)
        return [*told, opened(pipeline, 9), pipeline.open("a fox")]

    with rows_of_passes(pipeline) as rows:
        made = next_chunks(stories())
    assert rows[-4:] == [2, 2, 1, 1]
    assert [type(chunk) for chunk in made] == [Chunk] * 5 + [type(None)] * 2
    assert_as_alone(made, stories())


def test_who_fails_leaves_the_others_whole(pipeline) -> None:
    def broken(shot_frames: Sequence[int], budget: int) -> list[tuple[int, int]]:
        raise RuntimeError("this rule chooses nothing")

    failing = pipeline.open("a fox", select=broken)
    failing.cut("runs")
    others, alone = ([opened(pipeline, made) for made in (1, 4)] for _ in range(2))
    for _ in range(2):
        first, error, second = next_chunks([others[0], failing, others[1]])
        assert str(error) == "this rule chooses nothing"
        assert_as_alone([first, second], alone)


def test_where_passes_cannot_be_shared_each_is_alone(pipeline, caplog) -> None:
    stories, alone = ([opened(pipeline, made) for made in (0, 4)] for _ in range(2))
    with rows_of_passes(pipeline, most=1) as rows:
        made = next_chunks(stories)
    assert 2 in rows
    assert "2 stories cannot share a pass (OutOfMemoryError)" in caplog.text
    for _ in range(2):
        assert_as_alone(made, alone)
        made = next_chunks(stories)


def test_a_chunk_begun_in_vain_can_be_begun_again(pipeline) -> None:
    session, alone = opened(pipeline, 5), opened(pipeline, 5)
    for told in (session, alone):
        told.redirect("sleeps")
    assert session.begin_chunk() is not None
    for _ in range(3):
        assert session.begin_chunk() is not None
        assert_alike(session.next_chunk(), alone.next_chunk())


def test_a_chunk_keeps_nothing_of_the_other_stories(pipeline) -> None:
    for chunk in chunks_of([opened(pipeline, 1), opened(pipeline, 2)]):
        assert chunk.latents.untyped_storage().nbytes() == 4 * chunk.latents.numel()


def test_time_is_shared(pipeline) -> None:
    """Each has its own decoding and the same share of the rest."""
    first, second = (chunk.seconds for chunk in chunks_of([opened(pipeline, 1), opened(pipeline, 2)]))
    assert first["denoise"] == second["denoise"] > 0
    for seconds in (first, second):
        assert seconds["total"] == pytest.approx(seconds["denoise"] + seconds["decode"])


def test_a_story_cannot_be_in_two_places(pipeline) -> None:
    session = opened(pipeline, 1)
    with pytest.raises(ValueError, match="give every session once"):
        next_chunks([session, session])
    assert next_chunks([]) == []


def test_whether_bits_are_kept_is_found_by_trying(make_pipeline) -> None:
    """Where it says so, they are; a network that rounds three rows otherwise than one is found out."""
    pipeline = make_pipeline()
    if keeps_bits(pipeline, 3):
        together, alone = ([opened(pipeline, made) for made in (0, 1, 5)] for _ in range(2))
        for chunk, session in zip(chunks_of(together), alone, strict=True):
            expected = session.next_chunk()
            assert expected is not None
            assert chunk.latents.equal(expected.latents)
    linear = pipeline.transformer.blocks[0].ffn.net[2]
    linear.register_forward_hook(lambda _, given, out: out * 1.0001 if len(out) == 3 else out)
    assert not keeps_bits(pipeline, 3)
