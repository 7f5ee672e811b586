from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import load_file, save_file

from shotstream import ShotStreamPipeline, Story, TinyVideoAutoencoder
from shotstream.loading.folders import ModelError
from shotstream.models.text import make_text_encoder
from shotstream.streaming.model import PromptWarning

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def story() -> Story:
    shots = [
        {"prompt": "runs", "seconds": 1.0},
        {"prompt": "a cat", "chunks": 1, "seed": 3},
        {"prompt": "sleeps"},
    ]
    return Story.model_validate({"setting": "a red fox", "seed": 4, "shots": shots})


@pytest.fixture(scope="module")
def saved(pipeline, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A saved model that a test may damage."""
    return Path(shutil.copytree(saved, tmp_path / "model"))


def test_stream_is_a_session_over_the_story(pipeline, story) -> None:
    session = pipeline.open("a red fox", seed=4)
    by_hand = [
        *session.shoot("runs", 1.0),
        *session.shoot("a cat", chunks=1, seed=3),
        *session.shoot("sleeps"),
    ]
    streamed = list(pipeline.stream(story))
    assert [(chunk.shot, chunk.index) for chunk in streamed] == [
        (0, 0),
        (0, 1),
        (1, 0),
        (2, 0),
        (2, 1),
        (2, 2),
    ]
    assert all(np.array_equal(a.frames, b.frames) for a, b in zip(streamed, by_hand, strict=True))


def test_a_range_of_shots_is_as_in_the_whole_story(pipeline, story) -> None:
    whole = [chunk for chunk in pipeline.stream(story) if chunk.shot == 1]
    part = list(pipeline.stream(story, shots=(1, 1)))
    assert [chunk.shot for chunk in part] == [1]
    assert np.array_equal(part[0].frames, whole[0].frames)


def test_call_is_all_of_stream(pipeline, story) -> None:
    told = np.concatenate([chunk.frames for chunk in pipeline.stream(story, seed=8)])
    steps = []
    generator = torch.Generator().manual_seed(8)
    output = pipeline(
        story, generator=generator, callback_on_step_end=lambda pipe, step, timestep, kept: steps.append(step)
    )
    assert steps == list(range(12))  # two for each of six chunks
    assert output.frames.shape == (1, len(told), 16, 32, 3)
    assert np.array_equal((output.frames[0] * 255).round(), told)
    assert [len(shot) for shot in output.shots] == [13, 5, 21]
    tensor = pipeline(story, seed=8, output_type="pt").frames
    assert np.array_equal(tensor[0].permute(0, 2, 3, 1).numpy(), output.frames[0])
    images = pipeline(story, seed=8, output_type="pil").frames[0]
    assert np.array_equal(np.stack(images), told)


def test_a_saved_folder_loads_and_tells_the_same(pipeline, story, saved) -> None:
    index = json.loads((saved / "model_index.json").read_text())
    assert index["transformer"] == ["shotstream", "CausalWanTransformer3DModel"]
    assert index["scheduler"] == ["shotstream", "FlowSchedule"]
    assert index["vae"] == ["shotstream", "TinyVideoAutoencoder"]
    loaded = ShotStreamPipeline.from_pretrained(saved)
    assert loaded.caption("a fox", 2, "runs") == "a fox shot 2: runs"
    for mine, theirs in zip(loaded.stream(story), pipeline.stream(story), strict=True):
        assert np.array_equal(mine.frames, theirs.frames)
        assert mine.fps == 8.0


@pytest.mark.parametrize("name", ["dtype", "torch_dtype"])
def test_streams_in_half_precision(story, saved, name) -> None:
    loaded = ShotStreamPipeline.from_pretrained(saved, **{name: torch.bfloat16})
    chunks = list(loaded.stream(story))
    assert chunks[-1].latents.isfinite().all()
    assert chunks[-1].frames.std() > 0


def test_other_picture_sizes(pipeline, story) -> None:
    chunk = next(pipeline.stream(story, height=32, width=16))
    assert chunk.frames.shape[1:] == (32, 16, 3)
    sentence = "pictures of 20x32 cannot be made; the height must be a multiple of 16 .* nearest .* 16x32"
    with pytest.raises(ValueError, match=sentence):
        pipeline.open(height=20)
    with pytest.raises(ValueError, match="nearest that can is 32x48"):
        pipeline.open(height=39, width=41)


def test_a_story_may_name_its_picture_size(pipeline, story) -> None:
    small = story.model_copy(update={"height": 32, "width": 16})
    assert next(pipeline.stream(small)).frames.shape[1:] == (32, 16, 3)
    assert next(pipeline.stream(small, width=32)).frames.shape[1:] == (32, 32, 3)
    with pytest.raises(ValueError, match="nearest that can is 16x32"):
        pipeline.stream(story.model_copy(update={"height": 17}))


def test_unknown_words_are_reported_and_do_no_harm(pipeline) -> None:
    assert list(pipeline.unknown_words("a red foxx runs")) == ["foxx"]
    assert "fox" in pipeline.unknown_words("a red foxx runs")["foxx"]
    with pytest.warns(
        PromptWarning, match=r"the setting: the model does not know these words: foxx \(near: fox"
    ):
        session = pipeline.open("a red foxx")
    with pytest.warns(PromptWarning, match="shot 1: .*: xyzzy"):
        assert next(session.shoot("xyzzy")) is not None


def test_the_end_of_a_long_prompt_is_reported(pipeline) -> None:
    session = pipeline.open()
    words = pipeline.transformer.config["text_length"]
    with pytest.warns(PromptWarning, match="shot 1: .* leaves out: (red )*a fox$") as warned:
        session.cut("red " * words + "a fox")
    assert warned[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        session.cut("red " * (words // 2) + "fox")


def test_what_cannot_be_told_is_said_at_once(pipeline, story) -> None:
    with pytest.raises(ValueError, match=r"a str is no story; give a Story, e.g. Story.read\(path\)"):
        pipeline.stream("runs")
    with pytest.raises(ValueError, match="shots 1 to 3 are not all in the story; it has 3"):
        pipeline.stream(story, shots=(1, 3))
    with pytest.raises(ValueError, match="output_type 'gif' is unknown"):
        pipeline(story, output_type="gif")


def refuse(name: str | Path) -> str:
    with pytest.raises(ModelError) as caught:
        ShotStreamPipeline.from_pretrained(name)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 700
    return message


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    assert "there is no model 'nowhere' here" in refuse("nowhere")
    assert "there is no model" in refuse(tmp_path / "gone")
    assert "holds no model (no model_index.json)" in refuse(tmp_path)


def weights_of(folder: Path) -> Path:
    return folder / "transformer" / "diffusion_pytorch_model.safetensors"


def test_missing_weights(folder: Path) -> None:
    weights_of(folder).unlink()
    assert "diffusion_pytorch_model" in refuse(folder)


def test_damaged_weights(folder: Path) -> None:
    weights_of(folder).write_bytes(weights_of(folder).read_bytes()[:1000])
    assert "cannot be loaded" in refuse(folder)


@pytest.mark.parametrize(
    ("part", "file", "weight"),
    [
        ("transformer", "diffusion_pytorch_model", "blocks.0.attn1.to_q.weight"),
        ("vae", "diffusion_pytorch_model", "patches.weight"),
        ("text_encoder", "model", "final_layer_norm.weight"),
    ],
)
def test_weights_that_lack_one(folder: Path, part: str, file: str, weight: str) -> None:
    path = folder / part / f"{file}.safetensors"
    weights = load_file(path)
    weights.pop(weight)
    save_file(weights, path, metadata={"format": "pt"})
    assert f"lacks {weight} of its {part}" in refuse(folder)


def test_weights_of_another_shape(folder: Path) -> None:
    config = json.loads((folder / "transformer" / "config.json").read_text())
    (folder / "transformer" / "config.json").write_text(json.dumps({**config, "ffn_dim": 40}))
    assert "shape" in refuse(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(folder: Path, value: float) -> None:
    weights = load_file(weights_of(folder))
    weights["proj_out.bias"][0] = value
    save_file(weights, weights_of(folder), metadata={"format": "pt"})
    assert "proj_out.bias of its transformer is not a finite number" in refuse(folder)


def test_parts_that_do_not_belong_together(pipeline) -> None:
    parts = pipeline.components
    plain = WanTransformer3DModel(num_attention_heads=1, attention_head_dim=12, num_layers=1, ffn_dim=8)
    with pytest.raises(ModelError, match="the transformer is a WanTransformer3DModel, which cannot stream"):
        ShotStreamPipeline(**{**parts, "transformer": plain})
    wide = make_text_encoder(30, width=20, layers=1, heads=2)
    with pytest.raises(ModelError, match="reads captions of width 16, the text encoder makes 20"):
        ShotStreamPipeline(**{**parts, "text_encoder": wide})
    vae = TinyVideoAutoencoder(latent_channels=8)
    with pytest.raises(ModelError, match="reads 4 latent channels, the autoencoder makes 8"):
        ShotStreamPipeline(**{**parts, "vae": vae})
