"""Sizes in configs that no model has are refused before anything is made of them."""

from __future__ import annotations

import json
import os
import shutil
import time

import pytest

from shotstream.loading.folders import SHIPPED, ModelError, check_configs
from shotstream.loading.hashes import count_weights, hash_weights
from shotstream.models import text
from shotstream.streaming.pipeline import ShotStreamPipeline
from shotstream.streaming.vram_sizes import measure

pytestmark = pytest.mark.unit

BIG = 10**9


@pytest.fixture
def model(tmp_path):
    return shutil.copytree(SHIPPED / "mini", tmp_path / "model")


def change(path, **entries):
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_what_is_shipped_has_sizes_that_models_have():
    check_configs(SHIPPED)


@pytest.mark.parametrize(
    ("file", "entries"),
    [
        ("transformer/config.json", {"num_layers": BIG}),
        ("transformer/config.json", {"ffn_dim": BIG}),
        ("transformer/config.json", {"num_attention_heads": BIG}),
        ("transformer/config.json", {"context_frames": BIG}),
        ("transformer/config.json", {"window_chunks": -BIG}),
        ("transformer/config.json", {"spatial_embedding": [8, BIG]}),
        ("transformer/config.json", {"text_length": 10**400}),
        ("vae/config.json", {"decoder_blocks": BIG}),
        ("vae/config.json", {"decoder_widths": [160, BIG]}),
        ("vae/config.json", {"encoder_widths": [8] * 2_000_000}),
        ("text_encoder/config.json", {"num_hidden_layers": BIG}),
        ("text_encoder/config.json", {"vocab_size": BIG}),
        ("text_encoder/config.json", {"text_config": {"hidden_size": BIG}}),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": BIG}),
        ("model_index.json", {"height": BIG}),
        ("model_index.json", {"width": 10**5}),
    ],
)
def test_absurd_sizes_are_refused_in_a_sentence(model, file, entries):
    change(model / file, **entries)
    started = time.monotonic()
    for read in (ShotStreamPipeline.from_pretrained, lambda folder: measure(str(folder))):
        with pytest.raises(
            ModelError, match=r"config.json has .*\d, and no model has more|model_index.json has"
        ):
            read(model)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "file",
    [
        "model_index.json",
        *("transformer/config.json", "transformer/diffusion_pytorch_model.safetensors"),
        *("text_encoder/config.json", "text_encoder/model.safetensors"),
        *("vae/config.json", "vae/diffusion_pytorch_model.safetensors"),
        *("tokenizer/tokenizer.json", "scheduler/scheduler_config.json"),
    ],
)
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_pipes_and_folders_in_place_of_files_are_refused(model, file, make):
    (model / file).unlink()
    make(model / file)
    with pytest.raises(ModelError):
        ShotStreamPipeline.from_pretrained(model)
    assert hash_weights(model) != hash_weights(SHIPPED / "mini") or file.endswith("json")
    assert count_weights(model) > 0


@pytest.mark.parametrize("content", ["{", "[" * 100_000, " " * (2**24 + 1)])
def test_a_config_that_cannot_be_read_is_refused(model, content):
    (model / "vae" / "config.json").write_text(content)
    with pytest.raises(ModelError, match=r"it is no JSON|too big for a config"):
        check_configs(model)


def test_umt5_without_ftfy_is_refused(monkeypatch, make_pipeline):
    """What ftfy repairs has other tokens: that must not depend on what is installed."""
    pipeline = make_pipeline()
    monkeypatch.setattr(text, "ftfy", None)
    ShotStreamPipeline(**pipeline.components)  # a closed vocabulary needs none
    monkeypatch.setattr(text.CaptionTokenizer, "known_words", lambda self: None)
    with pytest.raises(ModelError, match=r'pip install "shotstream\[wan\]"'):
        ShotStreamPipeline(**pipeline.components)
