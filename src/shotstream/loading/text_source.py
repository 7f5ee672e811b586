"""Where a loaded model's text encoder is, and the embeddings that it made before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import transformers
from torch import Tensor
from transformers import AutoConfig, PreTrainedModel

from shotstream.loading.embedding_cache import EmbeddingCache, embedding_key
from shotstream.loading.folders import align_weights, check_weights, load_errors
from shotstream.loading.hashes import sample_weights, weight_files
from shotstream.machine.cache_folder import find_cache_folder
from shotstream.machine.device import Choice
from shotstream.machine.free_space import GIB, free_memory
from shotstream.models.text import CaptionEncoder, CaptionTokenizer, clean_caption

TextPlace = Literal["resident", "cpu", "int8", "release"]
"""Where a text encoder lives: with the other parts, on the CPU, with them in 8 bits, or on the disk."""
TEXT_PLACES: tuple[TextPlace, ...] = get_args(TextPlace)

_BIG_BYTES = 2**28
"""Embeddings of text encoders with files of this size are kept."""


@dataclass(frozen=True)
class TextSource:
    """The text encoder in a model's folder.

    Embeddings are cached under all that they depend on: the text encoder's and tokenizer's files, the most
    tokens of a caption, the device and precision it was encoded in, and the cleaned caption.
    """

    model: Path
    """The model's folder, with ``text_encoder`` and ``tokenizer``."""
    place: TextPlace
    """Where the text encoder lives while the model is loaded."""
    dtype: torch.dtype | None
    """Number format that a released one is read in; as it is stored if None."""
    variant: str | None
    """Which of the folder's weight files are read."""
    cache: EmbeddingCache | None
    """None if every caption is encoded anew."""
    fingerprint: str = ""
    """Of the text encoder and the tokenizer; empty without a cache."""

    @classmethod
    def find(
        cls,
        model: Path,
        place: TextPlace,
        asked: str | Path | None,
        dtype: Any = None,
        variant: str | None = None,
    ) -> TextSource:
        """Find the text encoder of a model, and the cache.

        Args:
            model: The model's folder.
            place: Where its text encoder is to live.
            asked: Folder of the cache, or "off"; None for the usual one, if it pays.
            dtype: As diffusers takes it: a dtype, or a mapping of parts to dtypes.
            variant: Which of the folder's weight files are read.
        """
        if isinstance(dtype, dict):
            dtype = dtype.get("text_encoder", dtype.get("default", torch.float32))
        size = sum(path.stat().st_size for path in weight_files(model / "text_encoder"))
        cache = find_cache_folder(asked)
        folder = cache and cache / "captions"
        pays = asked is not None or size >= _BIG_BYTES
        if place != "release" and (folder is None or not pays):
            return cls(model, place, dtype, variant, None)
        parts = [sample_weights(model / part) for part in ("text_encoder", "tokenizer")]
        return cls(model, place, dtype, variant, EmbeddingCache(folder), embedding_key(*parts, variant or ""))

    @property
    def width(self) -> int:
        """Width of its embeddings, from its config."""
        return AutoConfig.from_pretrained(self.model / "text_encoder").hidden_size

    def embed(
        self,
        captions: Sequence[str],
        text: CaptionTokenizer,
        encoder: PreTrainedModel | None,
        device: torch.device,
    ) -> list[Tensor]:
        """Take embeddings from the cache, or make and keep them; a released text encoder is read once.

        Args:
            captions: S captions.
            text: The tokenizer.
            encoder: The text encoder; None if it was released.
            device: Where the model computes.

        Returns:
            S times ``[L, D]`` on any device, as encoded.
        """
        keys = [self._key(caption, text, encoder, device) for caption in captions]
        found = [None if self.cache is None else self.cache.read(key) for key in keys]
        whole = [embedding for embedding in found if embedding is not None]
        if len(whole) == len(found):
            return whole
        captioner = CaptionEncoder(
            text.tokenizer, self.read() if encoder is None else encoder, text.max_length
        )
        return [
            self._make(captioner, caption, key) if embedding is None else embedding
            for caption, key, embedding in zip(captions, keys, found, strict=True)
        ]

    def read(self) -> PreTrainedModel:
        """Read the text encoder from the folder to the CPU.

        Raises:
            ModelError: If it cannot be read or used.
        """
        with load_errors(self.model):
            encoder = load_text_encoder(
                self.model / "text_encoder", dtype=self.dtype, variant=self.variant, use_safetensors=True
            )
        align_weights({"text_encoder": encoder})
        check_weights(str(self.model), {"text_encoder": encoder})
        return encoder

    def _make(self, captioner: CaptionEncoder, caption: str, key: str) -> Tensor:
        embedding = captioner.encode([caption])[0]  # [L, D]
        if self.cache is not None:
            self.cache.write(key, embedding)
        return embedding

    def _key(
        self, caption: str, text: CaptionTokenizer, encoder: PreTrainedModel | None, device: torch.device
    ) -> str:
        where = "cpu" if self.place in ("cpu", "release") else device.type
        dtype = self.dtype if encoder is None else encoder.dtype
        precision = f"{dtype} int8" if self.place == "int8" else str(dtype)
        return embedding_key(self.fingerprint, text.max_length, where, precision, clean_caption(caption))


def choose_text_place(device: torch.device, name: str, model_bytes: int) -> Choice[TextPlace]:
    """Choose where the text encoder lives (see ``ShotStreamPipeline.from_pretrained``).

    Args:
        device: Where the rest of the model is.
        name: ``auto`` or one of `TEXT_PLACES`.
        model_bytes: What all of the model's weights take in memory.

    Raises:
        ValueError: If there is no such place.
    """
    if name != "auto":
        return Choice(check_text_place(name), "asked for")
    free = free_memory(device)
    if free is None or 2 * model_bytes <= free:
        return Choice("resident", "the whole model fits the memory")
    return Choice(
        "release",
        f"with it the model takes {model_bytes / GIB:.1f} GiB, of {free / GIB:.1f} GiB that are free on "
        f"{device}, and half of them are for the making",
    )


def check_text_place(name: str) -> TextPlace:
    """Return `name` if it is one of `TEXT_PLACES`.

    Raises:
        ValueError: If not.
    """
    if name not in TEXT_PLACES:
        raise ValueError(f"A text encoder cannot live in {name!r}; give one of {', '.join(TEXT_PLACES)}.")
    return name


def load_text_encoder(folder: Path, **settings: Any) -> PreTrainedModel:
    """Load a saved text encoder of whichever class it is: umT5, or one from `make_text_encoder`.

    Args:
        folder: Where it was saved.
        **settings: As for any transformers model (``dtype``, ``variant``, ...).
    """
    architectures = AutoConfig.from_pretrained(folder).architectures
    assert architectures, f"{folder} was not written by save_pretrained"
    return getattr(transformers, architectures[0]).from_pretrained(folder, **settings)
