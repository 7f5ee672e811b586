"""Captions to numbers: one code path for Wan's umT5 and for mini's small encoder with its closed vocabulary.

Shapes: S captions, L tokens of the longest one, D caption width.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, cast

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from shotstream.media.plain_text import drop_unseen

try:
    import ftfy
except ImportError:
    ftfy = None

_SPECIAL = _PAD, _END, _UNKNOWN = "<pad>", "</s>", "<unk>"


class CaptionTokenizer:
    """Captions to token numbers, and what of a caption these leave out.

    Args:
        tokenizer: Any transformers tokenizer, or one from `make_tokenizer`.
        max_length: Most tokens of a caption, the closing ``</s>`` included.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_length: int = 512) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length

    def tokenize(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Clean captions and turn them into token numbers.

        Returns:
            Token numbers and mask (1 for tokens, 0 for padding), both ``int64 [S, L]`` on the CPU.
        """
        batch = self.tokenizer(
            [clean_caption(caption) for caption in captions],
            padding="longest",
            truncation=True,
            max_length=self.max_length,
            return_attention_mask=True,
            return_tensors="pt",
        )
        return batch["input_ids"], batch["attention_mask"]

    def known_words(self) -> list[str] | None:
        """Every word of a closed vocabulary, sorted; None for open ones (umT5's), which spell any word."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is None or not isinstance(backend.model, models.WordLevel):
            return None
        return sorted(word for word in backend.get_vocab() if word not in _SPECIAL)

    def unknown_words(self, caption: str) -> dict[str, list[str]]:
        """Words that the vocabulary does not have, each with at most 3 near ones that it has.

        Always empty for open vocabularies.
        """
        known = self.known_words()
        if known is None:
            return {}
        text = clean_caption(caption)
        encoding = cast(Any, self.tokenizer).backend_tokenizer.encode(text)
        pieces = zip(encoding.tokens, encoding.offsets, strict=True)
        unknown = [text[start:end].lower() for token, (start, end) in pieces if token == _UNKNOWN]
        return {word: get_close_matches(word, known, n=3, cutoff=0.75) for word in unknown}

    def cut_off(self, caption: str) -> str:
        """What of a caption is not read because it is longer than `max_length` tokens; empty for most.

        Of tokenizers that do not tell where their tokens stand in the text (slow ones) nothing is known.
        """
        if not self.tokenizer.is_fast:
            return ""
        text, room = clean_caption(caption), self.max_length - self.tokenizer.num_special_tokens_to_add()
        spans = self.tokenizer(
            text, truncation=False, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )["offset_mapping"]
        return text[spans[room][0] :] if len(spans) > room else ""


class CaptionEncoder(CaptionTokenizer):
    """A tokenizer and a text encoder, used together.

    Captions are cleaned, cut at `max_length` tokens, encoded, and set to zero after their last token: the
    transformer pads them with zeros to its text length, as Wan does.

    Args:
        tokenizer: Any transformers tokenizer, or one from `make_tokenizer`.
        text_encoder: umT5, or one from `make_text_encoder`.
        max_length: Most tokens of a caption, the closing ``</s>`` included.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, text_encoder: PreTrainedModel, max_length: int = 512
    ) -> None:
        super().__init__(tokenizer, max_length)
        self.text_encoder = text_encoder

    @torch.no_grad()
    def encode(self, captions: Sequence[str], device: torch.device | str | None = None) -> Tensor:
        """Encode captions for generation.

        Every caption goes through the encoder by itself, so that its numbers do not depend on its neighbours.

        Args:
            captions: S texts, at least one.
            device: Where the result goes; the text encoder's device if None.

        Returns:
            ``[S, L, D]`` in the text encoder's dtype, zero after each caption's tokens.
        """
        encoded = [self.embed(*self.tokenize([caption]))[0] for caption in captions]  # [L_s, D] each
        return nn.utils.rnn.pad_sequence(encoded, batch_first=True).to(device)

    def embed(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Encode tokens; differentiable, for training the text encoder along.

        Args:
            ids: Token numbers ``[S, L]``.
            mask: 1 for tokens, 0 for padding ``[S, L]``.

        Returns:
            ``[S, L, D]`` on the text encoder's device, zero where the mask is 0.
        """
        if self.text_encoder.device.type != "meta":  # an offload hook would bring the tokens to its weights
            ids, mask = ids.to(self.text_encoder.device), mask.to(self.text_encoder.device)
        hidden = self.text_encoder(input_ids=ids, attention_mask=mask).last_hidden_state  # [S, L, D]
        return hidden * mask.unsqueeze(-1).to(hidden)  # where an offload hook has put it


def clean_caption(caption: str) -> str:
    """Repair broken encodings (when ftfy is installed) and HTML entities, and collapse white space.

    Characters that nobody sees are left out: a soft hyphen in a word does not make another word of it.
    """
    if ftfy is not None:
        caption = ftfy.fix_text(caption)
    caption = drop_unseen(html.unescape(html.unescape(caption)))
    return re.sub(r"\s+", " ", caption).strip()


def make_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerFast:
    """Make a tokenizer that knows exactly `words`.

    Text is lower-cased and split at white space and punctuation, which is dropped; so are the words given
    here ("close-up" becomes two). ``<pad>`` is 0, ``</s>`` 1 and closes every caption, ``<unk>`` 2.

    Args:
        words: The vocabulary, in any order; numbers are given in sorted order.
    """
    normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    splitter = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation(behavior="removed")]
    )
    pieces = {
        piece for word in words for piece, _ in splitter.pre_tokenize_str(normalizer.normalize_str(word))
    }
    vocabulary = {word: number for number, word in enumerate([*_SPECIAL, *sorted(pieces)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=_UNKNOWN))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    tokenizer.post_processor = processors.TemplateProcessing(f"$A {_END}", special_tokens=[(_END, 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=_PAD, eos_token=_END, unk_token=_UNKNOWN, padding_side="right"
    )


def make_text_encoder(
    vocab_size: int, width: int = 128, layers: int = 2, heads: int = 4, max_length: int = 48
) -> CLIPTextModel:
    """Make a small text encoder with fresh weights: CLIP's, in which every word knows its place.

    T5's, which Wan has, knows places only by distance. That suffices when it comes pretrained; learning
    beside a small transformer it did not find out in 16,000 steps that the order of words means anything, and
    two characters were mixed up. Words and places begin at a size that attention does not drown.

    Args:
        vocab_size: ``len(tokenizer)``.
        width: Width of its output, a multiple of `heads`.
        layers: Number of transformer layers.
        heads: Number of attention heads.
        max_length: Most tokens of a caption.
    """
    if width % heads:
        raise ValueError(f"width is {width}, which {heads} heads cannot share; give a multiple of {heads}.")
    config = CLIPTextConfig(
        vocab_size=vocab_size,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=max_length,
        pad_token_id=_SPECIAL.index(_PAD),
        eos_token_id=_SPECIAL.index(_END),
        bos_token_id=None,
    )
    encoder = CLIPTextModel(config)
    for table in (encoder.embeddings.token_embedding, encoder.embeddings.position_embedding):
        nn.init.normal_(table.weight, std=0.7)
    return encoder
