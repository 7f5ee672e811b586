"""Published folders become a model that `generate` opens."""

from __future__ import annotations

import json
import re
import shutil

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from shotstream import CausalWanTransformer3DModel, ShotStreamPipeline
from shotstream.cli.main import app
from shotstream.loading.networks import load_transformer
from shotstream.loading.weight_names import to_original
from shotstream.models.text import make_tokenizer
from tests.loading.published_files import original_tiny_decoder, original_umt5, original_vae, write

pytestmark = pytest.mark.system


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "400"})


@pytest.fixture(scope="module")
def transformer():
    """As small as Wan's head size allows."""
    torch.manual_seed(0)
    return CausalWanTransformer3DModel(
        num_attention_heads=1, num_layers=1, text_dim=16, freq_dim=16, ffn_dim=32
    ).eval()


@pytest.fixture(scope="module")
def wan(tmp_path_factory, transformer):
    """A folder as Wan's authors publish it."""
    folder = tmp_path_factory.mktemp("wan")
    save_file(to_original(transformer.state_dict()), folder / "diffusion_pytorch_model.safetensors")
    write(folder / "Wan2.1_VAE.pth", original_vae()[1])
    write(folder / "models_t5_umt5-xxl-enc-bf16.pth", original_umt5()[1])
    make_tokenizer(["a", "red", "fox", "runs"]).save_pretrained(folder / "google" / "umt5-xxl")
    return folder


@pytest.fixture(scope="module")
def model(wan, transformer, tmp_path_factory):
    """What it becomes with a checkpoint of ShotStream."""
    folder = tmp_path_factory.mktemp("model")
    network = {f"model.{name}": value + 1 for name, value in to_original(transformer.state_dict()).items()}
    checkpoint = write(folder / "shotstream.pt", {"generator": network})
    result = run("convert", wan, "-o", folder / "model", "--checkpoint", checkpoint, "--dtype", "float32")
    assert result.exit_code == 0, result.output
    return folder / "model"


def test_a_converted_model_has_the_checkpoint_s_weights_and_wan_s_settings(model, transformer):
    pipeline = ShotStreamPipeline.from_pretrained(model)
    for name, value in pipeline.transformer.state_dict().items():
        assert torch.equal(value, transformer.state_dict()[name] + 1)
    assert pipeline.caption("Cast.", 2, "Runs.") == "Cast.shot2:Runs."
    assert (pipeline.config["height"], pipeline.config["width"], pipeline.config["fps"]) == (480, 832, 16.0)
    assert tuple(pipeline.scheduler.config["student_timesteps"]) == (1000, 740, 500, 260)


def test_which_of_two_generators_was_taken_is_told(wan, transformer, tmp_path):
    network = to_original(transformer.state_dict())
    averaged = {name: value + 1 for name, value in network.items()}
    found = {"generator": network, "generator_ema": averaged, "critic": network}
    checkpoint = write(tmp_path / "step.pt", found)
    result = run("convert", wan, "-o", tmp_path / "model", "--checkpoint", checkpoint)
    assert result.exit_code == 0, result.output
    assert "which differ; generator_ema, the averaged one, was taken" in result.output
    result = run("convert", wan, "-o", tmp_path / "m", "--checkpoint", checkpoint, "--network", "generator")
    assert "was taken" not in result.output
    result = run("convert", wan, "-o", tmp_path / "n", "--checkpoint", checkpoint, "--network", "teacher")
    assert "holds no 'teacher'; the networks in it: generator, generator_ema, critic" in result.output


def test_a_checkpoint_can_be_loaded_without_converting(model, wan):
    converted = ShotStreamPipeline.from_pretrained(model)
    loaded = ShotStreamPipeline.from_single_file(model.parent / "shotstream.pt", wan, dtype=torch.float32)
    alone = load_transformer(model.parent / "shotstream.pt")
    for transformer in (loaded.transformer, alone):
        weights = transformer.state_dict()
        assert all(
            torch.equal(value, weights[name]) for name, value in converted.transformer.state_dict().items()
        )


def test_it_generates(model, tmp_path):
    index = json.loads((model / "model_index.json").read_text())
    (model / "model_index.json").write_text(json.dumps(index | {"height": 32, "width": 48}))
    story = tmp_path / "story.yaml"
    story.write_text(
        "setting: a red fox\nshots:\n- prompt: runs\n  chunks: 1\n- prompt: a fox\n  chunks: 1\n"
    )
    result = run("generate", story, "--model", model, "-o", tmp_path / "film", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "film" / "story.mp4").stat().st_size > 0


def test_the_tiny_decoder_is_put_in_and_the_film_is_of_the_full_one(model, wan, tmp_path):
    weights = original_tiny_decoder(16, (4, 4, 4, 4))
    tiny = write(tmp_path / "taew2_1.pth", {name: value.half() for name, value in weights.items()})
    result = run("convert", wan, "-o", tmp_path / "model", "--tiny-decoder", tiny, "--dtype", "float32")
    assert result.exit_code == 0, result.output
    index = tmp_path / "model" / "model_index.json"
    facts = json.loads(index.read_text())
    assert facts["live_decoder"] == ["shotstream", "TinyWanDecoder"]
    index.write_text(json.dumps(facts | {"height": 16, "width": 32}))
    story = tmp_path / "story.yaml"
    story.write_text("setting: a fox\nshots:\n- {prompt: runs, chunks: 2}\n- {prompt: runs, chunks: 1}\n")
    common = ("generate", story, "--model", tmp_path / "model", "--device", "cpu")
    for decoder in ("tiny", "full"):
        result = run(*common, "-o", tmp_path / decoder, "--decoder", decoder)
        assert result.exit_code == 0, result.output
        assert json.loads((tmp_path / decoder / "story.json").read_text())["decoder"] == decoder
    films = [(tmp_path / decoder / "story.mp4").read_bytes() for decoder in ("tiny", "full")]
    assert films[0] == films[1]
    result = run("generate", story, "--model", model, "-o", tmp_path / "no", "--decoder", "tiny")
    assert result.exit_code == 1
    assert "this model has no tiny decoder" in result.output


def test_diffusers_layout_gives_the_same_model(model, wan, tmp_path):
    """A converted folder is itself in that layout."""
    result = run("convert", model, "-o", tmp_path / "again", "--dtype", "float32")
    assert result.exit_code == 0, result.output
    assert "has not learnt to tell stories in four steps" in result.output
    first, second = (
        ShotStreamPipeline.from_pretrained(folder).components for folder in (model, tmp_path / "again")
    )
    for name in ("transformer", "vae", "text_encoder"):
        weights = second[name].state_dict()
        assert all(torch.equal(value, weights[key]) for key, value in first[name].state_dict().items())


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("words", "output", "message"),
    [
        (("{model}",), "{model}", "is, holds or lies in .*, which the model is made from"),
        (("{model}",), "{model}/../model", "is, holds or lies in"),
        (("{model}",), "{model}/again", "is, holds or lies in"),
        (("{wan}", "--checkpoint", "{model}/transformer/x.safetensors"), "{model}", "is, holds or lies in"),
        (("{wan}", "--tiny-decoder", "{model}/vae/x.safetensors"), "{model}", "is, holds or lies in"),
        (("{wan}", "--lora", "{model}/vae/x.safetensors:2"), "{model}", "is, holds or lies in"),
        (("{wan}",), "{diary}", "holds something other than a model"),
        (("{wan}",), "{broken}", "holds something other than a model"),
        (("{wan}",), "{diary}/note.txt", "cannot be a folder, because .*note.txt is a file"),
        (("{wan}",), "{diary}/note.txt/model", "cannot be a folder, because .*note.txt is a file"),
    ],
)
def test_nothing_that_is_needed_is_written_over(model, wan, tmp_path, words, output, message):
    places = {name: tmp_path / name for name in ("model", "diary", "broken")} | {"wan": wan}
    shutil.copytree(model, places["model"])
    shutil.copytree(model, places["diary"])
    (places["diary"] / "note.txt").write_text("Dear diary")
    places["broken"].mkdir()
    (places["broken"] / "model_index.json").write_text("[]")
    before = files(tmp_path)
    result = run("convert", *(word.format(**places) for word in words), "-o", output.format(**places))
    assert result.exit_code == 1
    assert re.search(message, result.output), result.output
    assert files(tmp_path) == before


def test_an_earlier_model_is_replaced_also_behind_a_link(model, wan, tmp_path):
    shutil.copytree(model, tmp_path / "earlier")
    (tmp_path / "earlier" / "transformer" / "config.json").unlink()
    (tmp_path / "link").symlink_to(tmp_path / "earlier")
    result = run("convert", wan, "-o", tmp_path / "link", "--dtype", "float32")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "earlier" / "transformer" / "config.json").is_file()


NAMINGS = {
    "diffusers": (
        "transformer.blocks.0.attn1.to_q.lora_A.weight",
        "transformer.blocks.0.attn1.to_q.lora_B.weight",
    ),
    "original": (
        "diffusion_model.blocks.0.self_attn.q.lora_A.weight",
        "diffusion_model.blocks.0.self_attn.q.lora_B.weight",
    ),
    "bare": ("blocks.0.self_attn.q.lora_A.weight", "blocks.0.self_attn.q.lora_B.weight"),
    "kohya": (
        "lora_unet_blocks_0_self_attn_q.lora_down.weight",
        "lora_unet_blocks_0_self_attn_q.lora_up.weight",
    ),
}


@pytest.mark.parametrize("naming", NAMINGS)
def test_a_lora_of_any_naming_is_merged(wan, transformer, tmp_path, naming):
    torch.manual_seed(2)
    down, up = torch.randn(4, 128), torch.randn(128, 4)
    lora = dict(zip(NAMINGS[naming], (down, up), strict=True))
    if naming == "kohya":  # such files name every layer
        layers = {f"{kind}_attn_{part}": (128, 128) for kind in ("self", "cross") for part in "qkvo"}
        for layer, (outputs, inputs) in (layers | {"ffn_0": (32, 128), "ffn_2": (128, 32)}).items():
            name = f"lora_unet_blocks_0_{layer}"
            nothing = {"lora_down.weight": torch.zeros(4, inputs), "lora_up.weight": torch.zeros(outputs, 4)}
            lora = {f"{name}.{part}": value for part, value in nothing.items()} | lora
            lora[f"{name}.alpha"] = torch.tensor(4.0)
    save_file(lora, tmp_path / "style.safetensors")
    lora_option = ("--lora", f"{tmp_path}/style.safetensors:0.5")
    result = run("convert", wan, "-o", tmp_path / "model", *lora_option, "--dtype", "float32")
    assert result.exit_code == 0, result.output
    merged = CausalWanTransformer3DModel.from_pretrained(tmp_path / "model" / "transformer").state_dict()
    expected = transformer.state_dict()["blocks.0.attn1.to_q.weight"] + 0.5 * up @ down
    torch.testing.assert_close(merged["blocks.0.attn1.to_q.weight"], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nowhere",), "there is no folder nowhere"),
        (("{empty}",), "lacks diffusion_pytorch_model.safetensors, Wan2.1_VAE.pth, models_t5"),
        (("{wan}", "--dtype", "int8"), "--dtype is 'int8'; give bfloat16"),
        (("{wan}", "--lora", "x:nan"), "'nan' behind the colon is no number; give FILE or FILE:SCALE"),
        (("{wan}", "--lora", "x:y"), "'y' behind the colon is no number; give FILE or FILE:SCALE"),
        (("{wan}", "--lora", "{lora}"), "is no LoRA of Wan's text-to-video model|belongs to no part"),
        (("{wan}", "--lora", "{weights}"), "holds no LoRA"),
    ],
)
def test_what_cannot_be_converted_is_said_in_a_sentence(wan, tmp_path, words, message):
    (tmp_path / "empty").mkdir()
    pair = {
        f"transformer.blocks.0.nonsense.{part}.weight": torch.zeros(2, 2) for part in ("lora_A", "lora_B")
    }
    save_file(pair, tmp_path / "lora.safetensors")
    places = {
        "empty": tmp_path / "empty",
        "wan": wan,
        "lora": tmp_path / "lora.safetensors",
        "weights": wan / "diffusion_pytorch_model.safetensors",
    }
    result = run("convert", *(word.format(**places) for word in words), "-o", tmp_path / "model")
    assert result.exit_code == 1
    assert re.search(message, result.output), result.output
    assert not (tmp_path / "model").exists()
