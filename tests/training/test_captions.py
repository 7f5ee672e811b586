"""The caption encoder's lesson: targets stand at the right tokens, and who wears what is learnt."""

import pytest
import torch

from shotstream.training.captions import NOT_ASKED, SINGLE_WORDS, WHOLE_CAPTION, CaptionsStage, _word_targets
from shotstream.training.fresh_networks import make_captions
from shotstream.training.learner import Learner
from shotstream.training.settings import CaptionsSettings, Loop, Optimiser
from shotstream.training.stage import step_generator
from shotstream.world.sampler import sample_story
from shotstream.world.vocabulary import split_words
from shotstream.world.word_labels import word_labels

from .conftest import tiny_recipe

pytestmark = pytest.mark.system


def test_hidden_attributes_are_never_asked_of_a_caption():
    assert not [name for name in WHOLE_CAPTION if "pattern" in name or "accessory_colour" in name]
    assert {"place", "first kind", "second accessory"} <= set(WHOLE_CAPTION)
    assert not {"landmark", "side"} & set(WHOLE_CAPTION)


def test_targets_stand_at_the_tokens_of_their_words():
    text = make_captions(tiny_recipe())
    story = next(s for seed in range(50) if len((s := sample_story(seed, shots=2, frames=1)).cast) == 2)
    caption = f"{story.setting} {story.shots[1].prompt}"
    ids, mask = text.tokenize([caption])
    words = split_words(caption)
    tokens = text.tokenizer.convert_ids_to_tokens(ids[0].tolist())
    assert tokens[: len(words)] == words
    assert int(mask.sum()) == len(words) + 1
    labels = [word_labels(story, 1)]
    for name, answers in SINGLE_WORDS.items():
        targets = _word_targets(labels, name, answers, ids.shape[1])[0]
        for place, label in enumerate(labels[0]):
            value = getattr(label, name)
            assert targets[place] == (NOT_ASKED if value is None else answers.index(value))
        assert targets[len(words)] == NOT_ASKED  # the end answers for the whole caption


def test_a_hundred_steps_teach_more_than_chance():
    torch.manual_seed(0)
    recipe = tiny_recipe()
    network = recipe.teacher.network.model_copy(update={"text_width": 64, "text_layers": 2})
    text = make_captions(
        recipe.model_copy(update={"teacher": recipe.teacher.model_copy(update={"network": network})})
    )
    stage = CaptionsStage(
        CaptionsSettings(loop=Loop(steps=100, batch=16), optimiser=Optimiser(lr=3e-3, warmup_steps=10)), text
    )
    learner = Learner(stage.roles["captions"], 0.9, 100)
    for step in range(100):
        stage.loss(step, step_generator(0, step))[0].backward()
        learner.update(step)
    figures = stage.accuracy(64)
    assert figures["word colour"] > 0.5  # of eight
    assert figures["word kind"] > 0.5  # of six
