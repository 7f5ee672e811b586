from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
import pytest

from shotstream.media.files import MediaError
from shotstream.media.story_folder import StoryFolder
from shotstream.streaming.adapters import AdapterUse

av = pytest.importorskip("av")
pytest.importorskip("PIL")
pytestmark = pytest.mark.unit


@dataclass
class Piece:
    shot: int
    frames: np.ndarray
    last: bool = False
    take: int = 0
    seed: int = 5
    prompt: str = "A cat waves."
    fps: float = 12
    adapters: tuple[AdapterUse, ...] = (AdapterUse("style", "abc", 0.5),)
    seconds: dict[str, float] = field(default_factory=lambda: {"total": 0.123456})


def pieces() -> list[Piece]:
    """Two shots of 9 + 12 frames, each frame of its own grey."""
    greys = iter(range(0, 250, 5))
    frames = [[np.full((32, 48, 3), next(greys), np.uint8) for _ in range(n)] for n in (9, 12, 9, 12)]
    return [Piece(i // 2, np.stack(some), last=i % 2 == 1) for i, some in enumerate(frames)]


def length(path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def names(folder) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_whole_story(tmp_path):
    with StoryFolder(tmp_path / "out") as folder:
        folder.facts["seed"] = 3
        for piece in pieces():
            folder.add(piece)
    out = tmp_path / "out"
    assert names(out) == {"story.mp4", "shots/01.mp4", "shots/02.mp4", "contact_sheet.png", "story.json"}
    assert [length(out / name) for name in ("story.mp4", "shots/01.mp4", "shots/02.mp4")] == [42, 21, 21]
    record = json.loads((out / "story.json").read_text())
    assert record["seed"] == 3
    assert [(shot["shot"], shot["frames"], shot["complete"]) for shot in record["shots"]] == [
        (1, 21, True),
        (2, 21, True),
    ]
    assert record["shots"][1]["lora"] == [{"name": "style", "sha256": "abc", "scale": 0.5}]
    assert record["shots"][0]["chunks"][1] == {"frames": 12, "seconds": {"total": 0.1235}}


def test_small_pictures_are_enlarged_unless_told(tmp_path):
    for name, scale, height in [("auto", None, 384), ("same", 1, 32)]:
        with StoryFolder(tmp_path / name, scale) as folder:
            folder.add(pieces()[0])
        with av.open(str(tmp_path / name / "story.mp4")) as container:
            assert container.streams.video[0].height == height


def test_what_was_made_before_an_interruption_is_whole(tmp_path):
    with StoryFolder(tmp_path) as folder:
        for piece in pieces()[:3]:
            folder.add(piece)
    assert [length(tmp_path / name) for name in ("story.mp4", "shots/01.mp4", "shots/02.mp4")] == [30, 21, 9]
    assert [shot["complete"] for shot in folder.shots] == [True, False]


def test_an_error_leaves_finished_shots_only(tmp_path):
    broken = [*pieces()[:3], Piece(1, np.zeros((1, 8, 8, 3), np.uint8))]

    def write():
        with StoryFolder(tmp_path) as folder:
            for piece in broken:
                folder.add(piece)

    with pytest.raises(ValueError, match="one frame size"):
        write()
    assert names(tmp_path) == {"shots/01.mp4"}


def test_nothing_made_is_nothing_written(tmp_path):
    with StoryFolder(tmp_path / "out"):
        pass
    assert not (tmp_path / "out").exists()


def test_an_error_at_the_very_end_leaves_finished_shots_only(tmp_path):
    def write():
        with StoryFolder(tmp_path) as folder:
            for piece in pieces()[:3]:
                folder.add(piece)
            (tmp_path / "shots" / "02.mp4").mkdir()  # the last shot cannot take its name

    with pytest.raises(MediaError, match=r"02\.mp4"):
        write()
    assert names(tmp_path) == {"shots/01.mp4"}
