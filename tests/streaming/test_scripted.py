"""What a story file asks for is told, or refused before anything is made."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from shotstream.story import Shot, Story, StoryWarning
from shotstream.streaming.exported import write_story
from shotstream.streaming.scripted import ScriptedStory

pytestmark = pytest.mark.unit

REFUSED = {
    "a redirect after the end": (
        [{"prompt": "runs", "redirects": [{"chunk": 3, "prompt": "sleeps"}]}],
        "shot 1 is redirected at chunk 3, but with this model it has 3 chunks",
    ),
    "a pin after the end": (
        ["runs", {"prompt": "sleeps", "pins": [{"shot": 0, "frame": 21}]}],
        "shot 2 asks for frame 21 of shot 0, take 0, which has 21 frames with this model",
    ),
    "more pins than places": (
        ["runs", {"prompt": "sleeps", "pins": [{"shot": 0, "frame": frame} for frame in range(7)]}],
        "shot 2 is to be made from 7 pins, references or remembered frames, but this model remembers 6",
    ),
    "a picture that is not there": (
        [{"prompt": "runs", "references": ["nothing.png"]}],
        "the picture nothing.png cannot be read .*check its path",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_told_is_said_before_anything_is_made(pipeline, case):
    shots, sentence = REFUSED[case]
    story = Story.model_validate({"setting": "a fox", "shots": shots})
    with pytest.raises(ValueError, match=sentence):
        pipeline.stream(story)


def told(pipeline, **story) -> list[np.ndarray]:
    script = Story.model_validate({"setting": "a red fox", "seed": 3, **story})
    chunks = list(pipeline.stream(script))
    return [
        np.concatenate([chunk.frames for chunk in chunks if chunk.shot == shot])
        for shot in range(len(script.shots))
    ]


def test_a_story_is_told_as_a_session_is_directed(pipeline, tmp_path):
    picture = Image.effect_noise((50, 40), 90).convert("RGB")
    picture.save(tmp_path / "fox.png")
    session = pipeline.open("a red fox", seed=3)
    session.reference(picture, "a cat")
    wanted = [np.concatenate([chunk.frames for chunk in session.shoot("runs", chunks=2)])]
    session.pin(0, 9)
    session.cut("sleeps", chunks=2, take=4, seed=8)
    first = session.next_chunk()
    session.redirect("at night")
    wanted.append(np.concatenate([first.frames, *(chunk.frames for chunk in iter(session.next_chunk, None))]))
    session.unpin(0, 9)
    session.unpin(0, -1)
    wanted.append(np.concatenate([chunk.frames for chunk in session.shoot("a cat", chunks=1)]))
    seen = told(
        pipeline,
        references=[{"picture": str(tmp_path / "fox.png"), "prompt": "a cat"}],
        shots=[
            {"prompt": "runs", "chunks": 2},
            {
                "prompt": "sleeps",
                "chunks": 2,
                "take": 4,
                "seed": 8,
                "pins": [{"shot": 0, "frame": 9}],
                "redirects": [{"chunk": 1, "prompt": "at night"}],
            },
            {"prompt": "a cat", "chunks": 1, "pins": [], "references": []},
        ],
    )
    assert all(np.array_equal(*pair) for pair in zip(seen, wanted, strict=True))


def test_outtakes_are_made_and_not_shown(pipeline):
    shots = [{"prompt": "runs", "chunks": 2}, {"prompt": "sleeps", "chunks": 1}]
    plain = told(pipeline, shots=shots)
    outtakes = [{"prompt": "a cat", "chunks": 1, "number": 0, "take": 1}]
    assert all(
        np.array_equal(*pair)
        for pair in zip(told(pipeline, shots=shots, outtakes=outtakes), plain, strict=True)
    )
    shots[1]["remembers"] = [{"shot": 0, "take": 1, "frame": 2}]
    seen = told(pipeline, shots=shots, outtakes=outtakes)
    assert np.array_equal(seen[0], plain[0])
    assert not np.array_equal(seen[1], plain[1])


def test_a_range_is_the_same_as_in_the_whole(pipeline):
    shots = ["runs", {"prompt": "sleeps", "number": 2}, "a cat"]
    story = Story.model_validate(
        {"setting": "a fox", "shots": shots, "outtakes": [{"prompt": "a cat", "number": 1}]}
    )
    whole = [chunk for chunk in pipeline.stream(story) if chunk.shot == 1]
    part = list(pipeline.stream(story, shots=(1, 1)))
    assert [chunk.shot for chunk in part] == [1, 1, 1]
    assert all(np.array_equal(a.frames, b.frames) for a, b in zip(whole, part, strict=True))


def test_the_storys_size_is_taken_unless_another_is_given(pipeline):
    story = Story(setting="a fox", height=32, width=16, shots=[Shot(prompt="runs", chunks=1)])
    assert next(pipeline.stream(story)).frames.shape[1:] == (32, 16, 3)
    assert next(pipeline.stream(story, height=16, width=32)).frames.shape[1:] == (16, 32, 3)
    with pytest.raises(ValueError, match="pictures of 33x16 cannot be made"):
        pipeline.stream(story.model_copy(update={"height": 33}))


def test_it_is_said_that_a_reference_is_transparent(pipeline, tmp_path):
    Image.new("RGBA", (20, 20), (9, 9, 9, 9)).save(tmp_path / "fox.png")
    references = [{"picture": str(tmp_path / "fox.png")}]
    with pytest.warns(StoryWarning, match=r"fox\.png: .* transparent .* white"):
        told(pipeline, references=references, shots=[{"prompt": "runs", "chunks": 1}])


def test_a_shot_that_was_moved_behind_many_is_taken_anew_there(pipeline, tmp_path):
    session = pipeline.open("a red fox", seed=3)
    made = {}

    def keep(chunks):
        for chunk in chunks:
            made[chunk.shot] = chunk.frames

    for count in (10, 14):
        for _ in range(count):
            keep(session.shoot("runs", chunks=1))
        session.move(0, len(session.script) - 1)
    keep(session.retake(0))
    story = write_story(session, tmp_path / "story.yaml")
    again = [chunk.frames for chunk in pipeline.stream(story)]
    assert np.array_equal(again, [made[shot] for shot in session.order])


def test_captions_are_known_with_the_places_that_shots_had(pipeline):
    moved = Story.model_validate(
        {
            "setting": "a fox",
            "shots": [
                {"prompt": "runs", "remembers": [], "number": 0},
                {
                    "prompt": "a cat",
                    "remembers": [{"shot": 0, "frame": 0}],
                    "number": 2,
                    "places": [{"shot": 2, "place": 1}],
                },
                {"prompt": "sleeps", "remembers": [{"shot": 0, "frame": 0}], "number": 1},
            ],
        }
    )
    captions = ScriptedStory(pipeline.open(moved.setting), moved).captions
    assert captions == [
        pipeline.caption("a fox", *told) for told in ((0, "runs"), (1, "sleeps"), (1, "a cat"))
    ]


def test_pictures_count_beside_what_is_remembered(pipeline, tmp_path):
    Image.new("RGB", (20, 20)).save(tmp_path / "fox.png")
    remembers = [{"shot": 0, "frame": frame} for frame in range(6)]
    shots = [
        {"prompt": "runs", "references": [str(tmp_path / "fox.png")]},
        {"prompt": "sleeps", "remembers": remembers},
    ]
    with pytest.raises(ValueError, match="shot 2 is to be made from 7 pins, references or remembered frames"):
        told(pipeline, shots=shots)
