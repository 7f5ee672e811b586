"""What shards hold: the same latents as drawn stories give, and what the rule of context selection says."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from shotstream.data.drawn import DrawnStories, write_latents
from shotstream.data.film_shards import open_films
from shotstream.data.films.check import check_shards
from shotstream.data.films.decode import read_shot
from shotstream.data.films.inputs import read_inputs
from shotstream.data.films.model import open_encoder
from shotstream.data.films.prepare import prepare
from shotstream.data.films.report import write_table
from shotstream.data.films.settings import FilmSettings
from shotstream.data.mixture import Mixture
from shotstream.data.next_shot import BatchChoice, NextShots
from shotstream.data.shards import Shards, captions_of
from shotstream.models.text import CaptionTokenizer, make_tokenizer
from shotstream.streaming.chunk import to_pixels
from shotstream.world.sampler import sample_story

from .conftest import FPS, HEIGHT, SHOT_FRAMES, WIDTH
from .drawn_films import write_exactly

pytestmark = pytest.mark.unit

WORDS = "zero one two three four five six seven eight nine the film shot 0 1 2 3 4 5 6 7 8 9"
TEMPLATE = "{setting} shot {index}: {prompt}"


def opened(folder, made, template=TEMPLATE):
    tokenizer = CaptionTokenizer(make_tokenizer(WORDS.split()), 64)
    return NextShots(
        Shards(folder / "train"),
        tokenizer.tokenize,
        template,
        made.context_frames,
        shot_frames=made.shot_frames,
    )


def test_films_of_drawn_stories_have_the_latents_of_the_stories_as_drawn(model, tmp_path):
    drawn = DrawnStories("train", 2, 3, SHOT_FRAMES, HEIGHT, WIDTH, FPS)
    direct = write_latents(tmp_path / "direct", drawn, model.autoencoder, model.format.context_frames)
    for number in range(2):
        folder = tmp_path / "films" / str(number)
        folder.mkdir(parents=True)
        record, frames, _ = drawn[number]
        for shot, clip in enumerate(frames):
            write_exactly(folder / f"{shot + 1:02d}.mp4", clip.numpy(), FPS)
        story = sample_story(number, shots=3, frames=SHOT_FRAMES)
        (folder / "attributes.json").write_text(json.dumps(story.attributes()))
    prepare(read_inputs([tmp_path / "films"]), tmp_path / "shards", model, FilmSettings(held_out=0.5))
    cut = [
        (Shards(tmp_path / "shards" / split), number)
        for split in ("train", "held-out")
        for number in range(len(Shards(tmp_path / "shards" / split)))
    ]
    assert len(cut) == 2
    for shards, place in cut:
        record = shards.records[place]
        number = next(n for n, told in enumerate(direct.records) if told["setting"] == record["setting"])
        assert record["prompts"] == direct.records[number]["prompts"]
        assert record["licence"] == "Apache-2.0"
        expected = direct.tensor(number, "clips").flatten(0, 1)
        torch.testing.assert_close(shards.tensor(place, "clips"), expected, rtol=0, atol=2e-3)
        known, row = direct.records[number]["positions"], 0
        for shot, positions in enumerate(record["positions"]):
            for frame in positions:
                still = direct.tensor(number, "stills")[shot, known.index(frame)]
                torch.testing.assert_close(shards.tensor(place, "stills")[row], still, rtol=0, atol=2e-3)
                row += 1
        assert row == len(shards.tensor(place, "stills"))


def test_the_table_of_a_report_keeps_stories_of_which_every_shot_is_a_file(model, tmp_path):
    pytest.importorskip("pyarrow")
    folder = tmp_path / "films"
    folder.mkdir()
    for shot in range(2):
        write_exactly(folder / f"{shot + 1}.mp4", numbered(30 + shot)[:, ::-1, :: 1 - 2 * shot], FPS)
    told = {"setting": "A story.", "shots": [{"prompt": "One."}, {"prompt": "Two."}]}
    (folder / "attributes.json").write_text(json.dumps(told))
    for name, source in (("shards", folder), ("again", tmp_path / "clips.parquet")):
        prepare(read_inputs([source]), tmp_path / name, model, FilmSettings(duplicate_bits=0))
        write_table(tmp_path / name, tmp_path / "clips.parquet")
    first, second = (Shards(tmp_path / name / "train").records[0] for name in ("shards", "again"))
    assert (first["frames"], first["prompts"]) == ([30, 31], ["One.", "Two."])
    assert second["checksum"] == first["checksum"]


AUTHORS_SHOTS = [[0, 56], [56, 114], [114, 130], [130, 155], [155, 235]]


def numbered(frames, size=(HEIGHT, WIDTH)):
    """Pictures that tell their number: moving stripes of a brightness that grows."""
    columns = np.arange(size[1])
    rows = [((columns + 5 * number) // 12 % 2) * 60 + number % 180 for number in range(frames)]
    pictures = np.stack(rows)[:, None, :, None].astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(pictures, (frames, *size, 3)))


@pytest.fixture
def authors_layout(tmp_path):
    def write(fps, every=1):
        pictures = np.repeat(numbered(235), every, axis=0)
        write_exactly(tmp_path / "0001.mp4", pictures, fps)
        shots = {
            f"shot{number + 1}": f"{word}"
            for number, word in enumerate(["one", "two", "three", "four", "five"])
        }
        captions = {"video_path": "0001.mp4", "global_caption": "The film.", **shots}
        (tmp_path / "0001.json").write_text(json.dumps(captions))
        with (tmp_path / "sample.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["shot_num_from_caption", "json_path", "video_path", "frame_number"])
            spans = [[first * every, end * every] for first, end in AUTHORS_SHOTS]
            rows.writerow([5, "0001.json", "0001.mp4", json.dumps(spans)])
        return tmp_path / "sample.csv"

    return write


@pytest.mark.parametrize(("fps", "every"), [(FPS, 1), (2 * FPS, 2)])
def test_the_authors_layout_follows_the_rule(authors_layout, model, tmp_path, fps, every):
    """Six context frames of four shots: one each, and the last two one more; the only one is the first."""
    films = read_inputs([authors_layout(fps, every)])
    prepare(films, tmp_path / "shards", model, FilmSettings())
    data = opened(tmp_path / "shards", model.format)
    assert data.records[0]["frames"] == [56, 58, 16, 25, 80]
    assert captions_of(data.records[0], "{setting}shot{index}:{prompt}") == [
        "The film.shot0:one",
        "The film.shot1:two",
        "The film.shot2:three",
        "The film.shot3:four",
        "The film.shot4:five",
    ]
    shot = data.make(BatchChoice([0], [4]))
    pictures = to_pixels(numbered(235))
    chosen = [0, 56, 114, 129, 130, 154]  # round(linspace(a, b, c)) of shots a..b
    stills = model.autoencoder.encode_stills(pictures[None, chosen])
    torch.testing.assert_close(shot.context, stills, rtol=0, atol=2e-3)
    assert shot.shot_index.tolist() == [[0, 1, 2, 2, 3, 3, *[4] * 9]]
    assert shot.caption_index.tolist() == shot.shot_index.tolist()
    clip = model.autoencoder.encode_clip(pictures[None, 155 : 155 + 33])
    torch.testing.assert_close(shot.target, clip, rtol=0, atol=2e-3)
    assert not torch.equal(stills[0, 2], stills[0, 3])
    second = data.make(BatchChoice([0], [1]))
    spread = torch.linspace(0, 55, 6).round().long()
    expected = model.autoencoder.encode_stills(pictures[None, spread])
    torch.testing.assert_close(second.context, expected, rtol=0, atol=2e-3)
    third = data.make(BatchChoice([0], [2]))
    assert third.target.shape[1] == 3  # 16 frames hold one chunk of 9
    assert third.shot_index.tolist() == [[0, 0, 0, 1, 1, 1, 2, 2, 2]]


def test_shots_of_unlike_lengths_make_batches_of_like_ones(authors_layout, model, tmp_path):
    prepare(read_inputs([authors_layout(FPS)]), tmp_path / "shards", model, FilmSettings())
    data, generator = opened(tmp_path / "shards", model.format), torch.Generator().manual_seed(0)
    lengths = {0: 9, 1: 9, 2: 3, 3: 6, 4: 9}
    seen = []
    for _ in range(200):
        choice = data.choose(4, generator, Mixture(remembered=0.5))
        own = {lengths[shot] for shot in choice.shots}
        assert len(own) == 1
        seen += choice.shots
        assert data.make(choice).target.shape[:2] == (4, own.pop())
    counts = np.bincount(seen) / len(seen)
    assert counts.min() > 0.08  # shot 0 has half of a fifth: where something is remembered it has no part
    still = data.make(data.choose(4, generator, Mixture(target="still")))
    assert still.target.shape[1] == 1


def test_frames_are_those_on_the_screen_whatever_the_rate_of_the_film(tmp_path):
    path = tmp_path / "film.mp4"
    write_exactly(path, numbered(100), 25)
    read = read_shot(path, 1.0, 3.0, 10, {0, 1, 7, 19})
    for number, picture in read.items():
        shown = int((1.0 + number / 10) * 25 + 0.26)
        assert np.array_equal(picture, numbered(100)[shown]), number


def test_shards_for_another_model_are_refused(authors_layout, model, tmp_path):
    prepare(read_inputs([authors_layout(FPS)]), tmp_path / "shards", model, FilmSettings())
    made, encoder = model.format, model.made_with["encoder"]
    assert len(open_films(tmp_path / "shards", "train", made, encoder)) == 1
    with pytest.raises(ValueError, match=r"prepared with fps=12\.0, but the recipe has 16"):
        open_films(tmp_path / "shards", "train", made.model_copy(update={"fps": 16.0}), encoder)
    with pytest.raises(ValueError, match="encoded by another autoencoder"):
        open_films(tmp_path / "shards", "train", made, "else")
    with pytest.raises(ValueError, match="shotstream data prepare"):
        open_films(tmp_path, "train", made, encoder)
    other = replace(model, format=made.model_copy(update={"fps": 16.0}))
    with pytest.raises(ValueError, match="was made with other settings or weights"):
        prepare(read_inputs([tmp_path / "sample.csv"]), tmp_path / "shards", other, FilmSettings())


def test_embedded_captions_are_what_the_text_encoder_makes_of_the_words(
    authors_layout, model_folder, tmp_path
):
    from shotstream.streaming.pipeline import ShotStreamPipeline

    embedding = open_encoder(str(model_folder), torch.device("cpu"), embed=True)
    assert open_encoder(str(model_folder), torch.device("cpu")).embedder is None  # it is small
    prepare(read_inputs([authors_layout(FPS)]), tmp_path / "shards", embedding, FilmSettings())
    shot = opened(tmp_path / "shards", embedding.format).make(BatchChoice([0, 0], [1, 3]))
    pipeline = ShotStreamPipeline.from_pretrained(model_folder)
    for row, (captions, first) in enumerate(((2, 2), (4, 0))):
        told = ["The film. one", "The film. two", "The film. three", "The film. four"][:captions]
        assert not shot.mask[row, :first].any()
        for number, caption in enumerate(told, first):
            expected = pipeline.embed(caption)[0, 0]
            length = int(shot.mask[row, number].sum())
            assert not expected[length:].any()
            torch.testing.assert_close(
                shot.ids[row, number, :length], expected[:length], rtol=1e-2, atol=1e-2
            )
    assert all(problem is None for _, problem in check_shards(tmp_path / "shards"))


def test_the_table_of_a_report_gives_the_same_latents(authors_layout, model, tmp_path):
    pytest.importorskip("pyarrow")
    prepare(read_inputs([authors_layout(FPS)]), tmp_path / "shards", model, FilmSettings())
    write_table(tmp_path / "shards", tmp_path / "clips.parquet")
    prepare(read_inputs([tmp_path / "clips.parquet"]), tmp_path / "again", model, FilmSettings())
    first, second = (Shards(tmp_path / name / "train") for name in ("shards", "again"))
    assert first.records[0]["prompts"] == second.records[0]["prompts"]
    assert first.records[0]["frames"] == second.records[0]["frames"]
    assert first.records[0]["checksum"] == second.records[0]["checksum"]
