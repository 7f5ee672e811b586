"""Captions from a vision-language model whose weights are on this machine (transformers)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from shotstream.data.films.artefacts import stage_key
from shotstream.data.films.captioning import CaptionError, NoCaptionError, WrittenCaptions
from shotstream.loading.folders import shorten
from shotstream.loading.hashes import sample_weights
from shotstream.media.pictures import pillow

OF_ALL = "Who is in these pictures, what do they look like, and where is it? Answer in one sentence."
OF_SHOT = "What happens in these consecutive pictures, and how is it framed? Answer in one sentence."
MOST_TOKENS = 80
_WANTED = "a model for AutoModelForImageTextToText with its weights and its processor, or an endpoint"


class LocalCaptioner:
    """Asks a model for one sentence on the whole story and one on each shot.

    Args:
        folder: A model for ``AutoModelForImageTextToText`` with its processor.
        device: Where it runs.

    Raises:
        CaptionError: If it cannot be loaded.
    """

    def __init__(self, folder: Path, device: torch.device):
        from transformers import AutoModelForImageTextToText, AutoProcessor

        if not folder.is_dir():
            raise CaptionError(f"There is no folder {folder}; give one with the files of {_WANTED}.")
        try:
            self._processor: Any = AutoProcessor.from_pretrained(folder, local_files_only=True)
            model, found = cast(Any, AutoModelForImageTextToText).from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
        except Exception as error:  # transformers, tokenizers and safetensors each raise their own
            raise CaptionError(
                f"{folder} holds no vision-language model that can be used ({shorten(error)}); give a folder "
                f"with the files of {_WANTED}."
            ) from error
        if missing := sorted(found["missing_keys"]):
            raise CaptionError(
                f"The vision-language model in {folder} lacks {len(missing)} of its weights, such as "
                f"{missing[0]}; fetch it again."
            )
        self._model = model.to(device).eval()
        self._folder, self._device = folder, device
        self.answers = 0
        self.identity = stage_key(sample_weights(folder), OF_ALL, OF_SHOT, MOST_TOKENS)

    def opened_on(self, device: str) -> Callable[[], LocalCaptioner]:
        """How a process elsewhere opens the same."""
        return partial(LocalCaptioner, self._folder, torch.device(device))

    @property
    def asked(self) -> int:
        """Sentences of this run."""
        return self.answers

    @property
    def bill(self) -> str:
        """What was asked for, in words."""
        return f"captions: {self.answers} sentences of the local model"

    def caption(self, shots: Sequence[Sequence[np.ndarray]]) -> WrittenCaptions:
        """Caption a story.

        Raises:
            NoCaptionError: If the model says nothing.
        """
        middles = [shot[len(shot) // 2] for shot in shots]
        setting, *told = [self._ask(middles, OF_ALL), *(self._ask(shot, OF_SHOT) for shot in shots)]
        if not setting or not all(told):
            raise NoCaptionError("The vision-language model says nothing about a story; try another one.")
        return WrittenCaptions(setting, tuple(told))

    @torch.no_grad()
    def _ask(self, pictures: Sequence[np.ndarray], question: str) -> str:
        images = [pillow().fromarray(np.ascontiguousarray(picture)) for picture in pictures]
        content = [{"type": "image", "image": image} for image in images]
        messages = [{"role": "user", "content": [*content, {"type": "text", "text": question}]}]
        inputs = self._processor.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        ).to(self._device)
        tokens = self._model.generate(**inputs, max_new_tokens=MOST_TOKENS, do_sample=False)
        self.answers += 1
        new = tokens[:, inputs["input_ids"].shape[1] :]
        return self._processor.batch_decode(new, skip_special_tokens=True)[0].strip()
