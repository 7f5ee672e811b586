"""The story world on disk: drawn frames and captions, and their latents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from rich.progress import track
from torch import Tensor

from shotstream.data.shards import Shards, ShardWriter
from shotstream.models.autoencoder_tiny import TinyVideoAutoencoder
from shotstream.streaming.memory import select_frames
from shotstream.world.sampler import Split, sample_story
from shotstream.world.scene import draw_shot


def draw_stories(
    folder: Path, *, stories: int, split: Split, shots: int, frames: int, size: tuple[int, int], fps: float
) -> Shards:
    """Draw stories 0, 1, ... of a split into shards; goes on where an earlier call stopped.

    A record has the story's setting, prompts and attributes; its tensors are `0`, `1`, ...: the shots,
    `uint8 [T, H, W, 3]`.
    """
    writer = ShardWriter(folder)
    height, width = size
    for seed in track(range(writer.written, stories), description=f"drawing {split} stories"):
        story = sample_story(seed, split=split, shots=shots, frames=frames)
        drawn = {
            str(i): torch.from_numpy(draw_shot(story, i, height=height, width=width, fps=fps))
            for i in range(shots)
        }
        prompts = [shot.prompt for shot in story.shots]
        writer.add({"setting": story.setting, "prompts": prompts, "attributes": story.attributes()}, drawn)
    writer.flush()
    return Shards(folder)


def to_pixels(frames: Tensor) -> Tensor:
    """Turn `uint8 [..., T, H, W, 3]` into `[..., T, 3, H, W]` in [-1, 1]."""
    return frames.movedim(-1, -3).float() / 127.5 - 1


def remembered_positions(frames: int, budget: int) -> list[int]:
    """Frames of a shot that context selection with this budget can ever ask for."""
    return sorted({frame for count in range(1, budget + 1) for _, frame in select_frames([frames], count)})


@torch.no_grad()
def encode_stories(folder: Path, drawn: Shards, autoencoder: TinyVideoAutoencoder, budget: int) -> Shards:
    """Encode drawn stories: per shot the clip and the stills that memory can ask for.

    Tensors of a record: `clips [shots, F, C, h, w]` and `stills [shots, P, C, h, w]`, float16; the P
    positions are in the record (`positions`).
    """
    writer, device = ShardWriter(folder), next(autoencoder.parameters()).device
    for number in track(range(writer.written, len(drawn)), description="encoding stories"):
        record = drawn.records[number]
        frames = to_pixels(_shots(drawn, number, range(len(record["prompts"])))).to(
            device
        )  # [shots, T, 3, H, W]
        positions = remembered_positions(frames.shape[1], budget)
        clips = autoencoder.encode_clip(frames)
        stills = autoencoder.encode_stills(frames[:, positions])
        kept = {key: record[key] for key in ("setting", "prompts", "attributes")} | {"positions": positions}
        writer.add(kept, {"clips": clips.half().cpu(), "stills": stills.half().cpu()})
    writer.flush()
    return Shards(folder)


def _shots(drawn: Shards, number: int, shots: Iterable[int]) -> Tensor:
    return torch.stack([drawn.tensor(number, str(shot)) for shot in shots])


def draw_clips(drawn: Shards, batch: int, frames: int, generator: torch.Generator) -> Tensor:
    """Cut random clips out of random drawn shots: `[batch, frames, 3, H, W]` in [-1, 1]."""

    def one() -> Tensor:
        number = _below(len(drawn), generator)
        shot = _below(len(drawn.records[number]["prompts"]), generator)
        length = drawn.tensor(number, str(shot)).shape[0]
        start = _below(length - frames + 1, generator)
        return drawn.part(number, str(shot), start, start + frames)

    return to_pixels(torch.stack([one() for _ in range(batch)]))


def _below(limit: int, generator: torch.Generator) -> int:
    return int(torch.randint(limit, (), generator=generator))


def captions_of(record: dict, template: str) -> Sequence[str]:
    """Captions of the shots of a record, in the model's template."""
    return [
        template.format(setting=record["setting"], index=index, prompt=prompt)
        for index, prompt in enumerate(record["prompts"])
    ]
