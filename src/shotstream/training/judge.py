"""The judge learns to read drawn shots, half of them as the autoencoder gives them back."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from shotstream.data.batch_slice import WHOLE_BATCH, BatchSlice
from shotstream.data.shards import Shards
from shotstream.media.files import write_text
from shotstream.models.autoencoder import VideoAutoencoder
from shotstream.streaming.chunk import to_pixels
from shotstream.training.judge_pictures import (
    FRESH_SEEDS,
    LEAST_NOISE,
    MOST_NOISE,
    Remaker,
    draw_fresh,
    truth_of_remade,
)
from shotstream.training.progress_pictures import picture_grid
from shotstream.training.settings import JudgeSettings, WorldData
from shotstream.training.spoiling import spoil
from shotstream.training.stage import Role
from shotstream.world.judge import Judge, can_answer, judge_loss, true_answers


class JudgeStage:
    """Cross entropy on whole shots, moved by a few pixels so that it does not learn them by heart."""

    name = "judge"

    def __init__(
        self,
        settings: JudgeSettings,
        judge: Judge,
        drawn: Shards,
        held_out: Shards,
        autoencoder: VideoAutoencoder,
        world: WorldData | None = None,
        remaker: Remaker | None = None,
    ):
        """Set up the stage.

        Args:
            settings: Of the stage.
            judge: Who learns.
            drawn: Stories to learn from; not looked at where `settings.fresh` is set.
            held_out: Stories to measure it on.
            autoencoder: Gives some shots back.
            world: Sizes of what is drawn anew, where `settings.fresh` is set.
            remaker: Remakes some of them, where `settings.remade_fraction` is not 0.
        """
        self.settings, self.loop = settings, settings.loop
        self._world, self._remaker = world, remaker
        self._judge, self._drawn, self._held_out = judge, drawn, held_out
        self._autoencoder, self._device = autoencoder, judge.device
        self.roles = {self.name: Role(judge, settings.optimiser)}

    def role(self, step: int) -> str:
        """There is one role."""
        return self.name

    def loss(
        self, step: int, generator: torch.Generator, batch_slice: BatchSlice = WHOLE_BATCH
    ) -> tuple[Tensor, dict[str, float]]:
        """Mean cross entropy of all questions about a batch of shots.

        Its first ones are autoencoded, the next ones remade, and some spoilt. Now and then all are single
        frames or short shots, in which nobody can tell an action.
        """
        settings, batch = self.settings, self.loop.batch
        chosen, rows = [self._draw(generator) for _ in range(batch)], batch_slice.rows(batch)
        most = settings.shift_pixels
        shifts = batch_slice.of(torch.randint(-most, most + 1, (batch, 2), generator=generator))
        probability = settings.short_probability
        short = probability > 0 and float(torch.rand((), generator=generator)) < probability
        frames, truth = self._pictures(chosen[rows], rows.start, short, generator)
        frames = self._judge.prepare(shift(frames, shifts))
        single, moment = torch.rand(2, generator=generator).tolist()
        if still := single < settings.still_probability:
            frames = frames[:, int(moment * frames.shape[1]), None]
        if still or short:
            truth = [{name: true for name, true in answers.items() if name != "action"} for answers in truth]
        spoils = batch_slice.of(torch.rand(batch, generator=generator) < settings.spoilt_probability)
        chosen_rows = spoils.nonzero()[:, 0].tolist()
        if chosen_rows:
            spoilt, answers = spoil(frames[chosen_rows], [truth[row] for row in chosen_rows], generator)
            frames = frames.index_copy(0, torch.tensor(chosen_rows, device=frames.device), spoilt)
            for row, answer in zip(chosen_rows, answers, strict=True):
                truth[row] = answer
        return judge_loss(self._judge.read(frames), truth, self._judge.questions), {}

    def _pictures(
        self, chosen: list[tuple[int, int]], first_row: int, short: bool, generator: torch.Generator
    ) -> tuple[Tensor, list[dict[str, str]]]:
        """Frames of chosen (story, shot) and what is true of them; the first of a batch are given back by the
        autoencoder, the next ones remade."""
        settings, batch = self.settings, self.loop.batch
        captions: list[tuple[str, str]] = []
        if settings.fresh:
            assert self._world is not None
            length = settings.short_frames if short else self._world.shot_frames
            shots = [draw_fresh(self._world, story, shot, length) for story, shot in chosen]
            frames = to_pixels(torch.stack([shot.frames for shot in shots]).to(self._device))
            truth = [true_answers(one.attributes, shot) for one, (_, shot) in zip(shots, chosen, strict=True)]
            captions = [(one.setting, one.prompt) for one in shots]
        else:
            frames, truth = self._look(self._drawn, chosen)
            frames = frames[:, : settings.short_frames] if short else frames
        again = round(settings.autoencoded_fraction * batch)
        ends = [again, again + round(settings.remade_fraction * batch)]
        one, two = (min(max(0, end - first_row), len(chosen)) for end in ends)
        if one > 0:
            frames = torch.cat([autoencode(self._autoencoder, frames[:one]), frames[one:]])
        if settings.remade_fraction:
            sigmas = torch.empty(batch).uniform_(LEAST_NOISE, MOST_NOISE, generator=generator)
            sigmas = sigmas[first_row + one : first_row + two]
            if one < two:
                assert self._remaker is not None
                remade = self._remaker(frames[one:two], captions[one:two], sigmas, generator)
                frames = torch.cat([frames[:one], remade.to(frames), frames[two:]])
                truth[one:two] = map(truth_of_remade, truth[one:two], sigmas.tolist())
        return frames, truth

    def _draw(self, generator: torch.Generator) -> tuple[int, int]:
        if self.settings.fresh:
            assert self._world is not None
            seeds, shots = FRESH_SEEDS, self._world.shots
            seed = int(torch.randint(seeds.start, seeds.stop, (), generator=generator))
            return seed, int(torch.randint(shots, (), generator=generator))
        story = int(torch.randint(len(self._drawn), (), generator=generator))
        shots = len(self._drawn.records[story]["prompts"])
        return story, int(torch.randint(shots, (), generator=generator))

    def _look(self, shards: Shards, chosen: list[tuple[int, int]]) -> tuple[Tensor, list[dict[str, str]]]:
        """Frames `[B, T, 3, H, W]` in [-1, 1] of chosen (story, shot), and what is true of them."""
        frames = torch.stack([shards.tensor(story, str(shot)) for story, shot in chosen])
        truth = [true_answers(shards.records[story]["attributes"], shot) for story, shot in chosen]
        return to_pixels(frames.to(self._device)), truth

    def sample(self) -> np.ndarray:
        """Held-out shots, first and last frame, as drawn and as the autoencoder gives them back."""
        frames, _ = self._look(self._held_out, [(story, 0) for story in range(min(8, len(self._held_out)))])
        again = autoencode(self._autoencoder, frames)
        return picture_grid([[a[0], a[-1], b[0], b[-1]] for a, b in zip(frames, again, strict=True)])

    def accuracy(self) -> dict[str, float]:
        """Fraction of right answers on all held-out shots, as drawn and `autoencoded`, by question.

        A shot whose true answer the judge does not know is left out; so is a question without any shot left.
        """
        right: dict[str, list[bool]] = defaultdict(list)
        for story, record in enumerate(self._held_out.records):
            chosen = [(story, shot) for shot in range(len(record["prompts"]))]
            frames, truth = self._look(self._held_out, chosen)
            for after, seen in (("", frames), (" autoencoded", autoencode(self._autoencoder, frames))):
                for answers, true in zip(self._judge.answers(seen), truth, strict=True):
                    for name, answer in answers.items():
                        if can_answer(self._judge.questions, name, true[name]):
                            right[name + after].append(answer == true[name])
        names = [f"{name}{after}" for after in ("", " autoencoded") for name in self._judge.questions]
        return {name: sum(right[name]) / len(right[name]) for name in names if right[name]}

    def export(self, folder: Path) -> None:
        """Save the judge, with its figures in accuracy.json."""
        self._judge.save_pretrained(folder)
        figures = {name: round(share, 4) for name, share in self.accuracy().items()}
        write_text(folder / "accuracy.json", json.dumps(figures, indent=2) + "\n")


def shift(frames: Tensor, pixels: Tensor) -> Tensor:
    """Move shots `[B, T, 3, H, W]` down and to the right by `pixels [B, 2]`; their edges are drawn out."""
    height, width = frames.shape[-2:]
    rows, columns = (torch.arange(size, device=frames.device) for size in (height, width))
    moved = [
        shot[..., (rows - down).clamp(0, height - 1), :][..., (columns - right).clamp(0, width - 1)]
        for shot, (down, right) in zip(frames, pixels.tolist(), strict=True)
    ]
    return torch.stack(moved)


@torch.no_grad()
def autoencode(autoencoder: VideoAutoencoder, frames: Tensor) -> Tensor:
    """Shots `[B, T, 3, H, W]` in [-1, 1] as they come back from the autoencoder."""
    return autoencoder.open_decoder().decode(autoencoder.encode_clip(frames)).clamp(-1, 1)
