"""Drawn stories: as frames on disk for the autoencoder, as latents for everything after it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from shotstream.data.shards import Shards, ShardWriter
from shotstream.models.autoencoder_tiny import TinyVideoAutoencoder
from shotstream.models.fingerprint import hash_parameters
from shotstream.streaming.chunk import to_pixels
from shotstream.streaming.memory import select_frames
from shotstream.world.sampler import Split, sample_story
from shotstream.world.scene import draw_shot


@dataclass(frozen=True)
class DrawnStories(Dataset[tuple[dict[str, Any], Tensor]]):
    """The first stories of a split of the story world; drawing one takes about a tenth of a second."""

    split: Split
    stories: int
    shots: int
    frames: int
    """Frames of a shot."""
    height: int
    width: int
    fps: float

    def __len__(self) -> int:
        return self.stories

    def __getitem__(self, seed: int) -> tuple[dict[str, Any], Tensor]:
        """Draw a story: setting, prompts and attributes, and its frames `uint8 [shots, T, H, W, 3]`."""
        story = sample_story(seed, split=self.split, shots=self.shots, frames=self.frames)
        size = {"height": self.height, "width": self.width, "fps": self.fps}
        frames = [torch.from_numpy(draw_shot(story, shot, **size)) for shot in range(self.shots)]
        prompts = [shot.prompt for shot in story.shots]
        record = {"setting": story.setting, "prompts": prompts, "attributes": story.attributes()}
        return record, torch.stack(frames)

    @property
    def made_with(self) -> dict[str, Any]:
        """All that a story's pictures depend on; how many stories are asked for is not part of it."""
        return {name: value for name, value in asdict(self).items() if name != "stories"}

    def drawn_from(self, first: int, doing: str) -> Iterator[tuple[dict[str, Any], Tensor]]:
        """Draw the stories from `first` on in order, on spare cores, under a progress bar named `doing`."""
        left = Subset(self, range(first, self.stories))
        workers = min((os.cpu_count() or 1) - 1, 8) if len(left) > 100 else 0
        yield from track(DataLoader(left, batch_size=None, num_workers=workers), doing, total=len(left))


def write_frames(folder: Path, stories: DrawnStories) -> Shards:
    """Draw stories into shards; goes on where an earlier call stopped, or one that wanted fewer.

    A record has setting, prompts and attributes; its tensors `0`, `1`, ... are shots, `uint8 [T, H, W, 3]`.
    """
    writer = ShardWriter(folder, stories.made_with)
    for record, frames in stories.drawn_from(writer.written, f"drawing {stories.split} stories"):
        writer.add(record, {str(shot): clip for shot, clip in enumerate(frames)})
    writer.flush()
    return Shards(folder, stories.stories)


@torch.no_grad()
def write_latents(
    folder: Path, stories: DrawnStories, autoencoder: TinyVideoAutoencoder, budget: int
) -> Shards:
    """Draw stories and encode them: per shot the clip, and the stills that memory can ask for.

    Goes on where an earlier call stopped, or one that wanted fewer. Tensors of a record:
    `clips [shots, F, C, h, w]` and `stills [shots, P, C, h, w]`, float16; the P positions are in the record
    (`positions`).
    """
    encoder = hash_parameters(autoencoder.patches, autoencoder.encoder)
    writer = ShardWriter(folder, stories.made_with | {"budget": budget, "encoder": encoder})
    positions = remembered_positions(stories.frames, budget)
    for record, frames in stories.drawn_from(writer.written, f"encoding {stories.split} stories"):
        pixels = to_pixels(frames.to(autoencoder.device))  # [shots, T, 3, H, W]
        clips = autoencoder.encode_clip(pixels)
        stills = autoencoder.encode_stills(pixels[:, positions])
        tensors = {"clips": clips.half().cpu(), "stills": stills.half().cpu()}
        writer.add(record | {"positions": positions}, tensors)
    writer.flush()
    return Shards(folder, stories.stories)


def remembered_positions(frames: int, budget: int) -> list[int]:
    """Frames of a shot that context selection with this budget can ever ask for."""
    return sorted({frame for count in range(1, budget + 1) for _, frame in select_frames([frames], count)})


def cut_clips(drawn: Shards, batch: int, frames: int, generator: torch.Generator) -> Tensor:
    """Cut random clips out of random drawn shots: `[batch, frames, 3, H, W]` in [-1, 1]."""

    def below(limit: int) -> int:
        return int(torch.randint(limit, (), generator=generator))

    def one() -> Tensor:
        number = below(len(drawn))
        shot = str(below(len(drawn.records[number]["prompts"])))
        start = below(drawn.length(number, shot) - frames + 1)
        return drawn.part(number, shot, start, start + frames)

    return to_pixels(torch.stack([one() for _ in range(batch)]))


def captions_of(record: dict[str, Any], template: str) -> Sequence[str]:
    """Captions of the shots of a record, in the model's template."""
    return [
        template.format(setting=record["setting"], index=index, prompt=prompt)
        for index, prompt in enumerate(record["prompts"])
    ]
