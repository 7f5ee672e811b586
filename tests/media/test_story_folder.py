from __future__ import annotations

import json
import os
import shutil
from collections import namedtuple
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from shotstream.media.files import DiskFull, FolderInUse, MediaError
from shotstream.media.sheet import find_sheets
from shotstream.media.story_folder import OtherStoryError, StoryFolder, choose_folder
from shotstream.story import Story, StorySound
from shotstream.streaming.adapters import AdapterUse
from tests.media.tones import tone

av = pytest.importorskip("av")
pytest.importorskip("PIL")
pytestmark = pytest.mark.unit

STORY = Story(title="Cats", setting="A cat.", seed=5, shots=["A cat waves.", "A cat sleeps."])
WHOLE = {"story.mp4", "shots/01.mp4", "shots/02.mp4", "contact_sheet.png", "story.json", "first_frame.png"}


@dataclass
class Piece:
    shot: int
    frames: np.ndarray
    index: int = 0
    last: bool = False
    take: int = 0
    seed: int = 5
    prompt: str = "A cat waves."
    fps: float = 12
    adapters: tuple[AdapterUse, ...] = (AdapterUse("style", "abc", 0.5),)
    seconds: dict[str, float] = field(default_factory=lambda: {"total": 0.123456})

    @property
    def latents(self) -> np.ndarray:
        return np.full((1, 3, 4, 2, 2), self.shot + self.index / 10, np.float32)


def pieces() -> list[Piece]:
    """Two shots of 9 + 12 frames, each frame of its own grey."""
    greys = iter(range(0, 250, 5))
    frames = [[np.full((32, 48, 3), next(greys), np.uint8) for _ in range(n)] for n in (9, 12, 9, 12)]
    return [Piece(i // 2, np.stack(some), i % 2, last=i % 2 == 1) for i, some in enumerate(frames)]


def write(folder: StoryFolder, *some: Piece) -> None:
    for piece in some:
        folder.keep(piece)
        folder.add(piece)


def tell(path: Path, *some: Piece, story: Story = STORY, **settings) -> StoryFolder:
    with StoryFolder(path, story, **settings) as folder:
        write(folder, *some)
    return folder


def stop(path: Path, *some: Piece, error: BaseException, story: Story = STORY, **settings) -> None:
    folder = StoryFolder(path, story, **settings)
    with pytest.raises(type(error)), folder:
        _write_and_raise(folder, some, error)


def _write_and_raise(folder: StoryFolder, some: tuple[Piece, ...], error: BaseException) -> None:
    write(folder, *some)
    raise error


def length(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def films(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.mp4")}


def record(folder: Path) -> dict:
    return json.loads((folder / "story.json").read_text())


def test_a_whole_story(tmp_path):
    out = tmp_path / "out"
    with StoryFolder(out, STORY) as folder:
        folder.facts["speed"] = 3
        write(folder, *pieces())
    assert names(out) == WHOLE
    assert [length(out / name) for name in ("story.mp4", "shots/01.mp4", "shots/02.mp4")] == [42, 21, 21]
    told = record(out)
    assert (told["title"], told["seed"], told["speed"], told["complete"]) == ("Cats", 5, 3, True)
    shots = [(shot["shot"], shot["film"], shot["frames"], shot["complete"]) for shot in told["shots"]]
    assert shots == [(1, "shots/01.mp4", 21, True), (2, "shots/02.mp4", 21, True)]
    assert told["shots"][0]["chunks"][1] == {"frames": 12, "seconds": {"total": 0.1235}}


def test_a_shot_is_whole_when_its_last_chunk_is_taken_in(tmp_path):
    with StoryFolder(tmp_path, STORY) as folder:
        write(folder, *pieces()[:2])
        assert length(tmp_path / "shots" / "01.mp4") == 21
        assert [shot["shot"] for shot in record(tmp_path)["shots"]] == [1]
        assert not record(tmp_path)["complete"]


@pytest.mark.parametrize(("height", "expected"), [(None, 384), (32, 32), (90, 90)])
def test_small_pictures_are_enlarged_unless_told(tmp_path, height, expected):
    tell(tmp_path, pieces()[0], film_height=height)
    for name in ("story.mp4", "shots/01.mp4"):
        with av.open(str(tmp_path / name)) as container:
            assert container.streams.video[0].height == expected


@pytest.mark.parametrize(
    ("points", "lengths"),
    [({"in_frame": 4, "out_frame": 11}, (8, 21)), ({"in_frame": 10}, (11, 21)), ({"in_frame": 99}, (1, 21))],
)
def test_a_trimmed_shot_is_written_as_far_as_the_film_shows_it(tmp_path, points, lengths):
    shots = [{"prompt": "A cat waves.", **points}, "A cat sleeps."]
    tell(tmp_path, *pieces(), story=Story.model_validate({"setting": "A cat.", "seed": 5, "shots": shots}))
    assert [length(tmp_path / f"shots/0{number}.mp4") for number in (1, 2)] == list(lengths)
    assert length(tmp_path / "story.mp4") == sum(lengths)


def test_an_interruption_keeps_everything_and_the_same_story_goes_on(tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "out"
    tell(whole, *pieces())
    stop(out, *pieces()[:3], error=KeyboardInterrupt())
    assert [length(out / name) for name in ("story.mp4", "shots/01.mp4", "shots/02.mp4")] == [30, 21, 9]
    assert [shot["complete"] for shot in record(out)["shots"]] == [True, False]
    finished = (out / "shots" / "01.mp4").stat().st_mtime_ns
    with StoryFolder(out, STORY) as folder:
        assert folder.goes_on
        assert list(folder.finished) == [1]
        assert [len(folder.known(shot)) for shot in (0, 1, 2)] == [2, 1, 0]
        assert np.array_equal(folder.known(1)[0], pieces()[2].latents)
        for piece in pieces():
            folder.add(piece)
    assert films(out) == films(whole)
    assert (out / "contact_sheet.png").read_bytes() == (whole / "contact_sheet.png").read_bytes()
    assert names(out) == WHOLE
    assert (out / "shots" / "01.mp4").stat().st_mtime_ns == finished, "a finished shot was written again"
    assert record(out)["shots"][0]["chunks"][1]["seconds"] == {"total": 0.1235}


def test_an_error_leaves_finished_shots_and_all_latents(tmp_path):
    stop(tmp_path, *pieces()[:3], error=RuntimeError())
    latents = {f"latents/000{shot}-000{chunk}.safetensors" for shot, chunk in [(1, 1), (1, 2), (2, 1)]}
    assert names(tmp_path) == {"shots/01.mp4", "story.json", "first_frame.png"} | latents
    assert [shot["shot"] for shot in record(tmp_path)["shots"]] == [1]
    with StoryFolder(tmp_path, STORY) as folder:
        assert [len(folder.known(shot)) for shot in (0, 1)] == [2, 1]


def test_stopping_again_before_the_earlier_run_was_reached_takes_nothing_away(tmp_path):
    story = STORY.model_copy(update={"shots": [*STORY.shots, STORY.shots[0]]})
    stop(tmp_path, *pieces(), error=KeyboardInterrupt(), story=story)
    before = films(tmp_path), (tmp_path / "contact_sheet.png").read_bytes(), record(tmp_path)
    for first in (pieces()[:0], pieces()[:1], pieces()[:2]):
        stop(tmp_path, *first, error=KeyboardInterrupt(), story=story)
        assert (films(tmp_path), (tmp_path / "contact_sheet.png").read_bytes(), record(tmp_path)) == before


def test_an_interruption_inside_a_frame_leaves_that_film_out(tmp_path, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    with StoryFolder(tmp_path, STORY) as folder:
        write(folder, *pieces()[:3])
        monkeypatch.setattr(folder._running.film._pictures, "make", interrupt)
        with pytest.raises(KeyboardInterrupt):
            folder.add(pieces()[3])
    assert set(films(tmp_path)) == {"story.mp4", "shots/01.mp4"}
    assert length(tmp_path / "story.mp4") == 21


def test_a_whole_film_is_known_and_its_latents_go(tmp_path):
    tell(tmp_path, *pieces())
    (tmp_path / "latents").mkdir()
    (tmp_path / "latents" / "0001-0001.safetensors").write_text("left by a kill at the very end")
    before = films(tmp_path)
    with StoryFolder(tmp_path, STORY.model_copy(update={"title": "Another title"})) as folder:
        assert folder.whole
    assert names(tmp_path) == WHOLE
    assert films(tmp_path) == before


@pytest.mark.parametrize(
    ("story", "settings", "difference"),
    [
        ({"seed": 6}, {}, ["seed: 5 there, 6 asked for"]),
        (
            {"shots": ["A cat waves.", {"prompt": "A cat runs.", "seconds": 2.0}]},
            {},
            [
                "prompt of shot 2: 'A cat sleeps.' there, 'A cat runs.' asked for",
                "seconds of shot 2: none there, 2.0 asked for",
            ],
        ),
        ({"shots": ["A cat waves."]}, {}, ["number of shots: 2 there, 1 asked for"]),
        ({"height": 64}, {}, ["height: as the model was trained there, 64 asked for"]),
        (
            {"setting": "A dog. " * 20},
            {},
            ["setting: 'A cat.' there, 'A dog. A dog. A dog."],
        ),
        ({}, {"film_height": 32}, ["height of the films (--film-height): auto there, 32 asked for"]),
        (
            {},
            {"made_with": {"weights": "others"}},
            ["model: its weights are others than those that are asked for"],
        ),
        ({}, {"shots": (1, 1)}, ["shots that are written (--shots): 1-2 there, 1 asked for"]),
    ],
)
def test_another_film_is_refused_or_replaced_as_a_whole(tmp_path, story, settings, difference):
    tell(tmp_path, *pieces())
    (tmp_path / "notes.txt").write_text("a person's own")
    before = films(tmp_path)
    changed = Story.model_validate(STORY.model_dump() | story)
    other = StoryFolder(tmp_path, changed, **settings)
    with pytest.raises(OtherStoryError) as caught, other:
        pass
    first, *lines, last = str(caught.value).splitlines()
    assert first == f"{tmp_path} holds another film than the one that is asked for:"
    assert len(lines) == len(difference)
    assert all(line.strip().startswith(part) for line, part in zip(lines, difference, strict=True)), lines
    assert last == "Choose another folder (-o), or give --overwrite to lose what is there."
    assert films(tmp_path) == before
    with StoryFolder(tmp_path, changed, overwrite=True, **settings) as folder:
        assert films(tmp_path) == before, "it went before there was another"
        write(folder, pieces()[0])
        assert set(films(tmp_path)) <= {"shots/.01.part.mp4"} | {
            str(path.relative_to(tmp_path)) for path in tmp_path.glob("shots/.*")
        }
    assert names(tmp_path) >= {"story.mp4", "shots/01.mp4", "notes.txt"}
    assert "shots/02.mp4" not in names(tmp_path)


def test_films_without_a_record_are_another_story(tmp_path):
    tell(tmp_path, *pieces())
    (tmp_path / "story.json").write_text("{}")
    with (
        pytest.raises(OtherStoryError, match=r"no story\.json of this version"),
        StoryFolder(tmp_path, STORY),
    ):
        pass


def test_other_things_in_a_folder_do_not_matter(tmp_path):
    (tmp_path / "fox.yaml").write_text("")
    tell(tmp_path, *pieces())
    assert names(tmp_path) == {"fox.yaml", *WHOLE}


def test_a_wanted_folder_is_numbered_until_one_fits(tmp_path):
    place, other = tmp_path / "cat", STORY.model_copy(update={"seed": 6})
    assert choose_folder(place, STORY, {}) == place
    tell(place, *pieces())
    assert choose_folder(place, STORY, {}) == place
    assert choose_folder(place, other, {}) == tmp_path / "cat-2"
    stop(tmp_path / "cat-2", pieces()[0], error=KeyboardInterrupt(), story=other)
    assert choose_folder(place, other, {}) == tmp_path / "cat-2"
    assert choose_folder(place, STORY, {}, film_height=64) == tmp_path / "cat-3"


def test_300_shots_sort(tmp_path):
    story = Story(setting="", shots=["A cat."] * 300)
    with StoryFolder(tmp_path, story, shots=(9, 300)) as folder:
        for number in (7, 8, 9, 99, 299):
            write(folder, Piece(number, pieces()[0].frames[:2], last=True))
    shots = sorted(path.name for path in (tmp_path / "shots").iterdir())
    assert shots == ["009.mp4", "010.mp4", "100.mp4", "300.mp4"]
    assert [shot["film"] for shot in record(tmp_path)["shots"]] == [f"shots/{name}" for name in shots]


def test_a_long_story_has_several_sheets(tmp_path):
    story = Story(setting="", shots=["A cat."] * 102)
    frames = np.zeros((1, 32, 48, 3), np.uint8)
    with StoryFolder(tmp_path, story, film_height=32) as folder:
        write(folder, *(Piece(number, frames, last=True) for number in range(102)))
    assert [path.name for path in find_sheets(tmp_path / "contact_sheet.png")] == [
        "contact_sheet_1.png",
        "contact_sheet_2.png",
    ]


def test_nothing_made_is_nothing_written(tmp_path):
    tell(tmp_path / "out")
    stop(tmp_path / "out", error=KeyboardInterrupt())
    stop(tmp_path / "out", error=ValueError())
    assert not (tmp_path / "out").exists()


def test_two_processes_do_not_write_into_one_folder(tmp_path):
    with (
        StoryFolder(tmp_path, STORY),
        pytest.raises(FolderInUse),
        StoryFolder(tmp_path, STORY, overwrite=True),
    ):
        pass


def test_parts_of_dead_runs_go_at_the_next_start(tmp_path):
    stop(tmp_path, *pieces()[:3], error=RuntimeError())
    for place in (".", "shots", "latents"):
        (tmp_path / place / f".a.{os.getpid()}-1.part.mp4").write_text("half")
    with StoryFolder(tmp_path, STORY):
        assert not [name for name in names(tmp_path) if ".part" in name]


def test_a_disk_without_room_is_told_at_once(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100, 99, 1 << 20))
    with pytest.raises(DiskFull, match="1 MiB free, and the story may need 4"), StoryFolder(tmp_path, STORY):
        pass


def test_an_error_at_the_very_end_leaves_finished_shots(tmp_path):
    (tmp_path / "story.mp4" / "in the way").mkdir(parents=True)
    with pytest.raises(OtherStoryError):
        tell(tmp_path, *pieces())
    (tmp_path / "story.mp4" / "in the way").rmdir()
    (tmp_path / "story.mp4").rmdir()

    def write_all():
        with StoryFolder(tmp_path, STORY) as folder:
            write(folder, *pieces()[:3])
            (tmp_path / "shots" / "02.mp4").mkdir()  # the last shot cannot take its name
            write(folder, pieces()[3])

    with pytest.raises(MediaError, match=r"02\.mp4"):
        write_all()
    assert set(films(tmp_path).keys() if not (tmp_path / "shots/02.mp4").rmdir() else ()) == {"shots/01.mp4"}


def test_the_film_has_the_sounds_of_the_story(tmp_path):
    (tmp_path / "beep.wav").write_bytes(tone(seconds=0.5))
    sound = StorySound(sound=str(tmp_path / "beep.wav"), offset_seconds=0.2, gain_db=-3)
    tell(tmp_path / "heard", *pieces(), story=STORY.model_copy(update={"sounds": [sound]}))
    tell(tmp_path / "silent", *pieces())
    with av.open(str(tmp_path / "heard" / "story.mp4")) as film:
        samples = np.concatenate([frame.to_ndarray() for frame in film.decode(audio=0)], 1)
    rate = 48_000
    assert np.abs(samples[:, : int(0.15 * rate)]).max() < 0.02
    assert np.abs(samples[:, int(0.3 * rate) : int(0.5 * rate)]).max() > 0.2
    with av.open(str(tmp_path / "silent" / "story.mp4")) as film:
        assert not film.streams.audio
