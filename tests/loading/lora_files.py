"""LoRAs that PEFT made of a tiny transformer, in every layout that others keep them in."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from diffusers import WanPipeline
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor, nn

from shotstream.loading.weight_names import to_original
from shotstream.models.transformer import CausalWanTransformer3DModel

TARGETS = ["to_q", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2", "time_proj", "proj_out"]


def with_peft(transformer: CausalWanTransformer3DModel, **settings: Any) -> PeftModel:
    """A copy of a transformer with a random LoRA, unmerged: PEFT's own forward."""
    settings = {"r": 4, "lora_alpha": 8, "target_modules": TARGETS, **settings}
    torch.manual_seed(7)
    model = get_peft_model(deepcopy(transformer), LoraConfig(init_lora_weights=False, **settings))
    for name, value in model.named_parameters():
        if "lora_magnitude_vector" in name:
            value.data *= 1 + 0.3 * torch.rand_like(value)
    return model.eval()


def layers_of(model: PeftModel) -> dict[str, Tensor]:
    """The LoRA's weights by the names of a transformer's own file: ``LAYER.lora_A.weight``."""
    state = get_peft_model_state_dict(model)
    return {name.removeprefix("base_model.model."): value.contiguous() for name, value in state.items()}


def originally(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same by the original names of the layers."""
    renamed = {}
    for name, value in weights.items():
        layer, part = name.split(".lora_")
        original = next(iter(to_original({f"{layer}.weight": value}))).removesuffix(".weight")
        renamed[f"{original}.lora_{part}"] = value
    return renamed


def kohya(weights: Mapping[str, Tensor], alpha: float | None) -> dict[str, Tensor]:
    """The same as kohya's scripts name it; without an alpha beside the weights if None."""
    renamed = {}
    for name, value in originally(weights).items():
        layer, part = name.split(".lora_")
        stem = "lora_unet_" + layer.replace(".", "_")
        renamed[f"{stem}.lora_{'down' if part.startswith('A') else 'up'}.weight"] = value
        if alpha is not None:
            renamed[f"{stem}.alpha"] = torch.tensor(alpha)
    return renamed


def write_peft(folder: Path, model: PeftModel) -> Path:
    model.save_pretrained(folder)
    return folder


def write_diffusers(folder: Path, model: PeftModel) -> Path:
    told = {"r": 4, "lora_alpha": 8}
    WanPipeline.save_lora_weights(
        folder, transformer_lora_layers=layers_of(model), transformer_lora_adapter_metadata=told
    )
    return folder


def write_bare(folder: Path, model: PeftModel) -> Path:
    header = {"lora_adapter_metadata": json.dumps({"r": 4, "lora_alpha": 8})}
    save_file(layers_of(model), folder / "bare.safetensors", header)
    return folder / "bare.safetensors"


def write_kohya(folder: Path, model: PeftModel) -> Path:
    save_file(kohya(layers_of(model), 8.0), folder / "kohya.safetensors")
    return folder / "kohya.safetensors"


def write_kohya_by_header(folder: Path, model: PeftModel) -> Path:
    """Alphas told by the header alone."""
    header = {"ss_network_alpha": "8", "ss_network_dim": "4"}
    save_file(kohya(layers_of(model), None), folder / "kohya.safetensors", header)
    return folder / "kohya.safetensors"


def write_checkpoint(folder: Path, model: PeftModel) -> Path:
    """A training checkpoint with PEFT's settings beside it."""
    state = {f"base_model.model.{name}": value for name, value in originally(layers_of(model)).items()}
    torch.save({"generator_lora": state, "critic_lora": state, "step": 5}, folder / "step.pt")
    (folder / "adapter_config.json").write_text(json.dumps({"r": 4, "lora_alpha": 8, "peft_type": "LORA"}))
    return folder / "step.pt"


def with_prefix(prefix: str, original: bool) -> Callable[[Path, PeftModel], Path]:
    """A file whose names have something in front, as programs and wrappers put it there."""

    def write(folder: Path, model: PeftModel) -> Path:
        weights = originally(layers_of(model)) if original else layers_of(model)
        header = {"lora_adapter_metadata": json.dumps({"r": 4, "lora_alpha": 8})}
        save_file(
            {f"{prefix}{name}": value for name, value in weights.items()}, folder / "a.safetensors", header
        )
        return folder / "a.safetensors"

    return write


def flow(network: nn.Module) -> Tensor:
    """What a tiny transformer, or PEFT around one, predicts of fixed latents under a fixed caption."""
    generator = torch.Generator().manual_seed(3)
    config = getattr(network, "base_model", network).config
    latents = torch.randn(1, 2, config["in_channels"], 4, 4, generator=generator)
    caption = torch.randn(1, 1, config["text_length"], config["text_dim"], generator=generator)
    with torch.no_grad():
        return network(latents, torch.tensor([500.0]), caption, return_dict=False)[0]
