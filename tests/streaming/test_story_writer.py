from __future__ import annotations

import json
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
import torch

from shotstream import TinyWanDecoder
from shotstream.media.story_folder import StoryFolder
from shotstream.media.video import read_video
from shotstream.story import Story
from shotstream.streaming.story_writer import StoryWriter

pytest.importorskip("av")
pytestmark = pytest.mark.unit

STORY = Story.model_validate(
    {"setting": "a red fox", "shots": [{"prompt": "runs", "chunks": 2}, {"prompt": "sleeps", "chunks": 1}]}
)


def frames(path: Path) -> int:
    return len(read_video(path)[0])


def tell(pipeline, place: Path, chunks: int = 3, story: Story = STORY, decoder: str = "full", **settings):
    """Stop after some chunks, as Ctrl-C does; returns the folder and the writer."""
    with StoryFolder(place, story, **settings) as folder:
        writer = StoryWriter(pipeline, story, folder, decoder)
        with closing(writer.chunks()) as told:
            for _, _ in zip(range(chunks), told, strict=False):
                pass
    return folder, writer


def films(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*.mp4")}


@pytest.mark.parametrize("chunks", range(3))
def test_a_film_that_was_stopped_goes_on_to_the_same(pipeline, tmp_path, chunks):
    tell(pipeline, tmp_path / "whole", 4)
    folder, writer = tell(pipeline, tmp_path / "out", chunks)
    assert writer.frames_left == writer.story_frames - [0, 5, 13, 18][chunks]
    folder, writer = tell(pipeline, tmp_path / "out", 4)
    assert folder.goes_on == (chunks > 0)
    assert writer.pace.frames == 18 - [0, 5, 13, 18][chunks]
    assert writer.frames_left == 0
    assert films(tmp_path / "out") == films(tmp_path / "whole")
    assert json.loads((tmp_path / "out" / "story.json").read_text())["complete"]
    assert tell(pipeline, tmp_path / "out", 4)[1].pace.frames == 0, "it was whole"


def test_latents_are_kept_before_a_chunk_is_shown(pipeline, tmp_path):
    with (
        StoryFolder(tmp_path, STORY) as folder,
        closing(StoryWriter(pipeline, STORY, folder).chunks()) as told,
    ):
        for chunk in told:
            assert torch.equal(torch.from_numpy(folder.known(chunk.shot)[chunk.index]), chunk.latents)
            assert folder.first_picture.exists()


def test_shots_before_the_first_that_is_wanted_are_kept_as_latents_only(pipeline, tmp_path):
    tell(pipeline, tmp_path / "whole", 4)
    tell(pipeline, tmp_path / "part", 2, shots=(2, 2))
    assert films(tmp_path / "part") == {}
    assert not (tmp_path / "part" / "first_frame.png").exists()
    _, writer = tell(pipeline, tmp_path / "part", 4, shots=(2, 2))
    assert writer.pace.frames == 5
    part, whole = films(tmp_path / "part"), films(tmp_path / "whole")
    assert part["shots/02.mp4"] == whole["shots/02.mp4"]
    assert set(part) == {"story.mp4", "shots/02.mp4"}
    assert frames(tmp_path / "part" / "story.mp4") == 5


@pytest.fixture
def live(make_pipeline):
    """A model with a tiny decoder, whose full one can be held up: `live.before_decoding(chunk number)`."""
    pipeline, chunks = make_pipeline(), []
    torch.manual_seed(3)
    pipeline.register_modules(live_decoder=TinyWanDecoder(latent_channels=4, widths=(8, 8, 8, 8)).eval())
    open_decoder = pipeline.vae.open_decoder

    def open_slow_decoder():
        decoder = open_decoder()
        decode = decoder.decode

        def decode_later(latents):
            chunks.append(latents)
            pipeline.before_decoding(len(chunks))
            return decode(latents)

        decoder.decode = decode_later
        return decoder

    pipeline.vae.open_decoder = open_slow_decoder
    return pipeline


def test_stopping_waits_for_no_full_frames(live, tmp_path):
    """Those that are there are written, the one being made is left out, and the others are never begun."""
    go_on = threading.Event()
    live.before_decoding = lambda chunk: chunk < 2 or go_on.wait(5)
    story = Story.model_validate({"setting": "a fox", "shots": [{"prompt": "runs", "chunks": 5}]})
    started, told = time.perf_counter(), []
    with StoryFolder(tmp_path / "out", story) as folder:
        writer = StoryWriter(live, story, folder, "tiny")
        with closing(writer.chunks()) as chunks:
            for _ in range(4):
                told.append(next(chunks))
            told[0].full_frames()
    assert time.perf_counter() - started < 5
    assert frames(tmp_path / "out" / "story.mp4") == sum(shot["frames"] for shot in folder.shots) == 5
    speed = 5 / folder.facts["first_frame_seconds"]  # all were told before the first was seen
    assert folder.facts["frames_per_second"] <= 1.02 * speed, "of frames that are written"
    assert [chunk.full.cancelled() for chunk in told] == [False, False, True, True]
    go_on.set()
    told[1].full_frames()
    live.before_decoding = lambda chunk: None
    tell(live, tmp_path / "whole", 9, story, "tiny")
    tell(live, tmp_path / "out", 9, story, "tiny")
    assert films(tmp_path / "out") == films(tmp_path / "whole")


def test_waiting_for_full_frames_counts_and_writing_them_does_not(live, tmp_path, monkeypatch):
    seconds, add = [0.0], StoryFolder.add

    def add_slowly(self, chunk) -> None:
        began = time.perf_counter()
        add(self, chunk)
        time.sleep(0.1)
        seconds[0] += time.perf_counter() - began

    monkeypatch.setattr(StoryFolder, "add", add_slowly)
    live.before_decoding = lambda chunk: time.sleep(0.1)
    started = time.perf_counter()
    folder, _ = tell(live, tmp_path / "out", 4, decoder="tiny")
    made_seconds = time.perf_counter() - started - seconds[0]
    assert frames(tmp_path / "out" / "story.mp4") == 18
    assert 18 / made_seconds - 0.01 <= folder.facts["frames_per_second"] < 18 / 0.3
