"""Stories of films as latents: clips of what is to be made, and stills of what can be remembered."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shotstream.data.film_shards import ClipFormat
from shotstream.data.films.decode import read_shot
from shotstream.data.films.stories import FilmStory
from shotstream.data.shot_pool import remembered_positions
from shotstream.models.autoencoder import VideoAutoencoder
from shotstream.streaming.chunk import to_pixels

STILLS_AT_ONCE = 16


@dataclass(frozen=True)
class StoryPictures:
    """The pictures of a story that are encoded, in the model's size."""

    clips: list[np.ndarray]
    """The beginning of each shot, uint8 [T, H, W, 3] with T = 1 + 4k."""
    stills: list[np.ndarray]
    """What of each shot can be remembered, uint8 [P, H, W, 3]."""


def read_pictures(story: FilmStory, made: ClipFormat) -> StoryPictures:
    """Read the pictures of a story.

    Raises:
        FilmError: If a film cannot be read there.
    """
    positions = remembered_positions([shot.frames for shot in story.shots], made.context_frames)
    clips, stills = [], []
    for shot, places in zip(story.shots, positions, strict=True):
        length = made.clip_frames(shot.frames)
        wanted = {*range(length), *places}
        read = read_shot(Path(shot.file), shot.start, shot.end, made.fps, wanted)
        fitted = {number: fit(picture, shot.bars, made) for number, picture in read.items()}
        clips.append(np.stack([fitted[number] for number in range(length)]))
        stills.append(np.stack([fitted[number] for number in places]))
    return StoryPictures(clips, stills)


def fit(picture: np.ndarray, bars: tuple[float, float, float, float], made: ClipFormat) -> np.ndarray:
    """Crop the bars off a picture, scale it to cover the model's, and crop the rest around the middle.

    Args:
        picture: uint8 [H, W, 3].
        bars: At top, bottom, left, right, parts of the height or width.
        made: Gives the size.

    Returns:
        uint8 [height, width, 3]; a picture of that size without bars as it is.
    """
    import cv2

    height, width = picture.shape[:2]
    top, bottom, left, right = bars
    picture = picture[
        round(top * height) : height - round(bottom * height),
        round(left * width) : width - round(right * width),
    ]
    height, width = picture.shape[:2]
    scale = max(made.height / height, made.width / width)
    if scale != 1:
        size = max(made.width, round(width * scale)), max(made.height, round(height * scale))
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        picture = cv2.resize(np.ascontiguousarray(picture), size, interpolation=way)
    above, before = (picture.shape[0] - made.height) // 2, (picture.shape[1] - made.width) // 2
    return np.ascontiguousarray(picture[above : above + made.height, before : before + made.width])


@torch.no_grad()
def encode_story(
    pictures: StoryPictures, autoencoder: VideoAutoencoder, device: torch.device
) -> dict[str, Tensor]:
    """Encode the pictures of a story.

    Returns:
        ``clips`` and ``stills``, latent frames of all shots one after the other, float16 [n, C, h, w].
    """
    clips = [autoencoder.encode_clip(to_pixels(clip[None]).to(device))[0] for clip in pictures.clips]
    stills = [
        autoencoder.encode_stills(to_pixels(part[None]).to(device))[0]
        for shot in pictures.stills
        for part in np.split(shot, range(STILLS_AT_ONCE, len(shot), STILLS_AT_ONCE))
    ]
    joined = {"clips": torch.cat(clips), "stills": torch.cat(stills)}
    return {name: latents.half().cpu().contiguous() for name, latents in joined.items()}


def record_of(story: FilmStory, made: ClipFormat, key: str) -> dict[str, Any]:
    """What the index of the shards says of a story."""
    frames = [shot.frames for shot in story.shots]
    return {
        "key": key,
        **story.words,
        "frames": frames,
        "latent_frames": [made.latent_frames(count) for count in frames],
        "positions": remembered_positions(frames, made.context_frames),
        "shots": [
            {
                "file": shot.file,
                "sha256": shot.digest,
                "start": shot.start,
                "end": shot.end,
                "bars": list(shot.bars),
            }
            for shot in story.shots
        ],
        "licence": story.licence,
        "source": story.source,
    }


def checksum(tensors: dict[str, Tensor]) -> str:
    """SHA-256, in hexadecimal, of named tensors."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {list(tensors[name].shape)}".encode())
        digest.update(tensors[name].contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
