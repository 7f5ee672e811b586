"""The teacher in a session makes what the teacher in training makes."""

import numpy as np
import pytest
import torch

from shotstream.data.next_shot import NextShot
from shotstream.models.text import CaptionEncoder
from shotstream.story import Story
from shotstream.streaming.noise import noise
from shotstream.streaming.whole_shot import WholeShotPipeline
from shotstream.training.denoiser import Denoiser

pytestmark = pytest.mark.unit

STORY = Story(setting="a red fox in the snow", seed=3, shots=["the fox runs", "a blue cat sleeps"])


@pytest.fixture(scope="module")
def teacher(make_pipeline):
    student = make_pipeline(chunk_frames=6, window_chunks=1)
    sizes = {name: student.config[name] for name in ("fps", "height", "width", "caption_template")}
    teacher = WholeShotPipeline(**student.components, **sizes)
    teacher.steps = 3
    return teacher


def test_a_shot_is_one_chunk_and_remembers(teacher):
    chunks = list(teacher.stream(STORY))
    assert [(chunk.shot, chunk.index, chunk.last, len(chunk.frames)) for chunk in chunks] == [
        (0, 0, True, 21),
        (1, 0, True, 21),
    ]
    other = STORY.model_copy(update={"setting": "a blue cat in the snow"})
    assert not np.array_equal(chunks[1].frames, list(teacher.stream(other))[1].frames)


def test_its_shots_are_those_of_the_teacher_in_training(teacher):
    """Second shot, from the first one's remembered frames, as `Denoiser.sample` makes it."""
    session = teacher.open(STORY.setting, STORY.seed)
    list(session.shoot(STORY.shots[0].prompt))
    remembered = session.context.choose(1)
    stills = session._generator.stills.latents(remembered)
    (chunk,) = session.shoot(STORY.shots[1].prompt)

    text = CaptionEncoder(teacher.tokenizer, teacher.text_encoder, teacher.transformer.config["text_length"])
    captions = [
        teacher.caption(STORY.setting, number, shot.prompt) for number, shot in enumerate(STORY.shots)
    ]
    ids, mask = text.tokenize(captions)
    index = torch.tensor([0] * 6 + [1] * 6)
    target = torch.zeros_like(chunk.latents)
    shot = NextShot(stills, target, index[None], index[None], ids[None], mask[None])
    trained = Denoiser(teacher.transformer, text, teacher.scheduler)
    start = noise((STORY.seed, 1, 0, 0, 0), target.shape)
    made, _ = trained.sample(shot, start, teacher.steps, teacher.guidance)
    torch.testing.assert_close(chunk.latents, made, rtol=1e-4, atol=1e-4)


def test_a_shot_in_one_piece_cannot_be_extended(teacher):
    session = teacher.open(STORY.setting)
    list(session.shoot("the fox runs"))
    session.extend(chunks=1)
    with pytest.raises(ValueError, match="in one piece"):
        session.next_chunk()
