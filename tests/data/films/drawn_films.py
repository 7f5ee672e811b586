"""Films for tests: drawn stories joined with hard cuts, whole or broken in one way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shotstream.media.video import pyav
from shotstream.world.sampler import sample_story
from shotstream.world.scene import draw_shot

SHOTS = 4
SHOT_FRAMES = (33, 26, 40, 30)


class DrawnFilm(NamedTuple):
    """A film and what should come of it."""

    path: Path
    cuts: list[int]
    kept: int
    """Shots that are kept."""
    rejected: dict[str, int]
    """Shots by reason."""


def write_exactly(path: Path, frames: np.ndarray, fps: int = 12, **codec: int) -> None:
    """Write frames so that they come back bit for bit."""
    options = {"qp": "0", "preset": "ultrafast"}
    with pyav().open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=fps, options=options)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "rgb24"
        for name, value in codec.items():
            setattr(stream.codec_context, name, value)
        for frame in frames:
            container.mux(stream.encode(pyav().VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def encode(path, frames, codec, pixel_format, times=None, rate=12):
    with pyav().open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pixel_format
        stream.codec_context.time_base = Fraction(1, 1000 if times is not None else rate)
        stream.bit_rate = 4_000_000
        if codec == "libx264rgb":
            stream.options = {"qp": "0"}
        for number, frame in enumerate(frames):
            picture = pyav().VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts = number if times is None else round(1000 * times[number])
            picture.time_base = stream.codec_context.time_base
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def draw(seed: int, lengths: tuple[int, ...] = SHOT_FRAMES, height: int = 96, width: int = 144):
    story = sample_story(seed, shots=len(lengths), frames=max(lengths))
    size = {"height": height, "width": width, "fps": 12}
    return [draw_shot(story, shot, **size)[:frames] for shot, frames in enumerate(lengths)]


def write_film(folder: Path, seed: int, breakage: str | None = None) -> DrawnFilm:
    """Write a film with a caption, broken in one of the ways of `BREAKAGES` or whole."""
    path = folder / f"{seed:04d}.mp4"
    path.with_suffix(".txt").write_text("A story.\n")
    kept, rejected, breaking = BREAKAGES[breakage] if breakage else (SHOTS, {}, lambda shots, path: shots)
    lengths = (33, 7, 40, 30) if breakage == "short" else SHOT_FRAMES
    small = {"height": 24, "width": 36} if breakage == "small" else {}
    shots = breaking(draw(seed, lengths, **small), path)
    codec = {"color_trc": 16} if breakage == "hdr" else {}
    write_exactly(path, np.concatenate(shots), **codec)
    if breakage == "unreadable":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    cuts = np.cumsum([len(shot) for shot in shots])[:-1].tolist()
    return DrawnFilm(path, cuts, kept, rejected)


def _black(shots, path):
    return [shots[0], np.full_like(shots[1], 4), *shots[2:]]


def _frozen(shots, path):
    return [*shots[:2], np.repeat(shots[2][:1], len(shots[2]), axis=0), shots[3]]


def credits_on(picture: np.ndarray, lines: Sequence[str], size: int, top: float = 0.1) -> np.ndarray:
    """Write lines of text in the middle of a picture, one below the other from a part of the height on."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(picture)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    for number, line in enumerate(lines):
        place = (image.width - draw.textlength(line, font)) / 2, top * image.height + 1.4 * size * number
        draw.text(place, line, (255, 255, 255), font)
    return np.asarray(image)


CREDITS = ("DIRECTED BY", "Anna Weaver", "PHOTOGRAPHY", "Peter Long", "MUSIC", "Maria Stone", "THE END")


def _texted(shots, path):
    """Credits that roll over the second shot."""
    rolling = [
        credits_on(np.zeros_like(frame), CREDITS * 2, 11, 0.1 - number / 96)
        for number, frame in enumerate(shots[1])
    ]
    return [shots[0], np.stack(rolling), *shots[2:]]


def _letterboxed(shots, path):
    return [np.pad(shot, ((0, 0), (16, 16), (0, 0), (0, 0))) for shot in shots]


def _uncaptioned(shots, path):
    path.with_suffix(".txt").unlink()
    return shots


def _miscounted(shots, path):
    path.with_suffix(".txt").write_text("A story.\nOne.\nTwo.\nThree.\n")
    return shots


def _as_it_is(shots, path):
    return shots


Breaking = Callable[[list[np.ndarray], Path], list[np.ndarray]]
BREAKAGES: dict[str, tuple[int, dict[str, int], Breaking]] = {
    "black": (2, {"black": 1, "alone": 1}, _black),
    "frozen": (2, {"frozen": 1, "alone": 1}, _frozen),
    "short": (2, {"short": 1, "alone": 1}, _as_it_is),
    "small": (0, {"small": 4}, _as_it_is),
    "hdr": (0, {"hdr": 4}, _as_it_is),
    "text": (2, {"text": 1, "alone": 1}, _texted),
    "letterboxed": (4, {}, _letterboxed),
    "uncaptioned": (0, {"uncaptioned": 4}, _uncaptioned),
    "captions": (0, {"captions": 4}, _miscounted),
    "unreadable": (0, {"unreadable": 1}, _as_it_is),
}
"""Shots that are kept, shots that are not by reason, and how the film is broken."""
