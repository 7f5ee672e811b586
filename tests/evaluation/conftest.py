"""Networks of features at tiny size, from folders that look like those on the hub."""

import json

import pytest
import torch
from transformers import CLIPConfig, CLIPModel, Dinov2Config, Dinov2Model

from shotstream.evaluation.features import ClipFeatures, DinoFeatures
from shotstream.models.text import make_tokenizer

SIDE = 28
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
VISION = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": SIDE}


def prepare(folder, **recipe):
    """Write the hub's preprocessor_config.json."""
    steps = dict.fromkeys(("do_center_crop", "do_convert_rgb", "do_normalize", "do_resize"), True)
    values = {"image_mean": MEAN, "image_std": STD, "resample": 3, **steps, **recipe}
    (folder / "preprocessor_config.json").write_text(json.dumps(values))


@pytest.fixture(scope="module")
def dino_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dino")
    torch.manual_seed(0)
    Dinov2Model(Dinov2Config(**VISION, mlp_ratio=2, patch_size=14)).save_pretrained(folder)
    crop = {"height": SIDE, "width": SIDE}
    prepare(folder, image_processor_type="BitImageProcessor", size={"shortest_edge": 32}, crop_size=crop)
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    tokenizer = make_tokenizer(["a", "red", "fox", "runs", "in", "the", "snow"])
    width = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**width, "vocab_size": len(tokenizer), "max_position_embeddings": 6, "eos_token_id": 1}
    vision = {**width, "image_size": SIDE, "patch_size": 14}
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config={**text, "pad_token_id": 0, "bos_token_id": 2}, vision_config=vision, projection_dim=8
    )
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    prepare(folder, feature_extractor_type="CLIPFeatureExtractor", size=SIDE, crop_size=SIDE)
    return ClipFeatures(folder, local_files_only=True)


@pytest.fixture(scope="module")
def dino(dino_folder):
    return DinoFeatures(dino_folder, local_files_only=True)
