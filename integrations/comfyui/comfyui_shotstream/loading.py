"""Models as the nodes hand them on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from shotstream import ShotStreamPipeline
from shotstream.loading.hashes import count_weights, sample_weights, weight_files
from shotstream.loading.lora_files import adapter_name
from shotstream.loading.text_source import choose_text_place
from shotstream.machine.device import choose_device, choose_dtype
from shotstream.streaming.speed import MODES, choose_mode, prepare

from .chain import digest
from .host import find_model


@dataclass(frozen=True)
class LoraUse:
    """A LoRA and how strong it is."""

    path: Path
    strength: float


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A pipeline, and what its films depend on."""

    pipeline: ShotStreamPipeline
    key: str
    mode: str
    loras: tuple[str, ...]
    """``NAME:SCALE`` each, as sessions take them."""

    def prepare(self, height: int, width: int) -> None:
        """Do what the mode says for pictures of a size, once for each size."""
        speed = MODES[self.mode]
        wanted = (height, width, self.pipeline.cache_dtype)
        if speed.compile and self.pipeline.compiled_for != wanted:
            prepare(self.pipeline, speed, height, width)


def weights_key(name: str) -> str:
    """Tell the weights that a model's folder has now."""
    return sample_weights(ShotStreamPipeline.fetch(find_model(name)))


def load_model(
    name: str, device: str, dtype: str, mode: str, text: str, loras: tuple[LoraUse, ...]
) -> LoadedModel:
    """Load a model, and the LoRAs that its shots are made with.

    Args:
        name: A model's name, folder, or name on the hub.
        device: auto, cpu, cuda, ...
        dtype: auto, float32, bfloat16 or float16.
        mode: auto, plain, compiled or fast.
        text: Where the text encoder lives: auto, resident, cpu, int8 or release.
        loras: The LoRAs, strengths included.

    Raises:
        ValueError: In a sentence, if anything cannot be used.
    """
    folder = ShotStreamPipeline.fetch(find_model(name))
    place = choose_device(device).value
    stored = sum(path.stat().st_size for path in weight_files(folder))
    number_format = choose_dtype(place, dtype, stored).value
    room = choose_text_place(place, text, count_weights(folder) * number_format.itemsize).value
    with torch.inference_mode(False):  # weights that are made in it cannot be changed outside of it
        pipeline = ShotStreamPipeline.from_pretrained(folder, text=room, dtype=number_format).to(place)
        names = [pipeline.load_lora_weights(use.path, adapter_name(use.path)) for use in loras]
        pipeline.set_adapters([])
    uses = tuple(f"{lora}:{use.strength!r}" for lora, use in zip(names, loras, strict=True))
    computed = choose_mode(mode, place).value
    chosen = [repr(use) for use in pipeline.adapters.choose(uses)]
    key = digest(weights_key(name), str(place), str(number_format), computed, room, *chosen)
    return LoadedModel(pipeline, key, computed, uses)
