"""Films by a model, drawn, and from files; what they refuse."""

import json

import numpy as np
import pytest

from shotstream.evaluation.judged_film import Film, drawn, tell
from shotstream.evaluation.video_folder import content_key, find_films, knows_the_world, read_film
from shotstream.media.story_folder import StoryFolder
from shotstream.media.video import write_video
from shotstream.story import Story
from shotstream.world.sampler import sample_story
from shotstream.world.scene import draw_shot

pytestmark = pytest.mark.unit

STORY = Story(setting="a red fox", seed=3, shots=["the fox runs", {"prompt": "the fox sleeps", "chunks": 1}])


def plain(colour, frames=3, height=32, width=48):
    return np.broadcast_to(np.array(colour, np.uint8), (frames, height, width, 3))


def test_a_told_film_is_what_the_pipeline_streams(pipeline):
    film = tell(pipeline, STORY)
    chunks = list(pipeline.stream(STORY))
    assert [len(shot) for shot in film.shots] == [21, 5]
    assert np.array_equal(np.concatenate(film.shots), np.concatenate([chunk.frames for chunk in chunks]))
    assert (film.prompts, film.setting, film.seed, film.fps) == (
        ["the fox runs", "the fox sleeps"],
        "a red fox",
        3,
        8.0,
    )
    assert 0 < film.first_frame_seconds < film.generating_seconds
    assert (film.cuts, film.frames) == ([21], 26)


def test_a_drawn_film_is_the_truth():
    story = sample_story(1, split="held-out", shots=2, frames=3)
    film = drawn(story, height=32, width=48)
    assert np.array_equal(film.shots[1], draw_shot(story, 1, height=32, width=48))
    assert film.attributes == story.attributes()
    assert film.generating_seconds is None


def test_films_that_are_none_are_refused():
    red = plain((255, 0, 0))
    with pytest.raises(ValueError, match="without shots"):
        Film([], 8, [])
    with pytest.raises(ValueError, match="some are 16x48 and others 32x48"):
        Film([red, red[:, :16]], 8, ["", ""])
    with pytest.raises(ValueError, match="2 shots and 1 prompts"):
        Film([red, red], 8, [""])
    with pytest.raises(ValueError, match="tell of 5 shots and the film has 1"):
        Film([red], 8, [""], attributes=sample_story(0).attributes())


def test_what_generate_wrote_is_read_back(pipeline, tmp_path):
    with StoryFolder(tmp_path / "fox", STORY) as folder:
        folder.facts |= {"setting": "a red fox", "seed": 3, "frames_per_second": 52.0}
        folder.facts |= {"first_frame_seconds": 0.25}
        for chunk in pipeline.stream(STORY):
            folder.add(chunk)
    film = read_film(tmp_path / "fox")
    assert [len(shot) for shot in film.shots] == [21, 5]
    assert (film.prompts[1], film.setting, film.seed, film.fps) == ("the fox sleeps", "a red fox", 3, 8.0)
    assert (film.first_frame_seconds, film.generating_seconds) == (0.25, 26 / 52)
    (tmp_path / "fox" / "shots" / "02.mp4").unlink()
    with pytest.raises(ValueError, match=r"02\.mp4 is missing"):
        read_film(tmp_path / "fox")


def test_a_record_of_something_else_is_refused(tmp_path):
    write_video(tmp_path / "shots" / "01.mp4", plain((255, 0, 0)), 12)
    for text, sentence in [
        ("{", "cannot be read as JSON"),
        ('{"shots": [{}]}', "is not what `shotstream"),
        ("[]", "is not what"),
    ]:
        (tmp_path / "story.json").write_text(text)
        with pytest.raises(ValueError, match=sentence):
            read_film(tmp_path)


def test_clips_are_shots_in_the_order_of_their_names(tmp_path):
    for name, colour in [("b.mp4", (0, 0, 255)), ("a.mp4", (255, 0, 0)), (".c.part.mp4", (0, 0, 0))]:
        write_video(tmp_path / name, plain(colour), 12)
    film = read_film(tmp_path)
    assert [shot.mean(axis=(0, 1, 2)).argmax() for shot in film.shots] == [0, 2]
    assert (film.fps, film.prompts, film.attributes) == (12.0, ["", ""], None)
    assert np.abs(film.shots[0].astype(int) - (255, 0, 0)).max() < 12


def test_prompts_may_lie_beside_clips(tmp_path):
    write_video(tmp_path / "1.mp4", plain((9, 9, 9)), 12)
    write_video(tmp_path / "2.mp4", plain((9, 9, 9)), 12)
    before = content_key(tmp_path)
    STORY.write(tmp_path / "story.yaml")
    assert content_key(tmp_path) != before
    film = read_film(tmp_path)
    assert (film.setting, film.prompts) == ("a red fox", ["the fox runs", "the fox sleeps"])


def test_clips_of_the_story_world_bring_their_attributes(tmp_path):
    story = sample_story(4, shots=2, frames=3)
    for shot in range(2):
        write_video(tmp_path / f"{shot}.mp4", draw_shot(story, shot, height=32, width=48), 12)
    (tmp_path / "attributes.json").write_text(json.dumps(story.attributes()))
    film = read_film(tmp_path)
    assert film.attributes == story.attributes()
    assert (film.seed, film.prompts) == (4, [shot.prompt for shot in story.shots])
    (tmp_path / "attributes.json").write_text('{"shots": [{"subjects": [0]}]}')
    with pytest.raises(ValueError, match="does not tell a story of the story world"):
        read_film(tmp_path)


def test_clips_must_go_together(tmp_path):
    write_video(tmp_path / "1.mp4", plain((9, 9, 9)), 12)
    write_video(tmp_path / "2.mp4", plain((9, 9, 9)), 16)
    with pytest.raises(ValueError, match="have 12 and 16 frames per second"):
        read_film(tmp_path)
    (tmp_path / "2.mp4").write_bytes(b"no video")
    with pytest.raises(ValueError, match=r"2\.mp4 cannot be read as a video"):
        read_film(tmp_path)


@pytest.mark.parametrize("suffix", [".MP4", ".mov", ".MKV", ".m4v", ".avi", ".Webm"])
def test_every_common_suffix_is_read_in_any_case(tmp_path, suffix):
    write_video(tmp_path / "01.mp4", plain((9, 200, 9)), 12)
    file = (tmp_path / "01.mp4").rename(tmp_path / f"Fox{suffix}")
    assert find_films(tmp_path) == [tmp_path]
    assert find_films(file) == [file]
    for place in (tmp_path, file):
        film = read_film(place)
        assert ([len(shot) for shot in film.shots], film.prompts) == ([len(plain((9, 200, 9)))], [""])
    assert content_key(file) != content_key(tmp_path)


def test_what_is_no_video_file_is_refused(tmp_path):
    (tmp_path / "fox.txt").write_text("a fox")
    with pytest.raises(ValueError, match=r"fox\.txt is no video file \(\*\.mp4, .*\*\.gif\); give one"):
        find_films(tmp_path / "fox.txt")


def test_a_hundred_clips_are_in_the_order_of_their_numbers(tmp_path):
    for number in (1, 2, 10, 99, 100, 101):
        write_video(tmp_path / f"shot {number:02d}.mp4", plain((number, number, number)), 12)
    levels = [int(shot.mean()) for shot in read_film(tmp_path).shots]
    assert levels == sorted(levels)


def test_captions_of_the_drawn_world_tell_its_attributes(tmp_path):
    write_video(tmp_path / "1.mp4", plain((9, 9, 9)), 12)
    assert not knows_the_world(tmp_path)
    story = Story(setting="A red cat is on a beach by day.", shots=["Wide shot of the cat waving hello."])
    story.write(tmp_path / "story.yaml")
    assert knows_the_world(tmp_path)
    assert read_film(tmp_path).attributes["shots"][0]["action"] == "waves"
    STORY.write(tmp_path / "story.yaml")
    assert not knows_the_world(tmp_path)


def test_films_are_found_in_a_folder_and_one_below(tmp_path):
    for folder in ("b", "a/shots"):
        write_video(tmp_path / folder / "01.mp4", plain((9, 9, 9)), 12)
    (tmp_path / "empty").mkdir()
    assert find_films(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    assert find_films(tmp_path / "a") == [tmp_path / "a"]
    with pytest.raises(ValueError, match=r"neither .*empty nor a folder in it"):
        find_films(tmp_path / "empty")
    with pytest.raises(ValueError, match="there is no folder"):
        find_films(tmp_path / "nowhere")
