"""LoRAs: reading them in every layout, and what they make of the transformer's weights."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from shotstream.loading.folders import shorten
from shotstream.loading.lora_files import find_lora
from shotstream.loading.lora_settings import LoraSettings, read_settings
from shotstream.loading.weight_files import CheckpointError, WeightFile, networks_in, read_weights
from shotstream.loading.weight_names import layer_in_our_names

_PARTS = {"lora_A": "down", "lora_down": "down", "lora_B": "up", "lora_up": "up"}
_WEIGHT = re.compile(r"(.+)\.(lora_A|lora_B|lora_down|lora_up)(?:\.(\w+))?\.weight")
_MAGNITUDE = re.compile(r"(.+)\.lora_magnitude_vector(?:\.(?!weight$)(\w+))?(?:\.weight)?")
_ALPHA = re.compile(r"(.+)\.alpha")
_OF_TEXT = re.compile(r"(?:lora_te\d*_|(?:pipe\.)?(?:text_encoder(?:_\d)?|text_model|te\d?|t5|clip_l)\.).*")
"""In the names of text encoders' layers."""
_GIVE = "give a LoRA of Wan 2.1's text-to-video model"
_INSIDE = re.compile(r"\.lora_(A|B|magnitude_vector)\b")
"""In the names of adapters that stand between a network's own weights."""

_NETWORKS = ("generator_lora", "generator_ema_lora", "lora", "state_dict", "model")
"""What training code calls a generator's LoRA in a checkpoint; the first that is there is taken."""


@dataclass(frozen=True)
class LoraLayer:
    """What a LoRA says of one linear layer."""

    down: Tensor
    """``lora_A`` [rank, in]."""
    up: Tensor
    """``lora_B`` [out, rank], multiplied by what alpha and rank make of it."""
    magnitude: Tensor | None = None
    """DoRA's magnitude of each output, [out]."""

    def change(self, weight: Tensor, scale: float) -> Tensor:
        """What the layer's weight changes by.

        That is ``scale B A``, or with DoRA ``m V / |V| - W``, where ``V = W + scale B A`` (as PEFT has it).

        Args:
            weight: W, float32 [out, in].
            scale: Strength; 0 changes nothing.

        Returns:
            float32 [out, in], on the device of `weight`.
        """
        if scale == 0:
            return torch.zeros_like(weight)
        product = scale * self.up.to(weight) @ self.down.to(weight)
        if self.magnitude is None:
            return product
        direction = weight + product
        norm = direction.norm(dim=1, keepdim=True)
        return self.magnitude.to(weight)[:, None] / norm * direction - weight

    def to(self, device: torch.device) -> LoraLayer:
        """Return the same on a device."""
        magnitude = None if self.magnitude is None else self.magnitude.to(device)
        return LoraLayer(self.down.to(device), self.up.to(device), magnitude)


@dataclass(frozen=True)
class Adapter:
    """A LoRA of the transformer."""

    path: Path
    """Where it was read, for people."""
    layers: dict[str, LoraLayer]
    """By the names that the transformer's linear layers have here."""

    @property
    def sha256(self) -> str:
        """SHA-256, in hexadecimal, of what it computes: the same LoRA in another layout has the same."""
        digest = hashlib.sha256()
        for name, layer in sorted(self.layers.items()):
            digest.update(name.encode())
            for part in (layer.down, layer.up, layer.magnitude):
                if part is not None:
                    digest.update(f"{list(part.shape)}".encode())
                    digest.update(part.float().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def check_fits(self, transformer: nn.Module) -> None:
        """Compare layers and shapes with those of a transformer.

        Raises:
            CheckpointError: With the first that is not right.
        """
        weights = {name: value.shape for name, value in transformer.state_dict().items()}
        for name, layer in self.layers.items():
            shape = weights.get(f"{name}.weight")
            if shape is None:
                raise CheckpointError(
                    f"the LoRA in {self.path} does not fit: it has {name}, which the model does not have; "
                    "it belongs to another model"
                )
            outputs, inputs = len(layer.up), layer.down.shape[1]
            if (outputs, inputs) != tuple(shape) or layer.up.shape[1] != len(layer.down):
                raise CheckpointError(
                    f"the LoRA in {self.path} does not fit: for {name} {list(shape)} it has "
                    f"{list(layer.up.shape)} x {list(layer.down.shape)}; it is of a model of another size"
                )
            if layer.magnitude is not None and layer.magnitude.shape != shape[:1]:
                raise CheckpointError(
                    f"the LoRA in {self.path} does not fit: for {name} {list(shape)} it has "
                    f"{list(layer.magnitude.shape)} magnitudes; it is of a model of another size"
                )


def read_lora(path: Path) -> Adapter:
    """Read a LoRA, or a DoRA in PEFT's names.

    Layers may have diffusers' names, the original ones or kohya's, behind any usual prefix. Their strength is
    told by alphas beside the weights, by the header (diffusers', kohya's) or by PEFT's adapter_config.json
    beside the file. Without any, alpha is the rank, so that the LoRA counts in full.

    Args:
        path: A file, a folder with one, or a training checkpoint that holds ``generator_lora``.

    Raises:
        CheckpointError: If it cannot be used, or holds anything that could not be followed.
    """
    file = find_lora(path)
    found = read_weights(file)
    networks = networks_in(found)
    taken = None
    if networks:
        with_lora = [name for name, own in networks.items() if any("lora" in str(key) for key in own)]
        taken = next((name for name in _NETWORKS if name in with_lora), None)
        if taken is None:
            raise CheckpointError(f"{file} holds {', '.join(networks)} and no generator_lora; {_GIVE}")
    elif not found:
        raise CheckpointError(f"{file} is a weight file without any weights in it; {_GIVE}")
    elif not any("lora" in str(name) for name in found):
        kinds = ", ".join(list(map(str, found))[:2])
        raise CheckpointError(f"{file} holds no LoRA (no lora_A and lora_B, but {kinds}, ...); {_GIVE}")
    return gather(WeightFile.pick(found, file, taken), read_settings(file))


def split_adapter(file: WeightFile) -> tuple[WeightFile, WeightFile]:
    """Separate PEFT's adapter from the weights it stands between.

    Returns:
        The weights under their plain names, and the adapter's under their own.
    """
    plain: dict[str, Tensor] = {}
    adapter: dict[str, Tensor] = {}
    for name, value in file.tensors.items():
        if _INSIDE.search(name):
            adapter[name] = value
        else:
            plain[name.replace(".base_layer.", ".")] = value
    return file.having(plain), file.having(adapter)


def gather(file: WeightFile, settings: LoraSettings) -> Adapter:
    """Put the weights of a LoRA together, layer by layer.

    Args:
        file: The weights of nothing but a LoRA, by names without prefixes.
        settings: How strong it is.

    Raises:
        CheckpointError: If it holds anything else (a changed bias, say), or layers that are not whole.
    """
    parts: dict[str, dict[str, Tensor]] = {}
    adapters: dict[str, None] = {}
    for name, value in file.tensors.items():
        layer, part, adapter = _parse(name, file.path)
        adapters |= {adapter: None} if adapter else {}
        if part in parts.setdefault(layer, {}) or len(adapters) > 1:
            raise CheckpointError(
                f"{file.path} holds several adapters ({', '.join(adapters) or name}); "
                "give a file with one of them"
            )
        parts[layer][part] = value
        if part != "alpha":
            file.check_numbers(name)
    file.check_finite()
    settings.check_layers(parts)
    if text := next(filter(_OF_TEXT.fullmatch, parts), None):
        whole = "is a LoRA of a text encoder" if len(parts) == 1 else "holds layers of a text encoder"
        raise CheckpointError(f"{file.path} {whole} ({text}), which no LoRA can change here; {_GIVE}")
    layers: dict[str, LoraLayer] = {}
    for name, tensors in parts.items():
        try:
            ours = layer_in_our_names(name)
        except ValueError as error:
            raise CheckpointError(
                f"{file.path} is no LoRA of Wan's text-to-video model ({shorten(error)}); "
                "check what it was made for"
            ) from error
        if ours in layers:
            raise CheckpointError(f"{file.path} holds {ours} twice, once as {name}; give one of the LoRAs")
        layers[ours] = _layer(file, name, tensors, settings)
    return Adapter(file.path, layers)


def _parse(name: str, path: Path) -> tuple[str, str, str | None]:
    """Take a name apart: layer, which part of its LoRA, and the adapter's name where it has one."""
    if match := _WEIGHT.fullmatch(name):
        return match[1], _PARTS[match[2]], match[3]
    if match := _MAGNITUDE.fullmatch(name):
        return match[1], "magnitude", match[2]
    if match := _ALPHA.fullmatch(name):
        return match[1], "alpha", None
    raise CheckpointError(
        f"{path} holds {name}, which is no part of a plain LoRA or DoRA and would be lost; only lora_A, "
        "lora_B, lora_magnitude_vector and alpha of Wan's layers can be followed: convert it to these, or "
        "train it anew"
    )


def _layer(file: WeightFile, name: str, parts: Mapping[str, Tensor], settings: LoraSettings) -> LoraLayer:
    """Make one layer of the parts that a file has of it."""
    missing = [what for part, what in (("down", "lora_A"), ("up", "lora_B")) if part not in parts]
    if missing:
        raise CheckpointError(
            f"{file.path} lacks {' and '.join(missing)} of {name}, of which it has {', '.join(parts)}; "
            "is it cut off?"
        )
    down, up, magnitude = parts["down"], parts["up"], parts.get("magnitude")
    if down.ndim != 2 or up.ndim != 2 or not down.numel() or not up.numel():
        raise CheckpointError(
            f"{file.path} holds {list(up.shape)} x {list(down.shape)} of {name} where two matrices are "
            "expected; LoRAs of convolutions cannot be followed"
        )
    if settings.dora and magnitude is None:
        raise CheckpointError(
            f"{settings.source} says DoRA, and {file.path} lacks lora_magnitude_vector of {name}; "
            "is it cut off?"
        )
    alpha = parts.get("alpha")
    if alpha is not None and alpha.numel() != 1:
        raise CheckpointError(
            f"{file.path} holds {name}.alpha of shape {list(alpha.shape)} instead of a number"
        )
    scale = settings.scale(name, len(down), None if alpha is None else float(alpha))
    return LoraLayer(down, up.float() * scale, None if magnitude is None else magnitude.flatten())


def merge_adapter(transformer: nn.Module, adapter: Adapter, scale: float = 1.0) -> None:
    """Add a LoRA to the weights for good; see `LoraLayer.change`.

    Args:
        transformer: Changed in place.
        adapter: The LoRA.
        scale: Its strength.

    Raises:
        CheckpointError: If it does not fit.
    """
    adapter.check_fits(transformer)
    with torch.no_grad():
        for name, layer in adapter.layers.items():
            weight = transformer.get_submodule(name).weight
            assert isinstance(weight, Tensor)
            values = weight.float()
            weight.data = (values + layer.change(values, scale)).to(weight.dtype)  # never into a mapped file
