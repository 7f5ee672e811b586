"""A story for editing programs: an OpenTimelineIO timeline and subtitles of the prompts."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

_LINE_CHARACTERS = 42


@dataclass(frozen=True)
class TimelineShot:
    """A shot as it stands in the film."""

    prompts: Sequence[tuple[int, str]]
    """(first frame within the shot, text); the first at frame 0, the others are redirects, in order."""
    frames: int
    """Length, at least 1."""
    seed: int
    take: int
    """Counted from 0."""
    clip: str
    """Name of the video file of the shot, relative to the timeline's file."""


class _Span(NamedTuple):
    """Frames of a shot that one prompt told."""

    start: int
    end: int
    """One past the last."""
    text: str


def timeline(name: str, fps: float, shots: Sequence[TimelineShot]) -> str:
    """Write a film as an OpenTimelineIO file: one video track, a clip per shot, a marker per redirect.

    Args:
        name: What an editing program shows as the name.
        fps: Frames per second of every clip.
        shots: In the order of the film.

    Returns:
        The JSON text of an ``.otio`` file. Clips and markers say in ``metadata["shotstream"]`` what was asked
        for; seeds and takes are there too.

    Raises:
        ImportError: If OpenTimelineIO is not installed.
    """
    schema = _opentimelineio().schema
    clips = [_clip(number, shot, fps) for number, shot in enumerate(shots, start=1)]
    film = schema.Timeline(name)
    film.tracks.append(schema.Track("Shots", children=clips, kind=schema.TrackKind.Video))
    return _opentimelineio().adapters.write_to_string(film, "otio_json")


def subtitles(fps: float, shots: Sequence[TimelineShot]) -> str:
    """Write the prompts of a film as subtitles (SRT), each for as long as it told the film.

    Args:
        fps: Frames per second.
        shots: In the order of the film.

    Returns:
        The text of an ``.srt`` file; captions follow one another without overlap, prompts without a word have
        none.
    """
    captions: list[str] = []
    start = 0
    for shot in shots:
        for span in _spans(shot):
            if lines := _lines(span.text):
                times = f"{_clock((start + span.start) / fps)} --> {_clock((start + span.end) / fps)}"
                captions.append("\n".join([str(len(captions) + 1), times, *lines, ""]))
        start += shot.frames
    return "\n".join(captions)


def _clip(number: int, shot: TimelineShot, fps: float) -> Any:
    schema = _opentimelineio().schema
    spans = list(_spans(shot))
    told = {
        "prompt": shot.prompts[0][1],
        "prompts": [{"frame": span.start, "text": span.text} for span in spans],
        "seed": shot.seed,
        "take": shot.take,
    }
    whole = _range(0, shot.frames, fps)
    return schema.Clip(
        f"Shot {number}",
        media_reference=schema.ExternalReference(shot.clip, available_range=whole),
        source_range=whole,
        metadata={"shotstream": told},
        markers=[
            schema.Marker(
                span.text, _range(span.start, 1, fps), metadata={"shotstream": {"prompt": span.text}}
            )
            for span in spans[1:]
        ],
    )


def _spans(shot: TimelineShot) -> Iterator[_Span]:
    """Which frames each prompt told; a prompt that came too late to tell any is left out."""
    starts = [min(first, shot.frames) for first, _ in shot.prompts]
    for start, end, (_, text) in zip(starts, [*starts[1:], shot.frames], shot.prompts, strict=True):
        if start < end:
            yield _Span(start, end, text)


def _range(start: int, frames: int, fps: float) -> Any:
    times = _opentimelineio().opentime
    return times.TimeRange(times.RationalTime(start, fps), times.RationalTime(frames, fps))


def _lines(prompt: str) -> list[str]:
    """Break a prompt into lines that cannot be taken for anything else in the file."""
    visible = "".join(" " if unicodedata.category(letter) == "Cc" else letter for letter in prompt)
    words = " ".join(visible.split()).replace("-->", "→")
    return textwrap.wrap(words, _LINE_CHARACTERS, break_on_hyphens=False)


def _clock(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d},{rest % 1000:03d}"


def _opentimelineio() -> Any:
    try:
        import opentimelineio
    except ImportError as error:
        raise ImportError('Timelines need OpenTimelineIO: pip install "shotstream[serve]"') from error
    return opentimelineio
