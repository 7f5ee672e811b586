"""LoRAs at run time: merged into the transformer's weights in place, as a shot asks for them, and out again.

They are merged, not computed beside the weights, because the chunk loop then is what it is without any: no
product more, the same fused queries, keys and values, the same compiled graphs. A switch costs one product
for each layer that a LoRA touches, at a cut. It is undone from a copy of the layer's weight, to the bit, so
that nothing adds up over a long story. The copies are where the weights are, and as big as those.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from shotstream.loading.lora import Adapter, LoraLayer, read_lora
from shotstream.loading.lora_files import adapter_name
from shotstream.models.float8 import Float8Linear, to_float8
from shotstream.story import parse_lora_choice, say_not_loaded

_NAME = re.compile(r"[\w.-]+")
_FORMATS = (torch.float32, torch.bfloat16, torch.float16)


class AdapterUse(NamedTuple):
    """A LoRA and how strong it is: what a shot is made with, and what a record of it keeps."""

    name: str
    sha256: str
    """Of what it computes; see `shotstream.loading.lora.Adapter`."""
    scale: float


class Adapters:
    """The LoRAs that are loaded for a transformer, and those of them that are merged now.

    Sessions that share a transformer share this, and say before every chunk which they want.

    Args:
        transformer: Its weights are changed in place.
    """

    def __init__(self, transformer: nn.Module) -> None:
        self._transformer = transformer
        self._loaded: dict[str, Adapter] = {}
        self._hashes: dict[str, str] = {}
        self._kept: dict[str, _Kept] = {}
        self._changed: set[str] = set()
        """Layers that some LoRA is in."""
        self._merged: tuple[AdapterUse, ...] | None = ()
        """None if a merge was broken off, so that nobody knows."""

    @classmethod
    def of(cls, transformer: nn.Module) -> Adapters:
        """Return those of a transformer; they stay with it, and with copies of it."""
        if "_story_adapters" not in vars(transformer):
            vars(transformer)["_story_adapters"] = cls(transformer)
        return vars(transformer)["_story_adapters"]

    @property
    def names(self) -> list[str]:
        """Names of all that are loaded."""
        return list(self._loaded)

    def load(self, source: Path | Adapter, name: str | None = None) -> str:
        """Read a LoRA; nothing is merged yet.

        Args:
            source: The LoRA, or where it is; see `shotstream.loading.lora.read_lora`.
            name: What it is to be called; None for `adapter_name`.

        Returns:
            Its name.

        Raises:
            ValueError: In a sentence, if it cannot be used, or the name is taken or none.
        """
        path = source.path if isinstance(source, Adapter) else source
        name = adapter_name(path) if name is None else name
        if not _NAME.fullmatch(name):
            raise ValueError(f"a LoRA cannot be called {name!r}; use letters, digits, '_', '-' and '.'")
        if name in self._loaded:
            raise ValueError(f"a LoRA called {name!r} is loaded already; give this one another name")
        adapter = source if isinstance(source, Adapter) else read_lora(path)
        modules = dict(self._transformer.named_modules())
        for layer in adapter.layers:
            if layer in modules:
                _check_layer(layer, modules[layer])
        adapter.check_fits(self._transformer)
        self._loaded[name], self._hashes[name] = adapter, adapter.sha256
        return name

    def unload(self) -> None:
        """Take all LoRAs out of the weights and forget them."""
        self.merge(())
        self._loaded.clear()
        self._hashes.clear()
        self._kept.clear()

    def choose(self, choices: Iterable[str]) -> tuple[AdapterUse, ...]:
        """Find what is asked for.

        Args:
            choices: ``NAME`` or ``NAME:SCALE`` each; a scale of 0 leaves a LoRA out.

        Raises:
            ValueError: In a sentence, if one is not loaded or named twice.
        """
        uses: dict[str, AdapterUse] = {}
        for choice in choices:
            try:
                name, scale = parse_lora_choice(choice)
            except ValueError as error:
                raise ValueError(f"a LoRA {error}") from None
            if name not in self._loaded:
                raise ValueError(say_not_loaded(name, self.names))
            if name in uses:
                raise ValueError(f"the LoRA {name!r} is named twice; name it once")
            uses[name] = AdapterUse(name, self._hashes[name], scale)
        return tuple(uses[name] for name in sorted(uses) if uses[name].scale)

    def merge(self, uses: Sequence[AdapterUse]) -> None:
        """Have these LoRAs in the weights, and no others; nothing is done if it is so.

        Raises:
            ValueError: If one is not loaded any more, or a layer is of a kind that it cannot be merged into.
        """
        uses = tuple(uses)
        if uses == self._merged:
            return
        for use in uses:
            if self._hashes.get(use.name) != use.sha256:
                raise ValueError(
                    f"the LoRA {use.name!r} that this shot is made with is not loaded any more; load it again"
                )
        changes: dict[str, list[tuple[LoraLayer, float]]] = {layer: [] for layer in self._changed}
        for use in uses:
            for layer in self._loaded[use.name].layers:
                changes.setdefault(layer, []).append((self._near(use.name, layer), use.scale))
        self._merged = None
        for layer, wanted in changes.items():
            self._set_layer(layer, wanted)
        self._merged = uses

    @torch.no_grad()
    def _set_layer(self, name: str, changes: Sequence[tuple[LoraLayer, float]]) -> None:
        """Set one layer anew, where it lies: fused products and compiled graphs read it there."""
        layer = self._transformer.get_submodule(name)
        _check_layer(name, layer)
        parts = _parts(layer)
        if name not in self._changed:  # kept anew: it may have been moved, quantised or trained since
            self._kept[name] = _Kept(parts, [part.detach().clone() for part in parts])
        kept = self._kept[name]
        if any(part is not known for part, known in zip(parts, kept.places, strict=False)):
            raise ValueError(
                f"the layer {name} was replaced while a LoRA was in it; load the model again, and change "
                "layers only while none is"
            )
        self._changed.add(name)
        for part, values in zip(parts, _changed(layer, kept.values, changes), strict=True):
            part.detach().copy_(values)
        if not changes:
            self._changed.discard(name)

    def _near(self, name: str, layer: str) -> LoraLayer:
        """A LoRA's part for a layer, on the device where that is."""
        device = cast(Tensor, self._transformer.get_submodule(layer).weight).device
        adapter = self._loaded[name]
        if adapter.layers[layer].down.device != device:
            adapter.layers[layer] = adapter.layers[layer].to(device)
        return adapter.layers[layer]


class _Kept(NamedTuple):
    """What a layer consists of, and copies of it without any LoRA."""

    places: Sequence[Tensor]
    values: Sequence[Tensor]


def _check_layer(name: str, layer: nn.Module) -> None:
    """Refuse layers whose weights are not where and how they can be changed."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    if type(layer) not in (nn.Linear, Float8Linear):
        raise ValueError(
            f"a LoRA cannot be merged into {name}, which is a {type(layer).__name__} of "
            f"{type(layer).__module__.partition('.')[0]}; take out what changes the model's layers "
            "(adapters of PEFT, quantisation)"
        )
    if weight.is_meta:
        raise ValueError(
            f"a LoRA cannot be merged into {name}, whose weights are brought one layer at a time; use "
            "enable_model_cpu_offload"
        )
    if type(layer) is nn.Linear and weight.dtype not in _FORMATS:
        raise ValueError(
            f"a LoRA cannot be merged into {name}, which is kept as {weight.dtype}; load the model in "
            "bfloat16"
        )


def _parts(layer: nn.Module) -> list[Tensor]:
    """The tensors that a LoRA changes."""
    weight = cast(Tensor, layer.weight)
    return [weight, layer.weight_scale] if isinstance(layer, Float8Linear) else [weight]


def _changed(
    layer: nn.Module, values: Sequence[Tensor], changes: Sequence[tuple[LoraLayer, float]]
) -> Sequence[Tensor]:
    """Work out what a layer consists of with LoRAs in it.

    Args:
        layer: The layer.
        values: What it consists of without.
        changes: LoRAs of this layer and their scales; their changes add up.
    """
    if not changes:
        return values
    device = _parts(layer)[0].device
    weight = values[0].to(device).float()
    if isinstance(layer, Float8Linear):
        weight = weight * values[1].to(device)
    merged = sum((lora.change(weight, scale) for lora, scale in changes), weight)
    return to_float8(merged) if isinstance(layer, Float8Linear) else [merged]
