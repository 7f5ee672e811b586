"""Published weight files in every layout, and files that must be refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan
from safetensors.torch import save_file

from shotstream.loading.networks import (
    load_autoencoder,
    load_tiny_decoder,
    load_transformer,
    load_umt5,
    read_sizes,
)
from shotstream.loading.weight_files import CheckpointError, CheckpointWarning, WeightFile, read_weights
from shotstream.loading.weight_names import from_original, to_original, umt5_from_original
from shotstream.models.transformer import CausalWanTransformer3DModel

from ..models.conftest import tiny_transformer
from .published_files import (
    original_tiny_decoder,
    original_umt5,
    original_vae,
    original_vae_names,
    write,
)

pytestmark = pytest.mark.unit

SIZES = {"num_attention_heads": 2, "attention_head_dim": 16, "text_length": 5}
"""What weights do not tell."""


def same(network, other) -> bool:
    own, others = network.state_dict(), other.state_dict()
    return own.keys() == others.keys() and all(torch.equal(own[name], others[name]) for name in own)


@pytest.fixture
def original(transformer):
    return to_original(transformer.state_dict())


def test_the_transformer_from_a_file_of_wans_authors(tmp_path, transformer, original):
    save_file(original, tmp_path / "diffusion_pytorch_model.safetensors")
    loaded = load_transformer(tmp_path / "diffusion_pytorch_model.safetensors", **SIZES)
    assert same(loaded, transformer)
    assert loaded.config["num_layers"] == 2


def test_the_transformer_from_diffusers_folder(tmp_path, transformer):
    transformer.save_pretrained(tmp_path / "one")
    transformer.save_pretrained(tmp_path / "several", max_shard_size="20KB")
    assert len(list((tmp_path / "several").glob("*.safetensors"))) > 1
    for folder in ("one", "several"):
        assert same(load_transformer(tmp_path / folder, **SIZES), transformer)


@pytest.mark.parametrize("prefix", ["model.", "model._fsdp_wrapped_module.", ""])
def test_the_transformer_from_a_released_checkpoint(tmp_path, transformer, original, prefix):
    other = {prefix + name: value + 1 for name, value in original.items()}
    network = {prefix + name: value for name, value in original.items()}
    path = write(tmp_path / "shotstream.pt", {"generator": network, "critic": other, "step": 3})
    assert same(load_transformer(path, **SIZES), transformer)
    path = write(tmp_path / "averaged.pt", {"generator": other, "generator_ema": network})
    with pytest.warns(CheckpointWarning, match="generator_ema, the averaged one, was taken"):
        assert same(load_transformer(path, **SIZES), transformer)
    assert not same(load_transformer(path, "generator", **SIZES), transformer)


@pytest.mark.parametrize("inside", [True, False])
def test_adapters_in_a_checkpoint_are_merged(tmp_path, transformer, original, inside):
    torch.manual_seed(3)
    module = "blocks.1.self_attn.q"
    down, up = torch.randn(3, 32), torch.randn(32, 3)
    if inside:
        network = {f"model.base_model.model.{name}": value for name, value in original.items()}
        for leaf in ("weight", "bias"):
            value = network.pop(f"model.base_model.model.{module}.{leaf}")
            network[f"model.base_model.model.{module}.base_layer.{leaf}"] = value
        network[f"model.base_model.model.{module}.lora_A.default.weight"] = down
        network[f"model.base_model.model.{module}.lora_B.default.weight"] = up
        found = {"generator": network}
    else:
        adapter = {
            f"base_model.model.{module}.lora_A.weight": down,
            f"base_model.model.{module}.lora_B.weight": up,
        }
        found = {
            "generator": {f"model.{name}": value for name, value in original.items()},
            "generator_lora": adapter,
        }
    loaded = load_transformer(write(tmp_path / "lora.pt", found), **SIZES)
    expected = transformer.state_dict()
    expected["blocks.1.attn1.to_q.weight"] = expected["blocks.1.attn1.to_q.weight"] + up @ down
    assert all(
        torch.allclose(value, expected[name], atol=1e-5) for name, value in loaded.state_dict().items()
    )


def test_another_network_s_adapter_is_not_merged(tmp_path, transformer, original):
    adapter = {f"{LOW}.weight": torch.ones(3, 32), f"{HIGH}.weight": torch.ones(32, 3)}
    found = {"generator": {}, "critic": original, "generator_lora": adapter}
    assert same(load_transformer(write(tmp_path / "a.pt", found), "critic", **SIZES), transformer)
    found["critic_lora"] = adapter
    assert not same(load_transformer(write(tmp_path / "b.pt", found), "critic", **SIZES), transformer)


def test_a_file_of_nothing_but_a_lora_is_no_checkpoint(tmp_path):
    weights = {f"{LOW}.weight": torch.ones(3, 32), f"{HIGH}.weight": torch.ones(32, 3)}
    save_file(weights, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="holds only a LoRA; give it as such"):
        load_transformer(tmp_path / "a.safetensors")


def test_umt5_from_wans_file_and_transformers_folder(tmp_path):
    encoder, original = original_umt5()
    encoder.save_pretrained(tmp_path / "text_encoder")
    ids = torch.arange(6).unsqueeze(0)
    for path in (write(tmp_path / "models_t5.pth", original), tmp_path / "text_encoder"):
        loaded = load_umt5(path)
        with torch.no_grad():
            assert torch.equal(loaded(ids).last_hidden_state, encoder(ids).last_hidden_state)


def test_the_autoencoder_from_wans_file_and_diffusers_folder(tmp_path):
    vae, original = original_vae()
    assert len(original) == 194
    vae.save_pretrained(tmp_path / "vae")
    for path in (write(tmp_path / "Wan2.1_VAE.pth", original), tmp_path / "vae"):
        assert same(load_autoencoder(path), vae)


@pytest.fixture
def tiny_decoder():
    return original_tiny_decoder(4, (8, 6, 4, 4))


def test_the_tiny_decoder_from_either_kind_of_file(tmp_path, tiny_decoder):
    whole = tiny_decoder | {"encoder.0.weight": torch.zeros(64, 3, 3, 3)}  # never encoded with
    save_file(whole, tmp_path / "taew2_1.safetensors")
    for path in (write(tmp_path / "taew2_1.pth", whole), tmp_path / "taew2_1.safetensors"):
        loaded = load_tiny_decoder(path)
        assert (loaded.config["latent_channels"], tuple(loaded.config["widths"])) == (4, (8, 6, 4, 4))
        weights = loaded.state_dict()
        assert weights.keys() == tiny_decoder.keys()
        assert all(torch.equal(weights[name], value) for name, value in tiny_decoder.items())


def test_of_a_tiny_decoder_that_makes_more_frames_the_last_ones_count(tmp_path, tiny_decoder):
    grown = torch.randn(16, 8, 1, 1)
    loaded = load_tiny_decoder(write(tmp_path / "a.pth", tiny_decoder | {"decoder.7.conv.weight": grown}))
    assert torch.equal(loaded.state_dict()["decoder.7.conv.weight"], grown[8:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decoder.1.weight": None}, r"no tiny decoder of Wan 2.1 \(no proper decoder.1.weight\)"),
        ({"decoder.3.conv.2.bias": None}, r"lacks decoder.3.conv.2.bias \[8\]"),
        ({"decoder.22.weight": torch.zeros(12, 4, 3, 3)}, r"shape \[12, 4, 3, 3\] where \[3, 4, 3, 3\]"),
        (
            {"decoder.99.weight": torch.zeros(1, 1, 1, 1)},
            "holds decoder.99.weight, which the model does not have",
        ),
        ({"decoder.22.bias": torch.full((3,), torch.nan)}, "decoder.22.bias is not a finite number"),
    ],
)
def test_bad_tiny_decoders_are_refused_in_a_sentence(tmp_path, tiny_decoder, change, message):
    weights = {name: value for name, value in (tiny_decoder | change).items() if value is not None}
    with pytest.raises(CheckpointError, match=message):
        load_tiny_decoder(write(tmp_path / "taew2_1.pth", weights))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decoder.1.weight": torch.zeros(8)}, r"decoder.1.weight of shape \[8\] where 4 sizes above 0"),
        ({"decoder.7.conv.weight": torch.tensor(1.0)}, r"decoder.7.conv.weight of shape \[\] where 4 sizes"),
        ({"decoder.8.weight": torch.zeros(0, 8, 3, 3)}, r"decoder.8.weight of shape \[0, 8, 3, 3\]"),
    ],
)
def test_a_tiny_decoder_of_no_proper_sizes_is_refused(tmp_path, tiny_decoder, change, message):
    with pytest.raises(CheckpointError, match=message):
        load_tiny_decoder(write(tmp_path / "taew2_1.pth", tiny_decoder | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"patch_embedding.weight": torch.zeros(32, 4)},
            r"patch_embedding.weight of shape \[32, 4\] where 5",
        ),
        (
            {"patch_embedding.weight": torch.zeros(32, 4, 1, 0, 2)},
            r"shape \[32, 4, 1, 0, 2\] where 5 sizes above 0",
        ),
        ({"patch_embedding.weight": torch.zeros(4)}, r"patch_embedding.weight of shape \[4\]"),
        ({"patch_embedding.weight": torch.zeros(32, 4, 2, 2, 2)}, "patches of 2 frames"),
        ({"head.head.weight": torch.tensor(0.5)}, r"proj_out.weight of shape \[\] where 2 sizes"),
        ({"head.head.weight": torch.zeros(1, 32)}, r"proj_out.weight of shape \[1, 32\] where \[4, 32\]"),
        ({"text_embedding.0.weight": torch.zeros(12)}, r"text_embedder.linear_1.weight of shape \[12\]"),
        (
            {"time_embedding.0.weight": torch.zeros(2, 2, 2)},
            r"time_embedder.linear_1.weight of shape \[2, 2, 2\]",
        ),
        ({"blocks.0.ffn.0.weight": torch.tensor(1.0)}, r"blocks.0.ffn.net.0.proj.weight of shape \[\]"),
        ({"blocks.x.self_attn.q.weight": torch.zeros(1)}, "lacks blocks.2 and holds blocks.x;"),
        ({"blocks.9999999.self_attn.q.weight": torch.zeros(1)}, "lacks blocks.2 and holds blocks.9999999;"),
        (
            {"blocks.1.ffn.2.bias": torch.zeros(32, dtype=torch.int64)},
            "blocks.1.ffn.net.2.bias as int64 values",
        ),
        ({"blocks.1.ffn.2.bias": torch.zeros(32, dtype=torch.complex64)}, "net.2.bias as complex64 values"),
        (
            {"blocks.1.ffn.2.weight": torch.zeros(32, 48).to_sparse()},
            "net.2.weight as sparse or nested values",
        ),
        ({"blocks.1.ffn.2.bias": torch.zeros(32, device="meta")}, "net.2.bias is not a finite number"),
    ],
)
def test_a_transformer_of_no_proper_sizes_is_refused(tmp_path, original, change, message):
    with pytest.raises(CheckpointError, match=message):
        load_transformer(write(tmp_path / "model.pt", original | change), **SIZES)


def test_layers_are_counted_by_our_names_too(tmp_path, transformer):
    weights = transformer.state_dict() | {"blocks.9999999.attn1.to_q.weight": torch.zeros(1)}
    with pytest.raises(CheckpointError, match=r"lacks blocks\.2 and holds blocks\.9999999;"):
        load_transformer(write(tmp_path / "model.pt", weights), **SIZES)
    without = {name: value for name, value in weights.items() if not name.startswith("blocks.")}
    with pytest.raises(CheckpointError, match=r"lacks blocks\.0"):
        load_transformer(write(tmp_path / "model.pt", without), **SIZES)


BIAS = "blocks.0.pos_embedding.embedding.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {BIAS: torch.zeros(8, 0)},
            r"relative_attention_bias.weight of shape \[8, 0\] where 2 sizes above 0",
        ),
        ({BIAS: torch.zeros(8, 3)}, "8 channels for 3 heads of umT5"),
        ({BIAS: torch.tensor(1.0)}, r"relative_attention_bias.weight of shape \[\]"),
        ({"token_embedding.weight": torch.zeros(20)}, r"shared.weight of shape \[20\]"),
        ({"nonsense.weight": torch.zeros(1)}, "t5.pth: weight 'nonsense.weight' .* of Wan's umT5 encoder"),
        ({"blocks.7.norm1.weight": torch.zeros(16)}, "lacks encoder.block.2 and holds encoder.block.7"),
        ({"norm.weight": torch.ones(16, dtype=torch.int32)}, "final_layer_norm.weight as int32 values"),
    ],
)
def test_bad_umt5_files_are_refused_in_a_sentence(tmp_path, change, message):
    with pytest.raises(CheckpointError, match=message):
        load_umt5(write(tmp_path / "t5.pth", original_umt5()[1] | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder.conv1.weight": None}, "lacks encoder.conv_in.weight"),
        ({"encoder.conv1.weight": torch.tensor(1.0)}, r"encoder.conv_in.weight of shape \[\] where 5 sizes"),
        ({"decoder.upsamples.x.residual.0.gamma": torch.zeros(1)}, "vae.pth: "),
    ],
)
def test_bad_autoencoders_are_refused_in_a_sentence(tmp_path, change, message):
    weights = {name: value for name, value in (original_vae()[1] | change).items() if value is not None}
    with pytest.raises(CheckpointError, match=message):
        load_autoencoder(write(tmp_path / "vae.pth", weights))


LOW, HIGH = "blocks.1.self_attn.q.lora_A", "blocks.1.self_attn.q.lora_B"


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        (
            {f"{LOW}.one.weight": (3, 32), f"{LOW}.two.weight": (3, 32)},
            r"holds several adapters \(one, two\)",
        ),
        (
            {f"{LOW}.weight": (3, 32), f"{HIGH}.bias": (32,)},
            f"holds {HIGH}.bias, which is no part of a plain LoRA",
        ),
        (
            {f"{LOW}.weight": (96,), f"{HIGH}.weight": (32, 3)},
            r"holds \[32, 3\] x \[96\] of .* where two matrices",
        ),
        ({f"{LOW}.weight": (3, 32)}, "lacks lora_B of blocks.1.self_attn.q"),
    ],
)
def test_adapters_that_would_be_merged_wrongly_are_refused(tmp_path, original, adapter, message):
    found = {"generator": original, "generator_lora": {n: torch.zeros(shape) for n, shape in adapter.items()}}
    with pytest.raises(CheckpointError, match=message):
        load_transformer(write(tmp_path / "lora.pt", found), **SIZES)


def test_an_adapter_of_no_finite_numbers_is_refused(tmp_path, original):
    pair = {f"{LOW}.weight": torch.full((3, 32), torch.inf), f"{HIGH}.weight": torch.zeros(32, 3)}
    with pytest.raises(CheckpointError, match=r"lora_A\.weight is not a finite number"):
        load_transformer(write(tmp_path / "a.pt", {"generator": original, "generator_lora": pair}), **SIZES)


class Hostile:
    def __reduce__(self):
        return (print, ("run",))


def bad_file(kind, folder, original):
    """Write a bad file; returns its path."""
    path = folder / "weights.safetensors"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "pointer":
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    elif kind == "page":
        path.write_text("<!DOCTYPE html><html>")
    elif kind == "cut off":
        save_file(original, path)
        path.write_bytes(path.read_bytes()[:-100])
    elif kind == "cut off torch":
        path = write(folder / "weights.pt", original)
        path.write_bytes(path.read_bytes()[:-100])
    elif kind == "hostile":
        path = write(folder / "weights.pt", {"generator": original, "note": Hostile()})
    elif kind == "pickle":
        path = folder / "weights.pt"
        path.write_bytes(pickle.dumps(Hostile()))
    elif kind == "list":
        path = write(folder / "weights.pt", list(original.values()))
    elif kind == "no tensors":
        path = write(folder / "weights.pt", {"step": 3})
    elif kind == "twice":
        path = write(folder / "weights.pt", original | {"model.head.head.bias": original["head.head.bias"]})
    elif kind == "lacks":
        save_file({name: value for name, value in original.items() if "blocks.1.ffn.2" not in name}, path)
    elif kind == "shape":
        save_file(original | {"blocks.1.ffn.2.weight": torch.zeros(32, 47)}, path)
    elif kind == "foreign":
        save_file(original | {"blocks.0.nonsense.weight": torch.zeros(1)}, path)
    elif kind == "image":
        ours = tiny_transformer().state_dict()
        save_file(ours | {"condition_embedder.image_embedder.norm1.weight": torch.zeros(1)}, path)
    elif kind == "not finite":
        save_file(original | {"head.head.bias": torch.full_like(original["head.head.bias"], torch.nan)}, path)
    elif kind == "outside":
        path = folder / "model"
        path.mkdir()
        (path / "x.safetensors.index.json").write_text('{"weight_map": {"a": "../../secret.safetensors"}}')
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "there is no weight file .*weights.safetensors"),
        ("empty", "is empty; download it again"),
        ("pointer", "Git LFS pointer"),
        ("page", "is a web page"),
        ("cut off", "is damaged or cut off"),
        ("cut off torch", "is cut off"),
        ("hostile", r"holds code besides weights \(.*\), which opening it would run"),
        ("pickle", "opening it would run what stands in it"),
        ("list", "holds a list instead of named weights"),
        ("no tensors", "holds 'step' of type int"),
        ("twice", "holds 'head.head.bias' twice"),
        ("lacks", r"lacks blocks.1.ffn.net.2.weight \[32, 48\]"),
        ("shape", r"blocks.1.ffn.net.2.weight of shape \[32, 47\] where \[32, 48\]"),
        ("foreign", "'blocks.0.nonsense.weight' belongs to no part"),
        ("image", "is an image-to-video model"),
        ("not finite", "proj_out.bias is not a finite number"),
        ("outside", "names files outside its folder"),
    ],
)
def test_bad_files_are_refused_in_a_sentence(tmp_path, original, capsys, kind, message):
    with pytest.raises(CheckpointError, match=message):
        load_transformer(bad_file(kind, tmp_path, original), **SIZES)
    assert capsys.readouterr().out == ""  # nothing in it was run


def test_a_network_that_is_not_there_is_named_with_those_that_are(tmp_path, original):
    path = write(tmp_path / "weights.pt", {"critic": original})
    with pytest.raises(CheckpointError, match="holds no 'generator'; the networks in it: critic"):
        load_transformer(path, "generator", **SIZES)


def test_several_files_without_an_index_are_not_guessed(tmp_path, original):
    for name in "ab":
        save_file(original, tmp_path / f"{name}.safetensors")
    with pytest.raises(CheckpointError, match="has 2 weight files and no index; name the file"):
        read_weights(tmp_path)


def test_the_names_and_sizes_of_wan_1_3b():
    with torch.device("meta"):
        ours = CausalWanTransformer3DModel().state_dict()
    original = to_original(ours)
    assert len(original) == 825  # 27 in each of 30 blocks and 15 around them
    for name, shape in {
        "patch_embedding.weight": (1536, 16, 1, 2, 2),
        "text_embedding.0.weight": (1536, 4096),
        "time_embedding.0.weight": (1536, 256),
        "time_projection.1.bias": (9216,),
        "blocks.29.self_attn.norm_q.weight": (1536,),
        "blocks.29.cross_attn.o.bias": (1536,),
        "blocks.29.norm3.weight": (1536,),
        "blocks.0.ffn.0.weight": (8960, 1536),
        "blocks.0.modulation": (1, 6, 1536),
        "head.head.weight": (64, 1536),
        "head.modulation": (1, 2, 1536),
    }.items():
        assert original[name].shape == shape
    assert sum(value.numel() for value in original.values()) == 1_418_996_800
    sizes = read_sizes(WeightFile(Path("a file"), from_original(original)))
    with torch.device("meta"):
        again = CausalWanTransformer3DModel(**sizes).state_dict()
    assert {n: v.shape for n, v in again.items()} == {n: v.shape for n, v in ours.items()}


def test_the_names_of_umt5_xxl():
    encoder, original = original_umt5(layers=24)
    assert len(original) == 242  # 10 in each of 24 blocks and 2 around them
    names = umt5_from_original(original).keys()
    assert {*names, "encoder.embed_tokens.weight"} == encoder.state_dict().keys()


def test_the_names_of_wans_autoencoder():
    with torch.device("meta"):
        expected = AutoencoderKLWan().state_dict()
    assert len(list(original_vae_names())) == len(expected) == 194
