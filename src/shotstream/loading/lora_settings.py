"""How strong a LoRA is: what its file, or the settings beside it, say of alpha and rank."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shotstream.loading.folders import shorten
from shotstream.loading.weight_files import CheckpointError, read_metadata

METADATA_KEY = "lora_adapter_metadata"
"""Under which diffusers keeps them in a file's header; its own constant takes long to import."""
CONFIG = "adapter_config.json"
"""What PEFT writes beside a LoRA's weights."""
_MOST_BYTES = 2**20
_FOLLOWED = {"peft_type", "r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "use_dora"}
_WITHOUT_EFFECT = {
    *("auto_mapping", "base_model_name_or_path", "ensure_weight_tying", "exclude_modules", "fan_in_fan_out"),
    *("inference_mode", "layers_pattern", "layers_to_transform", "lora_dropout", "megatron_config"),
    *("megatron_core", "peft_version", "qalora_group_size", "revision", "runtime_config", "target_modules"),
    *("task_type", "eva_config"),
}
"""PEFT's entries that change nothing in what a finished LoRA computes on Wan's linear layers."""
_STARTS = {"gaussian", "orthogonal", "eva", "true", "false"}
"""Ways to begin training that leave the model's own weights as they are."""
_SAFE_PATTERN = re.compile(r"(?:[\w.^$|()-]|\\[.d_-]|\[[\w-]+\]|(?<=[.d\]])[*+](?![*+?]))+")
_MOST_QUANTIFIERS = 3


@dataclass(frozen=True)
class LoraSettings:
    """What a LoRA's ``lora_B lora_A`` is multiplied by."""

    source: str
    """Where they stand, for people."""
    alpha: float | None
    """Alpha of the layers that `alphas` does not name; None for their rank."""
    rank: int | None = None
    """Rank of the layers that `ranks` does not name; None if any will do."""
    alphas: Mapping[str, float] = field(default_factory=dict)
    """Alpha of some layers, by the ends of their names or patterns of them, as PEFT reads these."""
    ranks: Mapping[str, int] = field(default_factory=dict)
    """Rank of some layers, likewise."""
    rslora: bool = False
    """Whether alpha is divided by the root of the rank instead of the rank."""
    dora: bool = False
    """Whether every layer has magnitudes, too."""

    own_alphas_first: bool = False
    """Whether a layer's own alpha may differ from these; else one of them is wrong."""

    def scale(self, layer: str, rank: int, own_alpha: float | None = None) -> float:
        """Factor of ``lora_B lora_A`` in a layer.

        Args:
            layer: Its name.
            rank: Its rank.
            own_alpha: What stands beside its weights, if anything does.

        Raises:
            CheckpointError: If the settings tell another rank or alpha, or none that is a number.
        """
        wanted = _find(self.ranks, layer, self.rank)
        if wanted is not None and wanted != rank:
            raise CheckpointError(
                f"{self.source} tells a rank of {wanted} for {layer}, whose weights have rank {rank}; "
                "are these the settings of another LoRA?"
            )
        alpha = _find(self.alphas, layer, self.alpha)
        if own_alpha is not None:
            if (
                not self.own_alphas_first
                and alpha is not None
                and not math.isclose(alpha, own_alpha, rel_tol=1e-3)
            ):
                raise CheckpointError(
                    f"{layer} has an alpha of {own_alpha:g}, and {self.source} tells another, {alpha:g}; "
                    "remove the one that is wrong"
                )
            alpha = own_alpha
        if alpha is None:
            return 1.0
        if not math.isfinite(alpha):
            raise CheckpointError(
                f"{self.source} tells no alpha that is a finite number, and {layer} has none of its own; "
                "write the LoRA again with alphas"
            )
        return alpha / (rank**0.5 if self.rslora else rank)

    def check_layers(self, layers: Iterable[str]) -> None:
        """Refuse alphas of layers that the LoRA does not have.

        Raises:
            CheckpointError: With the first of them.
        """
        names = list(layers)
        for end in self.alphas:
            if not any(_matches(end, layer) for layer in names):
                raise CheckpointError(
                    f"{self.source} tells an alpha of {end}, which the LoRA does not have; "
                    "are these the settings of another LoRA?"
                )


def read_settings(path: Path) -> LoraSettings:
    """Find the settings of a LoRA: in its header (diffusers', kohya's), or PEFT's beside it.

    Args:
        path: The file, or the folder it is alone in.

    Returns:
        Settings without any alpha if there are none.

    Raises:
        CheckpointError: If they cannot be read, or ask for what cannot be followed.
    """
    header = read_metadata(path)
    if METADATA_KEY in header:
        source = f"the header of {path}"
        return _from_peft(source, header[METADATA_KEY], METADATA_KEY)
    config = (path if path.is_dir() else path.parent) / CONFIG
    if config.is_file():
        if config.stat().st_size > _MOST_BYTES:
            raise CheckpointError(
                f"{config} is too big for settings of a LoRA; it is damaged, or something else"
            )
        return _from_peft(str(config), config.read_text(encoding="utf-8", errors="replace"), CONFIG)
    return _from_kohya(f"the header of {path}", header)


def _from_peft(source: str, text: str, name: str) -> LoraSettings:
    """Read PEFT's settings, JSON; diffusers puts ``transformer.`` before their names."""
    try:
        told = {key.removeprefix("transformer."): value for key, value in json.loads(text).items()}
        settings = LoraSettings(
            source,
            alpha=float(told["lora_alpha"]),
            rank=None if told.get("r") is None else int(told["r"]),
            alphas={key: float(value) for key, value in (told.get("alpha_pattern") or {}).items()},
            ranks={key: int(value) for key, value in (told.get("rank_pattern") or {}).items()},
            rslora=bool(told.get("use_rslora")),
            dora=bool(told.get("use_dora")),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        raise CheckpointError(
            f"{source} does not tell the LoRA's alpha ({name}: {shorten(error)}); save the LoRA again"
        ) from error
    _check_followed(source, told)
    for pattern in (*settings.alphas, *settings.ranks):
        if (
            not _SAFE_PATTERN.fullmatch(pattern)
            or sum(pattern.count(sign) for sign in "*+") > _MOST_QUANTIFIERS
        ):
            raise CheckpointError(
                f"{source} has the pattern {pattern!r}, which is not followed; name the layers"
            )
        try:
            re.compile(pattern)
        except re.error as error:
            raise CheckpointError(f"{source} has the pattern {pattern!r}, which is none ({error})") from error
    return settings


def _check_followed(source: str, told: Mapping[str, Any]) -> None:
    """Refuse settings under which a LoRA computes something else than ``W + scale B A`` or DoRA's."""
    kind, start = told.get("peft_type", "LORA"), told.get("init_lora_weights")
    if kind != "LORA":
        raise CheckpointError(f"{source} tells of an adapter of type {kind!r}; only LORA can be merged")
    if isinstance(start, str) and start.lower() not in _STARTS:
        raise CheckpointError(
            f"{source} has init_lora_weights {start!r}, which changed the model's own weights, too; save it "
            "as a plain LoRA (PEFT: save_pretrained(..., path_initial_model_for_weight_conversion=...))"
        )
    for key, value in told.items():
        plain = value in (None, False, "none") or value == {} or value == []
        if key not in _FOLLOWED | _WITHOUT_EFFECT | {"init_lora_weights"} and not plain:
            raise CheckpointError(
                f"{source} has {key} {str(value)[:60]}, which cannot be followed; merge this LoRA with PEFT, "
                "or train it as a plain one"
            )


def _from_kohya(source: str, header: Mapping[str, str]) -> LoraSettings:
    """Read what kohya's scripts write into a header; most of their files have alphas of layers, too."""
    told = header.get("ss_network_alpha", "None")
    try:
        alpha = None if told in ("", "None") else float(told)
    except ValueError:  # "Dynamic", where every layer has its own
        alpha = math.nan
    return LoraSettings(source, alpha, own_alphas_first=True)


def _find(values: Mapping[str, Any], layer: str, otherwise: Any) -> Any:
    return next((value for end, value in values.items() if _matches(end, layer)), otherwise)


def _matches(end: str, layer: str) -> bool:
    """Whether a layer's name, or its end after a dot, is this or of this pattern; as in PEFT."""
    return re.match(rf"(.*\.)?({end})$", layer[:300]) is not None
