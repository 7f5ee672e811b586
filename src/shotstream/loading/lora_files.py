"""The LoRA files that a command line names; nothing here loads torch."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import NamedTuple

from shotstream.loading.file_kinds import check_weight_file

_IN_FOLDER = ("adapter_model.safetensors", "pytorch_lora_weights.safetensors", "adapter_model.bin")
"""What PEFT and diffusers call a LoRA's file in a folder of its own."""
_FILES_OF_ANY_NAME = ("adapter_model", "pytorch_lora_weights")
_ENDINGS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")


class Lora(NamedTuple):
    """A LoRA that is merged into the transformer."""

    path: Path
    scale: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Lora:
        """Read "FILE" or "FILE:SCALE".

        Raises:
            ValueError: If there is no file's name, or the scale is no finite number.
        """
        file, colon, scale = text.rpartition(":")
        if not colon or Path(text).exists() or text.endswith(_ENDINGS):
            lora = cls(Path(text))
        else:
            lora = cls(Path(file), _number(scale))
        if not text or (colon and not file):
            raise ValueError(f"--lora is {text!r}, which names no file; {_HOW}.")
        if not math.isfinite(lora.scale):
            raise ValueError(f"--lora is {text!r}, and {scale!r} behind the colon is no number; {_HOW}.")
        return lora

    def check(self) -> None:
        """Refuse what cannot be a LoRA by its name and its first bytes.

        Raises:
            CheckpointError: If there is no such file, or it is something else.
        """
        file = find_lora(self.path)
        if not file.is_dir():
            check_weight_file(file)


_HOW = "give FILE or FILE:SCALE, for example style.safetensors:0.8"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def find_lora(path: Path) -> Path:
    """The file of a LoRA that PEFT or diffusers wrote into a folder; the path itself if there is none."""
    return next((path / name for name in _IN_FOLDER if (path / name).is_file()), path)


def adapter_name(path: Path) -> str:
    """Name a LoRA after its file, or after the folder of one that PEFT or diffusers named."""
    stem = path.stem if path.suffix in _ENDINGS else path.name
    if stem in _FILES_OF_ANY_NAME:
        stem = path.absolute().parent.name
    return re.sub(r"[^\w.-]+", "_", stem) or "lora"
