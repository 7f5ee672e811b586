"""A LoRA of any layout counts as much as in PEFT's own forward, or is refused in a sentence."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest
import torch
from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY
from safetensors.torch import save_file

from shotstream.loading.lora import Adapter, merge_adapter, read_lora
from shotstream.loading.lora_settings import METADATA_KEY
from shotstream.loading.weight_files import CheckpointError

pytest.importorskip("peft", reason="PEFT makes the LoRAs that these tests read")
from .lora_files import (
    TARGETS,
    flow,
    kohya,
    layers_of,
    originally,
    with_peft,
    with_prefix,
    write_bare,
    write_checkpoint,
    write_diffusers,
    write_kohya,
    write_kohya_by_header,
    write_peft,
)

pytestmark = pytest.mark.unit

LAYER = "blocks.0.attn1.to_q"
OTHER = "blocks.0.attn1.to_k"
PREFIXES = (
    *("transformer.", "diffusion_model.", "dit.", "pipe.dit.", "base_model.model.", "model.", "module."),
    *("_forward_module.", "_checkpoint_wrapped_module.", "_fsdp_wrapped_module.", "_orig_mod.", "generator."),
    "base_model.model.model._checkpoint_wrapped_module.",
)


def merged(transformer, path, scale=1.0):
    transformer = deepcopy(transformer)
    merge_adapter(transformer, read_lora(path), scale)
    return transformer


def pair(layer: str, rank: int = 4) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {f"{layer}.lora_A.weight": torch.randn(rank, 6), f"{layer}.lora_B.weight": torch.randn(6, rank)}


def product(adapter: Adapter, layer: str = LAYER) -> torch.Tensor:
    return adapter.layers[layer].up @ adapter.layers[layer].down


def write_with(folder, config, weights=None):
    """A file with PEFT's settings beside it."""
    save_file(pair(LAYER) if weights is None else weights, folder / "adapter_model.safetensors")
    text = config if isinstance(config, str) else json.dumps(config)
    (folder / "adapter_config.json").write_text(text)
    return folder


# ---- strength ----


@pytest.mark.parametrize(
    "write",
    [write_peft, write_diffusers, write_bare, write_kohya, write_kohya_by_header, write_checkpoint],
)
def test_every_layout_computes_what_peft_does(tmp_path, transformer, write):
    model = with_peft(transformer)
    path = write(tmp_path, model)
    torch.testing.assert_close(flow(merged(transformer, path)), flow(model), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(flow(transformer), flow(model), atol=0.1)


@pytest.mark.parametrize("network", ["generator_lora", "state_dict", "model"])
def test_a_lora_in_a_checkpoint_is_found(tmp_path, transformer, network):
    model = with_peft(transformer, lora_alpha=4)
    torch.save({network: layers_of(model), "critic_lora": {}, "step": 5}, tmp_path / "a.pt")
    torch.testing.assert_close(
        flow(merged(transformer, tmp_path / "a.pt")), flow(model), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("original", [True, False])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_prefix_computes_what_peft_does(tmp_path, transformer, prefix, original):
    model = with_peft(transformer)
    path = with_prefix(prefix, original)(tmp_path, model)
    torch.testing.assert_close(flow(merged(transformer, path)), flow(model), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"lora_alpha": 3},
        {"use_rslora": True},
        {"rank_pattern": {"to_q": 2, r"blocks\.1\..*proj": 3}},
        {"alpha_pattern": {"blocks.0.attn1.to_v": 3, "^proj_out": 1}, "use_rslora": True},
        {"rank_pattern": {"to_q": 2}, "alpha_pattern": {"to_q": 5}},
        {"use_dora": True},
        {"use_dora": True, "use_rslora": True, "rank_pattern": {"to_v": 3}},
    ],
)
def test_settings_in_peft_s_folder_count(tmp_path, transformer, settings):
    model = with_peft(transformer, **settings)
    loaded = merged(transformer, write_peft(tmp_path, model))
    torch.testing.assert_close(flow(loaded), flow(model), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("scale", [0.5, -1.0, 2.0])
def test_a_scale_counts_as_peft_s(tmp_path, transformer, dora, scale):
    model = with_peft(transformer, use_dora=dora)
    path = write_peft(tmp_path, model)
    for module in model.modules():
        if hasattr(module, "set_scale"):
            module.set_scale("default", scale)
    torch.testing.assert_close(flow(merged(transformer, path, scale)), flow(model), rtol=1e-4, atol=1e-5)


def test_without_any_alpha_it_counts_in_full(tmp_path, transformer):
    model = with_peft(transformer, lora_alpha=4)
    save_file(layers_of(model), tmp_path / "a.safetensors")
    loaded = merged(transformer, tmp_path / "a.safetensors")
    torch.testing.assert_close(flow(loaded), flow(model), rtol=1e-4, atol=1e-5)


def test_kohya_s_file_may_miss_layers_and_alphas(tmp_path, transformer):
    """A layer's own alpha comes before the header's."""
    model = with_peft(transformer, target_modules=["blocks.1.ffn.net.2", "to_k"])
    weights = kohya(layers_of(model), None)
    for name in [name for name in weights if "ffn" in name and "down" in name]:
        weights[name.replace("lora_down.weight", "alpha")] = torch.tensor(8.0)
    save_file(weights, tmp_path / "a.safetensors", {"ss_network_alpha": "8.0"})
    loaded = merged(transformer, tmp_path / "a.safetensors")
    torch.testing.assert_close(flow(loaded), flow(model), rtol=1e-4, atol=1e-5)
    weights |= {
        name.replace("lora_down.weight", "alpha"): torch.tensor(8.0) for name in weights if "down" in name
    }
    save_file(weights, tmp_path / "c.safetensors", {"ss_network_alpha": "Dynamic"})
    torch.testing.assert_close(flow(merged(transformer, tmp_path / "c.safetensors")), flow(loaded))
    save_file(weights, tmp_path / "d.safetensors", {"ss_network_alpha": "1"})
    torch.testing.assert_close(flow(merged(transformer, tmp_path / "d.safetensors")), flow(loaded))
    weights = {name: value for name, value in weights.items() if not name.endswith("alpha")}
    save_file(weights, tmp_path / "b.safetensors")  # nothing tells of alpha 8: it is the rank, 4
    half = merged(transformer, tmp_path / "a.safetensors", 0.5)
    torch.testing.assert_close(flow(merged(transformer, tmp_path / "b.safetensors")), flow(half))


def test_the_same_lora_in_another_layout_has_the_same_hash(tmp_path, transformer):
    model = with_peft(transformer)
    hashes = set()
    for number, write in enumerate((write_peft, write_diffusers, write_kohya, write_checkpoint)):
        (tmp_path / str(number)).mkdir()
        hashes.add(read_lora(write(tmp_path / str(number), model)).sha256)
    assert len(hashes) == 1
    weaker = with_peft(transformer, lora_alpha=4)
    assert read_lora(write_peft(tmp_path / "weaker", weaker)).sha256 not in hashes


def test_dora_at_scale_zero_changes_nothing(tmp_path, transformer):
    path = write_peft(tmp_path, with_peft(transformer, use_dora=True))
    assert torch.equal(flow(merged(transformer, path, 0.0)), flow(transformer))


# ---- refusals ----


@pytest.mark.parametrize(
    "name",
    [
        f"{LAYER}.lora_B.bias",
        f"{LAYER}.dora_scale",
        f"{LAYER}.hada_w1_a",
        "blocks.0.self_attn.q.diff_b",
        "blocks.0.self_attn.norm_q.diff",
        "patch_embedding.diff",
    ],
)
@pytest.mark.parametrize("prefix", ["transformer.", "diffusion_model."])
def test_what_would_not_be_merged_is_refused_by_name(tmp_path, prefix, name):
    weights = pair(f"{prefix}{LAYER}") | {f"{prefix}{name}": torch.zeros(6)}
    save_file(weights, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=f"holds {name}, which is no part of a plain LoRA"):
        read_lora(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({f"{LAYER}.lora_A.weight": torch.ones(2, 6)}, f"lacks lora_B of {LAYER}, of which it has down"),
        (
            {"blocks.9999.self_attn.q.lora_B.weight": torch.ones(6, 2)},
            "lacks lora_A of blocks.9999.self_attn",
        ),
        ({f"{LAYER}.alpha": torch.ones(1)}, "holds no LoRA"),
        (pair(LAYER) | {f"{OTHER}.alpha": torch.ones(1)}, f"lacks lora_A and lora_B of {OTHER}"),
        (pair(LAYER) | {f"{LAYER}.alpha": torch.ones(2)}, "alpha of shape .2. instead of a number"),
        (pair(LAYER) | {f"{LAYER}.alpha": torch.tensor(torch.nan)}, "not a finite number"),
        (pair(LAYER) | pair("blocks.0.self_attn.q"), f"holds {LAYER} twice, once as blocks.0.self_attn.q"),
        (pair("blocks.0.attn1.to_nothing"), "is no LoRA of Wan's text-to-video model"),
        (pair("text_encoder.encoder.block.0.layer.0.q"), "is a LoRA of a text encoder .*give a LoRA of Wan"),
        (pair("lora_te_text_model_encoder_layers_0_mlp_fc1"), "is a LoRA of a text encoder"),
        (pair("text_model.encoder.layers.0.mlp.fc1"), "is a LoRA of a text encoder"),
        (
            pair(LAYER) | pair("lora_te1_text_model_encoder"),
            "holds layers of a text encoder .lora_te1_text_model",
        ),
        ({}, "is a weight file without any weights in it; give a LoRA of Wan"),
        (pair("lora_unet_down_blocks_0_attn_q"), "is no LoRA of Wan's text-to-video model"),
        (pair("blocks.0.cross_attn.k_img"), "is no LoRA of Wan's text-to-video model"),
        ({name: value.half().to(torch.int8) for name, value in pair(LAYER).items()}, "int8 values"),
        ({name: value[:, :, None] for name, value in pair(LAYER).items()}, "where two matrices are expected"),
        (
            {f"{LAYER}.lora_{part}.{name}.weight": torch.ones(6, 6) for part in "AB" for name in "xy"},
            "several",
        ),
        ({LAYER: torch.ones(2)}, f"holds no LoRA .*but {LAYER}"),
    ],
)
def test_a_file_that_is_not_whole_is_refused(tmp_path, weights, message):
    save_file(weights, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=message):
        read_lora(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("layer", "rank", "message"),
    [
        ("blocks.7.attn1.to_q", 4, "it has blocks.7.attn1.to_q, which the model does not have"),
        (LAYER, 4, r"for blocks.0.attn1.to_q \[32, 32\] it has \[6, 4\] x \[4, 6\]; .* another size"),
    ],
)
def test_a_lora_of_another_model_is_refused(tmp_path, transformer, layer, rank, message):
    save_file(pair(layer, rank), tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=message):
        merged(transformer, tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{", "does not tell the LoRA's alpha"),
        ("[]", "does not tell the LoRA's alpha"),
        ("[" * 100_000, "does not tell the LoRA's alpha"),
        ("{}", "does not tell the LoRA's alpha .*lora_alpha"),
        ({"lora_alpha": "many"}, "does not tell the LoRA's alpha"),
        ('{"lora_alpha": 1e999}', "tells no alpha that is a finite number"),
        ({"lora_alpha": 1, "alpha_pattern": {"nowhere": 2}}, "an alpha of nowhere, which the LoRA does not"),
        ({"lora_alpha": 1, "alpha_pattern": {"(a|a)*$": 2}}, "pattern .* is not followed"),
        ({"lora_alpha": 1, "alpha_pattern": {".*.*.*.*x": 2}}, "pattern .* is not followed"),
        ({"lora_alpha": 1, "alpha_pattern": {"(to_q": 2}}, "pattern .* which is none"),
        ({"lora_alpha": 1, "r": 8}, "tells a rank of 8 for blocks.0.attn1.to_q, whose weights have rank 4"),
        ({"lora_alpha": 1, "rank_pattern": {"to_q": 2}, "r": 4}, "tells a rank of 2"),
        ({"lora_alpha": 1, "peft_type": "LOHA"}, "adapter of type 'LOHA'; only LORA"),
        ({"lora_alpha": 1, "use_dora": True}, "says DoRA, and .* lacks lora_magnitude_vector"),
        (
            {"lora_alpha": 1, "init_lora_weights": "pissa"},
            "init_lora_weights 'pissa', which changed the model's",
        ),
        ({"lora_alpha": 1, "layer_replication": [[0, 2]]}, "layer_replication .* cannot be followed"),
        ({"lora_alpha": 1, "lora_bias": True}, "lora_bias True, which cannot be followed"),
        ({"lora_alpha": 1, "bias": "all"}, "bias all, which cannot be followed"),
        ({"lora_alpha": 1, "modules_to_save": ["proj_out"]}, "modules_to_save .* cannot be followed"),
        ({"lora_alpha": 1, "use_qalora": True}, "use_qalora True, which cannot be followed"),
        ({"lora_alpha": 1, "something_new": 3}, "something_new 3, which cannot be followed"),
    ],
)
@pytest.mark.parametrize("in_header", [True, False])
def test_settings_that_cannot_be_followed_are_refused(tmp_path, config, message, in_header):
    path = write_with(tmp_path, config)
    if in_header:
        text = (tmp_path / "adapter_config.json").read_text()
        path = tmp_path / "a.safetensors"
        save_file(pair(f"transformer.{LAYER}"), path, {"lora_adapter_metadata": text})
        (tmp_path / "adapter_config.json").unlink()
    with pytest.raises(CheckpointError, match=message):
        read_lora(path)


def test_alphas_that_contradict_each_other_are_refused(tmp_path):
    weights = pair(LAYER) | {f"{LAYER}.alpha": torch.tensor(2.0)}
    with pytest.raises(CheckpointError, match=f"{LAYER} has an alpha of 2, and .* tells another, 8"):
        read_lora(write_with(tmp_path, {"r": 4, "lora_alpha": 8}, weights))
    same = product(read_lora(write_with(tmp_path, {"r": 4, "lora_alpha": 2}, weights)))
    torch.testing.assert_close(same, product(read_lora(write_with(tmp_path, {"lora_alpha": 2}))))


def test_settings_of_absurd_size_are_not_read(tmp_path):
    write_with(tmp_path, {"r": 4, "lora_alpha": 2})
    with (tmp_path / "adapter_config.json").open("r+b") as file:
        file.truncate(10**9)
    with pytest.raises(CheckpointError, match="too big for settings of a LoRA"):
        read_lora(tmp_path)


@pytest.mark.parametrize("header", [{"ss_network_alpha": "Dynamic"}, {"ss_network_alpha": "nan"}])
def test_kohya_s_header_that_cannot_be_read_is_refused(tmp_path, header):
    save_file(kohya(pair(LAYER), None), tmp_path / "a.safetensors", header)
    with pytest.raises(CheckpointError, match="tells no alpha that is a finite number"):
        read_lora(tmp_path / "a.safetensors")


def test_a_training_file_without_a_generator_s_lora_names_what_it_has(tmp_path):
    weights = originally(pair(LAYER))
    torch.save({"critic_lora": weights, "generator": {"a": torch.ones(1)}}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="holds critic_lora, generator and no generator_lora"):
        read_lora(tmp_path / "a.pt")


def test_diffusers_keeps_settings_under_the_name_that_is_read():
    assert METADATA_KEY == LORA_ADAPTER_METADATA_KEY


def test_targets_reach_every_kind_of_layer(transformer):
    """What the tests above rely on: attention, feed-forward and the layers outside of blocks."""
    layers = {name.rsplit(".lora_", 1)[0] for name in layers_of(with_peft(transformer))}
    assert len(layers) == 2 * (2 * 3 + 2) + 2, (TARGETS, layers)
