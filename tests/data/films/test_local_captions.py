"""Captions of a vision-language model of this machine: a tiny one with random weights, and what is none."""

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from typer.testing import CliRunner

from shotstream.cli.main import app
from shotstream.data.films import local_captions
from shotstream.data.films.captioning import CaptionError
from shotstream.data.films.local_captions import LocalCaptioner
from shotstream.data.shards import Shards
from shotstream.loading.folders import SHIPPED

from .drawn_films import write_film

pytestmark = pytest.mark.unit

CPU = torch.device("cpu")
WORDS = ["<pad>", "</s>", "<unk>", "<image>", "user", "assistant", "the", "cat", "waves"]
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }} {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image> {% else %}{{ part['text'] }} {% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}assistant {% endif %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model of LLaVA's kind that never stops talking: pictures of 16x16, nine words."""
    words = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", unk_token="<unk>", additional_special_tokens=["<image>"]
    )
    pictures = CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    processor = LlavaProcessor(
        pictures,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        chat_template=TEMPLATE,
        num_additional_image_tokens=1,
    )
    small = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    seeing = CLIPVisionConfig(**small, num_hidden_layers=2, image_size=16, patch_size=8)
    telling = LlamaConfig(
        **small, num_hidden_layers=1, vocab_size=len(WORDS), pad_token_id=0, eos_token_id=None
    )
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(
        LlavaConfig(vision_config=seeing, text_config=telling, image_token_id=3)
    )
    place = tmp_path_factory.mktemp("seeing") / "model"
    model.save_pretrained(place)
    processor.save_pretrained(place)
    return place


def test_every_shot_gets_a_sentence_and_the_same_pictures_the_same_words(folder, monkeypatch):
    monkeypatch.setattr(local_captions, "MOST_TOKENS", 6)
    pictures = np.random.default_rng(0).integers(0, 255, (3, 20, 30, 3), np.uint8)
    captioner = LocalCaptioner(folder, CPU)
    told = captioner.caption([list(pictures), list(pictures[::-1])])
    assert len(told.shots) == 2
    for sentence in (told.setting, *told.shots):
        assert 1 <= len(sentence.split()) <= 6
        assert set(sentence.split()) <= set(WORDS)
    assert captioner.bill == "captions: 3 sentences of the local model"
    again = captioner.opened_on("cpu")()
    assert again.caption([list(pictures), list(pictures[::-1])]) == told
    assert again.identity == captioner.identity


def test_the_command_captions_with_a_folder_and_once_only(folder, model_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(local_captions, "MOST_TOKENS", 4)
    film = write_film(tmp_path, 1, "uncaptioned")
    words = ["data", "prepare", film.path, "-o", tmp_path / "shards", "--model", model_folder]
    words += ["--device", "cpu", "--caption", f"folder={folder}"]
    for asked in (True, False):
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert result.exit_code == 0, result.output
        assert ("captions: 5 sentences of the local model" in result.output) == asked
    record = Shards(tmp_path / "shards" / "train").records[0]
    assert record["setting"]
    assert all(record["prompts"])


def test_what_is_no_such_model_is_told_in_a_sentence(folder, tmp_path):
    with pytest.raises(CaptionError, match=r"There is no folder .*nowhere; give one"):
        LocalCaptioner(tmp_path / "nowhere", CPU)
    with pytest.raises(CaptionError, match="holds no vision-language model that can be used"):
        LocalCaptioner(SHIPPED / "mini", CPU)
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    weights = copy / "model.safetensors"
    tensors = load_file(weights)
    weights.unlink()
    with pytest.raises(CaptionError, match=r"can be used \(.*model\.safetensors"):
        LocalCaptioner(copy, CPU)
    lost = sorted(tensors)[0]
    save_file({name: tensor for name, tensor in tensors.items() if name != lost}, weights, {"format": "pt"})
    with pytest.raises(CaptionError, match="lacks 1 of its weights, such as "):
        LocalCaptioner(copy, CPU)
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(CaptionError, match="can be used"):
        LocalCaptioner(copy, CPU)
