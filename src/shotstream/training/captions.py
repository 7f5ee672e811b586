"""The caption encoder learns what captions say, and about whom, before anything is generated from it.

Learning beside a transformer it mixes two characters up: who wears what takes three hops from word to word,
and the loss of pictures says too little about them. Asked at every word it learns that in minutes.

Legend: B batch, L caption length in tokens, D caption width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from shotstream.data.batch_slice import WHOLE_BATCH, BatchSlice
from shotstream.models.text import CaptionEncoder
from shotstream.training.settings import CaptionsSettings
from shotstream.training.stage import Role
from shotstream.world import vocabulary
from shotstream.world.judge import QUESTIONS, true_answers
from shotstream.world.sampler import WorldStory, sample_story
from shotstream.world.word_labels import WordLabel, word_labels

HIDDEN = ("landmark", "side", "accessory_colour", "pattern", "figures")
"""Ends of the names of questions about what captions never tell."""
WHOLE_CAPTION: Mapping[str, tuple[str, ...]] = {
    name: answers for name, answers in QUESTIONS.items() if not name.endswith(HIDDEN)
}
"""Questions that the last token of a caption must answer."""
SINGLE_WORDS: Mapping[str, tuple[str, ...]] = {
    "kind": tuple(vocabulary.KINDS),
    "colour": tuple(vocabulary.COLOURS),
    "accessory": tuple(vocabulary.ACCESSORIES),
}
"""Questions that words about a character must answer."""
NOT_ASKED = -100
"""Stands where a word is about nobody, or cannot know yet."""


class CaptionsStage:
    """Cross entropy of what captions tell: at the end about the shot, at words about whom they name."""

    name = "captions"

    def __init__(self, settings: CaptionsSettings, text: CaptionEncoder):
        self.settings, self.loop, self._text = settings, settings.loop, text
        width = text.text_encoder.config.hidden_size
        self._end, self._word = (
            nn.ModuleDict({name: nn.Linear(width, len(answers)) for name, answers in questions.items()})
            for questions in (WHOLE_CAPTION, SINGLE_WORDS)
        )
        heads = nn.ModuleDict({"end": self._end, "word": self._word}).to(text.text_encoder.device)
        module = nn.ModuleDict({"text_encoder": text.text_encoder, "heads": heads})
        self.roles = {self.name: Role(module, settings.optimiser)}

    def role(self, step: int) -> str:
        """There is one role."""
        return self.name

    def loss(
        self, step: int, generator: torch.Generator, batch_slice: BatchSlice = WHOLE_BATCH
    ) -> tuple[Tensor, dict[str, float]]:
        """Mean cross entropy over questions, on stories never seen before; and how many are right."""
        seeds = torch.randint(2**62, (self.loop.batch,), generator=generator)
        shots = torch.randint(self.settings.shots, (self.loop.batch,), generator=generator)
        drawn = zip(batch_slice.of(seeds).tolist(), batch_slice.of(shots).tolist(), strict=True)
        return self._ask([(sample_story(seed, shots=shot + 1, frames=1), shot) for seed, shot in drawn])

    @torch.no_grad()
    def accuracy(self, stories: int = 400) -> dict[str, float]:
        """How many of the answers are right on held-out stories, at the end and at single words."""
        count = self.settings.shots
        asked = [
            (sample_story(seed, split="held-out", shots=count, frames=1), seed % count)
            for seed in range(stories)
        ]
        return self._ask(asked)[1]

    def _ask(self, asked: Sequence[tuple[WorldStory, int]]) -> tuple[Tensor, dict[str, float]]:
        device = self._text.text_encoder.device
        captions = [f"{story.setting} {story.shots[shot].prompt}" for story, shot in asked]
        ids, mask = self._text.tokenize(captions)
        hidden = self._text.embed(ids, mask)  # [B, L, D]
        ends = hidden[torch.arange(len(hidden)), mask.sum(dim=1) - 1]  # [B, D]
        truth = [true_answers(story.attributes(), shot) for story, shot in asked]
        labels = [word_labels(story, shot) for story, shot in asked]
        losses, figures = {}, {}
        for name, answers in WHOLE_CAPTION.items():
            right = torch.tensor([answers.index(true[name]) for true in truth], device=device)
            losses[name], figures[name] = _cross_entropy(self._end[name](ends), right)
        for name, answers in SINGLE_WORDS.items():
            right = _word_targets(labels, name, answers, ids.shape[1]).to(device)
            loss, share_right = _cross_entropy(self._word[name](hidden).flatten(0, 1), right.flatten())
            losses[f"word {name}"], figures[f"word {name}"] = loss, share_right
        end = torch.stack([losses[name] for name in WHOLE_CAPTION]).mean()
        words = torch.stack([losses[f"word {name}"] for name in SINGLE_WORDS]).mean()
        return end + words, figures

    def sample(self) -> None:
        """There is no picture to look at."""

    def export(self, folder: Path) -> None:
        """Save caption encoder and tokenizer."""
        self._text.text_encoder.save_pretrained(folder / "text_encoder")
        self._text.tokenizer.save_pretrained(folder / "tokenizer")


def _cross_entropy(logits: Tensor, right: Tensor) -> tuple[Tensor, float]:
    """Cross entropy of logits [n, answers], and how many of those asked are right, in [0, 1]."""
    asked = right != NOT_ASKED
    if not asked.any():
        return logits.sum() * 0.0, 1.0
    correct = (logits.argmax(dim=1) == right)[asked].float().mean()
    return functional.cross_entropy(logits.float(), right, ignore_index=NOT_ASKED), float(correct)


def _word_targets(
    labels: Sequence[Sequence[WordLabel]], name: str, answers: Sequence[str], length: int
) -> Tensor:
    """Number of the right answer at every token [B, L]."""
    targets = torch.full((len(labels), length), NOT_ASKED)
    for row, words in enumerate(labels):
        for place, word in enumerate(words[: length - 1]):
            value = getattr(word, name)
            if value is not None:
                targets[row, place] = answers.index(value)
    return targets
