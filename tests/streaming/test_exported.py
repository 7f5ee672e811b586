"""A session as a story file tells the same film again, whatever was done in it."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shotstream.story import Story
from shotstream.streaming.chunk import Chunk
from shotstream.streaming.exported import write_story
from shotstream.streaming.session import StorySession
from shotstream.streaming.take import TakeRecord

pytestmark = pytest.mark.unit

PROMPTS = ("runs", "sleeps", "a cat", "at night")


class Director:
    """Directs a session and keeps all that it makes."""

    def __init__(self, session: StorySession) -> None:
        self.session = session
        self.made: dict[tuple[int, int], list[np.ndarray]] = {}
        self.records: dict[tuple[int, int], TakeRecord] = {}

    def watch(self, redirect: str | None = None) -> None:
        """Watch the open take to its end, and redirect it after its first chunk."""
        chunks: list[Chunk] = []
        while chunk := self.session.next_chunk():
            chunks.append(chunk)
            if redirect and chunk.index == 0:
                self.session.redirect(redirect)
        place = chunks[0].shot, chunks[0].take
        self.made[place] = [frame for chunk in chunks for frame in chunk.frames]
        self.records[place] = self.session.script[place[0]]

    def shoot(self, prompt: str, chunks: int = 1, redirect: str | None = None, **options) -> None:
        self.session.cut(prompt, chunks=chunks, **options)
        self.watch(redirect)

    def retake(self, shot: int, redirect: str | None = None, **options) -> None:
        self.session.retake(shot, **options)
        self.watch(redirect)

    def choose(self, shot: int, take: int) -> None:
        self.session.choose(self.records[shot, take], self.made[shot, take].__getitem__)

    @property
    def film(self) -> np.ndarray:
        """The takes that stand, one after another."""
        session = self.session
        kept = [session.script[shot] for shot in session.order if shot not in session.context.left_out]
        places = [(record.shot, record.take) for record in kept]
        return np.stack([frame for place in places for frame in self.made[place]])


def told_again(pipeline, file: Path) -> np.ndarray:
    return np.concatenate([chunk.frames for chunk in pipeline.stream(Story.read(file))])


@pytest.fixture
def director(pipeline) -> Director:
    return Director(pipeline.open("a red fox", seed=5))


def test_a_directed_story_is_told_again_bit_for_bit(pipeline, director, tmp_path) -> None:
    picture = Image.effect_noise((50, 40), 90).convert("RGB")
    director.session.reference(picture, "a blue cat")
    director.shoot("runs", chunks=2)
    director.shoot("sleeps", chunks=3, redirect="a cat")
    director.session.pin(0, 7)
    director.shoot("at night", seed=9)
    director.retake(1, redirect="runs")
    director.retake(1)
    director.choose(1, 1)
    director.session.unpin(0, 7)
    director.session.reference(picture.rotate(90))
    director.shoot("a cat", chunks=2)
    file = tmp_path / "fox.yaml"
    story = write_story(director.session, file, title="Fox")
    assert np.array_equal(told_again(pipeline, file), director.film)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "fox-reference-1.png",
        "fox-reference-2.png",
        "fox.yaml",
    ]
    assert [(shot.take, shot.seed) for shot in story.shots] == [(0, None), (1, None), (0, 9), (0, None)]
    assert [len(shot.redirects) for shot in story.shots] == [0, 1, 0, 0]
    assert [(shot.number, shot.take) for shot in story.outtakes] == [(1, 0)], "shot 2 was made from that take"


def test_a_plain_story_stays_plain(pipeline, director, tmp_path) -> None:
    for prompt in PROMPTS:
        director.shoot(prompt, chunks=2)
    director.session.pin(1, 6)
    director.shoot("runs")
    write_story(director.session, tmp_path / "fox.yaml")
    text = (tmp_path / "fox.yaml").read_text()
    assert not {"remembers", "outtakes", "number", "take", "references"} & set(text.replace(":", " ").split())
    assert text.count("pins:") == 1
    assert np.array_equal(told_again(pipeline, tmp_path / "fox.yaml"), director.film)


def test_the_file_may_lie_elsewhere(pipeline, director, tmp_path) -> None:
    director.session.reference(np.full((20, 20, 3), 90, np.uint8))
    director.shoot("runs")
    (tmp_path / "here").mkdir()
    write_story(director.session, tmp_path / "here" / "fox.json")
    (tmp_path / "here").rename(tmp_path / "there")
    assert np.array_equal(told_again(pipeline, tmp_path / "there" / "fox.json"), director.film)


def test_a_branch_and_a_restored_session_are_told_again(pipeline, director, tmp_path) -> None:
    director.shoot("runs")
    director.shoot("sleeps", chunks=2)
    director.retake(0)
    before = director.session.snapshot()
    branch = Director(director.session.branch(1))
    branch.made = dict(director.made)
    branch.shoot("a cat", chunks=2)
    director.retake(1)
    director.session.restore(before)
    director.shoot("at night")
    for number, one in enumerate((branch, director)):
        write_story(one.session, tmp_path / f"{number}.yaml")
        assert np.array_equal(told_again(pipeline, tmp_path / f"{number}.yaml"), one.film)


def test_another_picture_size_is_kept(pipeline, tmp_path) -> None:
    director = Director(pipeline.open("a fox", height=32, width=16))
    director.shoot("runs")
    write_story(director.session, tmp_path / "fox.yaml")
    assert told_again(pipeline, tmp_path / "fox.yaml").shape[1:] == (32, 16, 3)
    assert np.array_equal(told_again(pipeline, tmp_path / "fox.yaml"), director.film)


def test_nothing_told_is_no_story(director, tmp_path) -> None:
    with pytest.raises(ValueError, match="shoot one first"):
        write_story(director.session, tmp_path / "fox.yaml")


def test_what_a_story_file_has_no_place_for_is_said(pipeline, tmp_path) -> None:
    director = Director(pipeline.open("a fox", seed=2**60))
    director.shoot("runs")
    with pytest.raises(ValueError, match=f"cannot hold this story: seed is {2**60}, but .*less than"):
        write_story(director.session, tmp_path / "fox.yaml")


def direct_at_random(director: Director, dice: random.Random) -> None:
    """Do one thing that is possible."""
    session = director.session
    shots = len(session.script)
    kind = dice.choice(
        ["shoot", "shoot", "retake", "choose", "pin", "unpin", "reference", "leave out", "move"]
    )
    shot = dice.randrange(shots) if shots else 0
    redirect = dice.choice([None, None, *PROMPTS])
    if kind == "shoot" or not shots:
        director.shoot(dice.choice(PROMPTS), dice.choice([1, 2, 3]), redirect)
    elif kind == "retake":
        prompt = dice.choice([None, *PROMPTS])
        director.retake(
            shot, redirect, prompt=prompt, seed=dice.choice([None, 7]), chunks=dice.choice([None, 2])
        )
    elif kind == "choose":
        director.choose(*dice.choice([place for place in director.made if place[0] == shot]))
    elif kind == "pin" and len(session.context.pins) < 6:
        kept = [frame.frame for frame in session.context.frames if frame.shot == shot]
        take = session.running
        running = range(len(take.prompts)) if take and take.record.shot == shot else []
        session.pin(shot, dice.choice(running or kept or [0]))
    elif kind == "unpin" and session.context.pins:
        session.unpin(*dice.choice(session.context.pins).key)
    elif kind == "reference" and len(session.context.pins) < 6:
        level = dice.choice([0, 90, 255])
        session.reference(np.full((24, 40, 3), level, np.uint8), dice.choice([None, "a cat"]))
    elif kind == "move":
        session.end_shot()
        session.move(shot, dice.randrange(shots))
    elif kind == "leave out" and shots - len(session.context.left_out) > 1:
        session.leave_out(shot)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_was_done_is_told_again(pipeline, tmp_path, seed: int) -> None:
    dice = random.Random(seed)
    director = Director(pipeline.open("a red fox", seed=seed))
    for _ in range(14):
        with suppress(ValueError):  # such as a pin on a frame that is not kept
            direct_at_random(director, dice)
    write_story(director.session, tmp_path / "fox.yaml")
    assert np.array_equal(told_again(pipeline, tmp_path / "fox.yaml"), director.film)


def test_a_retake_that_has_a_chunk_has_brought_its_shot_back(pipeline, tmp_path) -> None:
    session = pipeline.open("a red fox")
    for _ in range(2):
        list(session.shoot("runs", chunks=2))
    session.leave_out(0)
    session.retake(0)
    assert len(write_story(session, tmp_path / "before.yaml").shots) == 1
    session.next_chunk()
    half = write_story(session, tmp_path / "half.yaml")
    session.end_shot()
    assert half == write_story(session, tmp_path / "over.yaml")
    assert [(shot.take, shot.chunks) for shot in half.shots] == [(1, 1), (0, 2)]
