"""Weight names: those of the original Wan and the released ShotStream checkpoints, and ours (diffusers').

Released checkpoints may put ``model.`` before every name; that prefix is taken off. Wan has its own names for
umT5, too; here it has transformers'.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

_OUTER = {
    "patch_embedding": "patch_embedding",
    "spatial_position": "spatial_position",
    "text_embedding.0": "condition_embedder.text_embedder.linear_1",
    "text_embedding.2": "condition_embedder.text_embedder.linear_2",
    "time_embedding.0": "condition_embedder.time_embedder.linear_1",
    "time_embedding.2": "condition_embedder.time_embedder.linear_2",
    "time_projection.1": "condition_embedder.time_proj",
    "head.head": "proj_out",
    "head.modulation": "scale_shift_table",
}
_ATTENTION = {"q": "to_q", "k": "to_k", "v": "to_v", "o": "to_out.0", "norm_q": "norm_q", "norm_k": "norm_k"}
_BLOCK = {
    **{f"self_attn.{original}": f"attn1.{ours}" for original, ours in _ATTENTION.items()},
    **{f"cross_attn.{original}": f"attn2.{ours}" for original, ours in _ATTENTION.items()},
    "norm3": "norm2",
    "ffn.0": "ffn.net.0.proj",
    "ffn.2": "ffn.net.2",
    "modulation": "scale_shift_table",
}
_OUR_LAYERS = frozenset([*_OUTER.values(), *(f"blocks.0.{name}" for name in _BLOCK.values())])
_KOHYA = "lora_unet_"
_OURS = ("condition_embedder.", ".attn1.", ".attn2.", ".ffn.net.")
"""Parts of names that only diffusers gives."""
_WAN = "Wan's text-to-video model"
_UMT5 = {
    "token_embedding": "shared",
    "norm": "encoder.final_layer_norm",
}
_UMT5_BLOCK = {
    **{f"attn.{part}": f"layer.0.SelfAttention.{part}" for part in "qkvo"},
    "pos_embedding.embedding": "layer.0.SelfAttention.relative_attention_bias",
    "norm1": "layer.0.layer_norm",
    "norm2": "layer.1.layer_norm",
    "ffn.gate.0": "layer.1.DenseReluDense.wi_0",
    "ffn.fc1": "layer.1.DenseReluDense.wi_1",
    "ffn.fc2": "layer.1.DenseReluDense.wo",
}


def from_original(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename original Wan or released ShotStream weights to ours.

    Args:
        state_dict: Weights by original name, with or without the prefix ``model.``.

    Returns:
        The same tensors by our names.

    Raises:
        ValueError: If a name belongs to no part of the model.
    """
    return {
        _rename(name.removeprefix("model."), _OUTER, _BLOCK, _WAN): value
        for name, value in state_dict.items()
    }


def in_our_names(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a transformer's weights to ours, unless they have our names already.

    Raises:
        ValueError: If a name belongs to no part of the model.
    """
    if any(part in name for name in state_dict for part in _OURS):
        return dict(state_dict)
    return from_original(state_dict)


def to_original(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename our weights to the original Wan names, without a prefix.

    Args:
        state_dict: Weights by our names.

    Returns:
        The same tensors by original names.

    Raises:
        ValueError: If a name belongs to no part of the model.
    """
    outer = {ours: original for original, ours in _OUTER.items()}
    block = {ours: original for original, ours in _BLOCK.items()}
    return {_rename(name, outer, block, _WAN): value for name, value in state_dict.items()}


def layer_in_our_names(name: str) -> str:
    """Name a transformer's layer as we do.

    Args:
        name: Its original name, ours, or kohya's, which has underscores for dots after ``lora_unet_``.

    Raises:
        ValueError: If the transformer has no layer of that name.
    """
    dotted = _from_kohya(name) if name.startswith(_KOHYA) else name
    if f"blocks.0.{dotted.split('.', 2)[-1]}" in _OUR_LAYERS or dotted in _OUR_LAYERS:
        return dotted
    return _rename(f"{dotted}.weight", _OUTER, _BLOCK, _WAN).removesuffix(".weight")


def _from_kohya(name: str) -> str:
    """Put the dots back into a layer's name as kohya's scripts write it."""
    plain = name.removeprefix(_KOHYA)
    block = re.fullmatch(r"blocks_(\d+)_(.+)", plain)
    names = _BLOCK if block else _OUTER
    dotted = {part.replace(".", "_"): part for pair in names.items() for part in pair}
    layer = block[2] if block else plain
    if layer not in dotted:
        raise ValueError(f"{name} is no layer of {_WAN}")
    return f"blocks.{block[1]}.{dotted[layer]}" if block else dotted[layer]


def umt5_from_original(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of Wan's own umT5 encoder to transformers' names.

    Raises:
        ValueError: If a name belongs to no part of it.
    """
    return {
        _rename(name, _UMT5, _UMT5_BLOCK, "Wan's umT5 encoder", to="encoder.block."): value
        for name, value in state_dict.items()
    }


def _rename(
    name: str, outer: Mapping[str, str], block: Mapping[str, str], model: str, *, to: str = "blocks."
) -> str:
    prefix, module, names = "", name, outer
    if name.startswith("blocks."):
        _, layer, module = [*name.split(".", 2), ""][:3]
        prefix, names = f"{to}{layer}.", block
    if module in names:  # a parameter of its own, e.g. modulation
        return prefix + names[module]
    module, _, leaf = module.rpartition(".")
    if module in names and leaf in ("weight", "bias"):
        return f"{prefix}{names[module]}.{leaf}"
    raise ValueError(
        f"weight {name!r} belongs to no part of the model; is this a checkpoint of {model}, and in the names "
        "that the direction of the conversion expects?"
    )
