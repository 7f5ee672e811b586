"""A pipeline's captions: where the text encoder lives, and how captions become what a transformer reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import torch.nn.functional as functional
from diffusers import DiffusionPipeline
from torch import Tensor

from shotstream.loading.folders import ModelError
from shotstream.loading.text_source import TextPlace, TextSource
from shotstream.models import text as caption_text
from shotstream.models.text import CaptionEncoder, CaptionTokenizer


class CaptionedPipeline(DiffusionPipeline):
    """A diffusers pipeline whose text encoder need not be where the other parts are, nor loaded at all."""

    _text: TextSource | None = None
    """Where the text encoder came from; None if it was given."""

    def embed(self, caption: str) -> Tensor:
        """Embed a caption, padded with zeros to the model's text length: ``[1, 1, L, D]``.

        Raises:
            ModelError: If there is no text encoder, or a released one cannot be read.
        """
        embedding = self._embed_all([caption])[0]  # [L, D]
        missing = self.transformer.config["text_length"] - len(embedding)
        embedding = functional.pad(embedding, (0, 0, 0, missing))
        return embedding.to(self._execution_device, self.transformer.dtype)[None, None]

    def known_words(self) -> list[str] | None:
        """Every word that the model knows; None if it can read any."""
        return self._caption_tokenizer.known_words()

    def unknown_words(self, text: str) -> dict[str, list[str]]:
        """Words of `text` that the model does not know, each with the nearest it knows; they do no harm."""
        return self._caption_tokenizer.unknown_words(text)

    def cut_off(self, caption: str) -> str:
        """The end of a caption that the model does not read, because it has no room for it."""
        return self._caption_tokenizer.cut_off(caption)

    @property
    def _caption_tokenizer(self) -> CaptionTokenizer:
        return CaptionTokenizer(self.tokenizer, self.transformer.config["text_length"])

    def _embed_all(self, captions: Sequence[str]) -> list[Tensor]:
        """Embed captions, ``[L, D]`` each; a released text encoder is read once, or not if all are cached."""
        text = self._caption_tokenizer
        if self._text is not None:
            return self._text.embed(captions, text, self.text_encoder, self._execution_device)
        if self.text_encoder is None:
            raise ModelError("this pipeline has no text encoder; give it one, or use from_pretrained")
        encoder = CaptionEncoder(text.tokenizer, self.text_encoder, text.max_length)
        return [encoder.encode([caption])[0] for caption in captions]

    # ---- moving and saving ----

    @property
    def text_place(self) -> TextPlace:
        """Where the text encoder lives; see `from_pretrained`."""
        return "resident" if self._text is None else self._text.place

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move or convert the networks, but no text encoder that lives on the CPU; as for any pipeline."""
        with self._text_encoder_left_alone():
            return super().to(*args, **kwargs)

    def enable_model_cpu_offload(self, *args: Any, **kwargs: Any) -> None:
        """Have each network on the GPU only while it runs; a text encoder on the CPU runs there."""
        with self._text_encoder_left_alone():
            super().enable_model_cpu_offload(*args, **kwargs)

    @property
    def _exclude_from_cpu_offload(self) -> list[str]:
        """Parts that do not tell diffusers on which device the pipeline computes."""
        return ["text_encoder"] if self.text_place == "cpu" else []

    @contextmanager
    def _text_encoder_left_alone(self) -> Iterator[None]:
        """Hide a text encoder that lives on the CPU from diffusers."""
        encoder = self.text_encoder
        if self.text_place == "cpu":
            vars(self)["text_encoder"] = None  # setting the attribute would unregister it
        try:
            yield
        finally:
            vars(self)["text_encoder"] = encoder

    def save_pretrained(self, save_directory: str | Path, **settings: Any) -> None:
        """Save the model as a folder that `from_pretrained` loads.

        Args:
            save_directory: The folder.
            **settings: As for any diffusers pipeline.

        Raises:
            ModelError: If its text encoder is not here as it was trained.
        """
        if self.text_encoder is None or self.text_place == "int8":
            raise ModelError(
                f"a pipeline loaded with text={self.text_place!r} has no text encoder that can be saved; "
                "load the model with text='resident' and save that"
            )
        super().save_pretrained(str(save_directory), **settings)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a part; a text encoder or tokenizer that is given by hand is resident, and has no cache."""
        super().__setattr__(name, value)
        if name in ("text_encoder", "tokenizer"):
            self._text = None

    def _check_text_cleaning(self) -> None:
        """Wan's captions are repaired by ftfy before umT5 reads them; without it some have other tokens.

        Raises:
            ModelError: If the vocabulary is open, as umT5's is, and ftfy is not installed.
        """
        if caption_text.ftfy is None and self._caption_tokenizer.known_words() is None:
            raise ModelError(
                "this model's text encoder (umT5) reads captions that ftfy has repaired, and ftfy is not "
                'installed, without which some would be read as others: pip install "shotstream[wan]"'
            )

    def _check_text_width(self, width: int) -> None:
        expected = self.transformer.config["text_dim"]
        if expected != width:
            raise ModelError(
                f"the transformer reads captions of width {expected}, the text encoder makes {width}; "
                "take both from one model"
            )
