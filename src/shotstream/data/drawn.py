"""Drawn stories: as frames on disk for the autoencoder, as latents for everything after it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from shotstream.data.shards import Shards, ShardWriter
from shotstream.data.shot_pool import remembered_positions
from shotstream.loading.hashes import hash_parameters
from shotstream.models.autoencoder_tiny import TinyVideoAutoencoder
from shotstream.streaming.chunk import to_pixels
from shotstream.world.portrait import GROUNDS, draw_portrait
from shotstream.world.sampler import Split, sample_story
from shotstream.world.scene import draw_shot


@dataclass(frozen=True)
class DrawnStories(Dataset[tuple[dict[str, Any], Tensor, Tensor]]):
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

    def __getitem__(self, seed: int) -> tuple[dict[str, Any], Tensor, Tensor]:
        """Draw a story.

        Returns:
            Setting, prompts and attributes; frames `uint8 [shots, T, H, W, 3]`; portraits of the cast,
            `uint8 [2, H, W, 3]`, of one hero alone two.
        """
        story = sample_story(seed, split=self.split, shots=self.shots, frames=self.frames)
        size = {"height": self.height, "width": self.width, "fps": self.fps}
        frames = [torch.from_numpy(draw_shot(story, shot, **size)) for shot in range(self.shots)]
        size.pop("fps")
        ground = list(GROUNDS)[seed % len(GROUNDS)]
        portraits = [
            torch.from_numpy(draw_portrait(one, seed=seed + 1 + place, ground=ground, **size))
            for place, one in enumerate(story.cast if len(story.cast) > 1 else story.cast * 2)
        ]
        prompts = [shot.prompt for shot in story.shots]
        record = {"setting": story.setting, "prompts": prompts, "attributes": story.attributes()}
        return record, torch.stack(frames), torch.stack(portraits)

    @property
    def made_with(self) -> dict[str, Any]:
        """All that a story's pictures depend on; how many stories are asked for is not part of it."""
        settings = {name: value for name, value in asdict(self).items() if name != "stories"}
        return settings | {"world": world_digest()}

    def drawn_from(self, first: int, doing: str) -> Iterator[tuple[dict[str, Any], Tensor, Tensor]]:
        """Draw the stories from `first` on in order, on spare cores, under a progress bar named `doing`."""
        left = Subset(self, range(first, self.stories))
        workers = min((os.cpu_count() or 1) - 1, 16) if len(left) > 100 else 0
        own = torch.Generator()  # else a loader takes a number from torch's, even if nothing is left to draw
        loader = DataLoader(left, batch_size=None, num_workers=workers, generator=own)
        yield from track(loader, doing, total=len(left))


@lru_cache(maxsize=1)
def world_digest() -> str:
    """Hash of some stories as they are told and drawn now: another world has another."""
    digest = hashlib.sha256()
    for seed in range(8):
        story = sample_story(seed, frames=1)
        digest.update(json.dumps(story.attributes()).encode())
        for shot in range(len(story.shots)):
            digest.update(draw_shot(story, shot, height=32, width=48).tobytes())
    return digest.hexdigest()[:16]


def write_frames(folder: Path, stories: DrawnStories) -> Shards:
    """Draw stories into shards; goes on where an earlier call stopped, or one that wanted fewer.

    A record has setting, prompts and attributes; its tensors `0`, `1`, ... are shots, `uint8 [T, H, W, 3]`.
    """
    writer = ShardWriter(folder, stories.made_with)
    for record, frames, _ in stories.drawn_from(writer.written, f"drawing {stories.split} stories"):
        writer.add(record, {str(shot): clip for shot, clip in enumerate(frames)})
    writer.flush()
    return Shards(folder, stories.stories)


@torch.no_grad()
def write_latents(
    folder: Path, stories: DrawnStories, autoencoder: TinyVideoAutoencoder, budget: int
) -> Shards:
    """Draw stories and encode them: per shot the clip, and the stills that memory can ask for.

    Goes on where an earlier call stopped, or one that wanted fewer. Tensors of a record:
    `clips [shots, F, C, h, w]`, `stills [shots, P, C, h, w]` and `portraits [2, C, h, w]`, float16; the P
    positions are in the record (`positions`).
    """
    encoder = hash_parameters(autoencoder.encoding_parts)
    writer = ShardWriter(folder, stories.made_with | {"budget": budget, "encoder": encoder})
    positions = remembered_positions([stories.frames], budget)[0]
    for record, frames, portraits in stories.drawn_from(writer.written, f"encoding {stories.split} stories"):
        pixels = to_pixels(frames.to(autoencoder.device))  # [shots, T, 3, H, W]
        clips = autoencoder.encode_clip(pixels)
        stills = autoencoder.encode_stills(pixels[:, positions])
        cast = autoencoder.encode_stills(to_pixels(portraits[:, None].to(autoencoder.device)))[:, 0]
        tensors = {"clips": clips, "stills": stills, "portraits": cast}
        tensors = {name: values.half().cpu() for name, values in tensors.items()}
        writer.add(record | {"positions": positions}, tensors)
    writer.flush()
    return Shards(folder, stories.stories)


def cut_clips(
    drawn: Shards,
    batch: int,
    frames: int,
    generator: torch.Generator,
    crop: tuple[int, int] | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Cut random clips out of random drawn shots: `[batch, frames, 3, H, W]` in [-1, 1].

    Args:
        drawn: From `write_frames`.
        batch: How many clips.
        frames: Of a clip.
        generator: On the CPU.
        crop: Height and width of a part of the picture, most often near its middle, where the cast stands;
            None for whole pictures.
        device: Where they go, as bytes, to become numbers there.
    """

    def below(limit: int) -> int:
        return int(torch.randint(limit, (), generator=generator))

    def one() -> Tensor:
        number = below(len(drawn))
        shot = str(below(len(drawn.records[number]["prompts"])))
        clip = drawn.tensor(number, shot)
        length, height, width, _ = clip.shape
        start = below(length - frames + 1)
        if crop is None:
            return clip[start : start + frames]
        top = below(height - crop[0] + 1)
        middle = (width - crop[1]) / 2
        left = middle + float(torch.randn((), generator=generator)) * width / 8
        left = round(min(max(left, 0), 2 * middle))
        return clip[start : start + frames, top : top + crop[0], left : left + crop[1]]

    return to_pixels(torch.stack([one() for _ in range(batch)]).to(device))
