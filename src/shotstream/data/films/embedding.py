"""Embeddings of captions beside the latents, so that training needs no big text encoder on its device."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer

from shotstream.data.film_shards import text_encoder_hash
from shotstream.loading.folders import load_errors
from shotstream.loading.hashes import weight_files
from shotstream.loading.text_source import load_text_encoder
from shotstream.models.text import CaptionEncoder

BIG_BYTES = 256 * 2**20
"""Of a text encoder's files from which its embeddings are worth keeping."""


class CaptionEmbedder:
    """The text encoder of a model.

    Args:
        folder: Of the model.
        device: Where it runs.

    Raises:
        ModelError: If it is not whole.
    """

    def __init__(self, folder: Path, device: torch.device):
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
        shape = json.loads((folder / "transformer" / "config.json").read_text(encoding="utf-8"))
        with load_errors(folder):
            tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
            encoder = load_text_encoder(folder / "text_encoder", use_safetensors=True).eval()
        nn.Module.to(encoder, device)
        self._text = CaptionEncoder(tokenizer, encoder, shape["text_length"])
        self.template: str = index.get("caption_template", "{setting}shot{index}:{prompt}")
        self.made_with = {"template": self.template, "encoder": text_encoder_hash(folder)}

    def embed(self, captions: Sequence[str]) -> dict[str, Tensor]:
        """Embed the captions of a story.

        Returns:
            ``captions``, embeddings one after the other, bfloat16 [tokens of all, D]; ``caption_tokens``, how
            many tokens each has, int64.
        """
        parts = [self._text.encode([caption])[0] for caption in captions]
        return {
            "captions": torch.cat(parts).bfloat16().cpu().contiguous(),
            "caption_tokens": torch.tensor([len(part) for part in parts]),
        }


def has_big_text_encoder(folder: Path) -> bool:
    """Whether a model's text encoder is so big that embeddings are worth keeping."""
    return sum(path.stat().st_size for path in weight_files(folder / "text_encoder")) >= BIG_BYTES
