"""Features by the real classes at tiny size, from folders that look like those on the hub."""

import time

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from transformers import Dinov2Model

from shotstream.evaluation import features as published
from shotstream.evaluation.features import (
    AestheticScores,
    ClipFeatures,
    DinoFeatures,
    FeatureExtractor,
    MissingExtractorError,
)

from .conftest import MEAN, SIDE, STD

pytestmark = pytest.mark.unit


def pictures(frames, height=SIDE, width=SIDE):
    return np.random.default_rng(0).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


def normalised(features):
    return features / features.norm(dim=-1, keepdim=True)


def test_dino_features_are_those_of_the_network(dino, dino_folder):
    frames = pictures(3)
    pixels = (torch.from_numpy(frames).permute(0, 3, 1, 2) / 255 - torch.tensor(MEAN).view(3, 1, 1)) / (
        torch.tensor(STD).view(3, 1, 1)
    )
    with torch.no_grad():
        expected = normalised(Dinov2Model.from_pretrained(dino_folder).eval()(pixels).last_hidden_state[:, 0])
    found = dino(frames)
    assert found.dtype == torch.float32
    assert torch.allclose(found, expected, atol=1e-5)
    assert not torch.allclose(found[0], found[1], atol=1e-3)


def test_what_is_called_an_extractor_is_one(dino, dino_folder):
    extractor: FeatureExtractor = dino
    assert extractor.name == str(dino_folder)


def test_batches_change_nothing(dino, dino_folder):
    frames = pictures(5)
    small = DinoFeatures(dino_folder, batch_frames=2, local_files_only=True)
    assert torch.allclose(dino(frames), small(frames), atol=1e-6)


@pytest.mark.parametrize("extractor", ["dino", "clip"])
def test_the_sides_of_a_wide_picture_are_seen(extractor, request):
    frames = pictures(2, height=24, width=72)
    frames[1] = frames[0]
    frames[1, :, :12] = 255  # a centre crop would cut this sixth off
    first, second = request.getfixturevalue(extractor)(frames)
    assert (first - second).abs().max() > 1e-3


def test_clip_puts_pictures_and_captions_into_one_space(clip):
    shown, told = clip(pictures(2)), clip.encode_text(["a red fox", "the snow"])
    assert shown.shape == told.shape == (2, 8)
    for features in (shown, told):
        assert torch.allclose(features.norm(dim=-1), torch.ones(2))
    assert not torch.allclose(told[0], told[1], atol=1e-3)


def test_captions_do_not_depend_on_their_neighbours_and_are_cut_at_the_models_end(clip):
    together = clip.encode_text(["a fox", "a red fox runs in the snow"])
    assert torch.allclose(together[0], clip.encode_text(["a fox"])[0], atol=1e-6)
    assert torch.allclose(
        together[1], clip.encode_text(["a red fox runs in"])[0], atol=1e-6
    )  # 5 words and </s>


def test_scores_are_the_head_on_clip_s_features(clip, tmp_path):
    head = tmp_path / "head.pth"
    weight, bias = torch.arange(8.0)[None], torch.tensor([2.0])
    torch.save({"weight": weight, "bias": bias}, head)
    scorer = AestheticScores(head, clip.name, local_files_only=True)
    frames = pictures(3)
    assert torch.allclose(scorer(frames), (clip(frames) @ torch.arange(8.0) + 2) / 10, atol=1e-6)
    assert scorer.name == f"head.pth on {clip.name}"
    for broken in (b"no weights", b""):
        head.write_bytes(broken)
        with pytest.raises(MissingExtractorError, match=r"head\.pth is no linear head"):
            AestheticScores(head, clip.name, local_files_only=True)(frames)


@pytest.mark.parametrize("kind", [DinoFeatures, ClipFeatures])
def test_weights_that_cannot_be_had_are_named(kind):
    extractor = kind("nobody/nothing", local_files_only=True)
    with pytest.raises(
        MissingExtractorError, match=r"'nobody/nothing' is not here.*hf download nobody/nothing"
    ):
        extractor(pictures(1))


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://nowhere.invalid"])
def test_without_a_network_it_is_known_at_once(monkeypatch, address):
    monkeypatch.setattr(constants, "ENDPOINT", address)
    published._hub_answers.cache_clear()
    started = time.monotonic()
    for kind in (DinoFeatures, ClipFeatures):
        with pytest.raises(MissingExtractorError, match="is not here and cannot be fetched"):
            kind("nobody/nothing")(pictures(1))
    published._hub_answers.cache_clear()
    assert time.monotonic() - started < 30, "the libraries' own attempts take minutes"


def test_what_is_here_asks_no_network(dino_folder, monkeypatch):
    monkeypatch.setattr(published, "_hub_answers", None)
    assert DinoFeatures(dino_folder)(pictures(1)).shape == (1, 16)


def test_missing_weights_are_not_made_up(dino_folder, tmp_path):
    for file in dino_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    del weights["layernorm.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(MissingExtractorError, match=r"is no Dinov2Model: it lacks layernorm\.weight"):
        DinoFeatures(tmp_path, local_files_only=True)(pictures(1))


def test_only_pictures_have_features(dino):
    with pytest.raises(ValueError, match=r"Frames must be uint8"):
        dino(pictures(1)[0])
