"""A story for editing programs: timelines (OpenTimelineIO, EDL, XML) and subtitles of the prompts."""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, NamedTuple

from shotstream.story import shown_frames

_EDIT_RATES = (24.0, 30.0, 25.0, 48.0, 50.0, 60.0)
_MOST_EVENTS = 999
_LINE_CHARACTERS = 42


@dataclass(frozen=True)
class TimelineShot:
    """A shot as it stands in the film."""

    prompts: Sequence[tuple[int, str]]
    """(first frame within the shot, text); the first at frame 0, the others are redirects, in order."""
    frames: int
    """How many its video file has, at least 1."""
    seed: int
    take: int
    """Counted from 0."""
    clip: str
    """Name of the video file of the shot, relative to the timeline's file."""
    in_frame: int = 0
    """The first frame that the film shows."""
    out_frame: int | None = None
    """The last one; that of the file if None."""

    @property
    def shown(self) -> range:
        """The frames that the film shows."""
        return shown_frames(self.frames, self.in_frame, self.out_frame)


@dataclass(frozen=True)
class TimelineSound:
    """A sound file as it is heard in the film."""

    file: str
    """Its name, relative to the timeline's file."""
    seconds: float
    """How long it is."""
    offset_seconds: float = 0.0
    """When it begins in the film; below 0, its beginning is not heard."""
    gain_db: float = 0.0


class _Span(NamedTuple):
    """Frames of a shot that one prompt told, counted from the first that is shown."""

    start: int
    end: int
    """One past the last."""
    text: str


def edit_rate(fps: float) -> float:
    """The rate of a timeline of clips of `fps`, in frames per second: one that editing programs know.

    It is the first of 24, 30, 25, 48, 50 and 60 that is a multiple of `fps`, so that every frame of a clip
    begins where one of the timeline does. Where none is, it is 24, and times are rounded to its frames.
    """
    return next((rate for rate in _EDIT_RATES if (rate / fps).is_integer()), _EDIT_RATES[0])


def timeline(
    name: str, fps: float, shots: Sequence[TimelineShot], sounds: Sequence[TimelineSound] = ()
) -> str:
    """Write a film as an OpenTimelineIO file: one video track, a clip per shot, a marker per redirect.

    Every sound has an audio track of its own; its gain is in ``metadata["shotstream"]``.

    Args:
        name: What an editing program shows as the name.
        fps: Frames per second of every clip; the timeline has those of `edit_rate`.
        shots: In the order of the film.
        sounds: What is heard with it; one that is not heard before the film's end is left out.

    Returns:
        The JSON text of an ``.otio`` file. Clips and markers say in ``metadata["shotstream"]`` what was asked
        for; seeds and takes are there too.

    Raises:
        ImportError: If OpenTimelineIO is not installed.
    """
    film = _film(name, fps, shots, fps)
    _add_sounds(film, fps, sounds)
    return _opentimelineio().adapters.write_to_string(film, "otio_json")


def edit_decision_list(name: str, fps: float, shots: Sequence[TimelineShot]) -> str:
    """Write a film as an edit decision list (CMX 3600), in ASCII, as old programs read no other text.

    Args:
        name: What an editing program shows as the name.
        fps: Frames per second of every clip; the list counts in those of `edit_rate`.
        shots: In the order of the film, 999 at most.

    Raises:
        ImportError: If OpenTimelineIO or its adapter is not installed.
        ValueError: If there are more shots than such a list can number.
    """
    if len(shots) > _MOST_EVENTS:
        raise ValueError(
            f"an edit decision list has {_MOST_EVENTS} events at most, and the film has {len(shots)} shots; "
            "take the timeline as OTIO or XML"
        )
    rate = edit_rate(fps)
    film = _film(_ascii(name) or "Film", fps, shots, rate)
    for clip in film.find_clips():
        clip.metadata["cmx_3600"] = {"reel": PurePath(clip.media_reference.target_url).stem}
        for marker in clip.markers:
            marker.name = _ascii(marker.name)
    return _written(film, "cmx_3600", rate=rate)


def final_cut_xml(
    name: str, fps: float, shots: Sequence[TimelineShot], sounds: Sequence[TimelineSound] = ()
) -> str:
    """Write a film as an XML file of Final Cut Pro 7, which most editing programs read.

    Args:
        name: What an editing program shows as the name.
        fps: Frames per second of every clip; the sequence has those of `edit_rate`.
        shots: In the order of the film.
        sounds: As for `timeline`; this format has no place for their gain.

    Raises:
        ImportError: If OpenTimelineIO or its adapter is not installed.
    """
    film = _film(name, fps, shots, edit_rate(fps))
    _add_sounds(film, fps, sounds)
    return _written(film, "fcp_xml")


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
        start += len(shot.shown)
    return "\n".join(captions)


def _film(name: str, fps: float, shots: Sequence[TimelineShot], media_rate: float) -> Any:
    """The film as an OTIO timeline; the lengths of media files are counted in frames of `media_rate`."""
    schema, rate = _opentimelineio().schema, edit_rate(fps)
    clips, start, made = [], 0, 0
    for number, shot in enumerate(shots, start=1):
        made += len(shot.shown)
        room = math.floor(shot.shown.stop * rate / fps) - _first(shot, fps)
        frames = max(1, min(round(made * rate / fps) - start, room))
        clips.append(_clip(number, shot, frames, fps, media_rate))
        start += frames
    film = schema.Timeline(name)
    film.tracks.append(schema.Track("Shots", children=clips, kind=schema.TrackKind.Video))
    return film


def _clip(number: int, shot: TimelineShot, frames: int, fps: float, media_rate: float) -> Any:
    """The clip of a shot, so many frames long on the timeline."""
    schema, rate = _opentimelineio().schema, edit_rate(fps)
    spans = list(_spans(shot))
    told = {
        "prompt": shot.prompts[0][1],
        "prompts": [{"frame": shot.shown.start + span.start, "text": span.text} for span in spans],
        "seed": shot.seed,
        "take": shot.take,
        "fps": fps,
    }
    media = _range(0, math.floor(shot.frames * media_rate / fps), media_rate)
    return schema.Clip(
        f"Shot {number}",
        media_reference=schema.ExternalReference(shot.clip, available_range=media),
        source_range=_range(_first(shot, fps), frames, rate),
        metadata={"shotstream": told},
        markers=[
            schema.Marker(
                span.text,
                _range(
                    min(round((shot.in_frame + span.start) * rate / fps), _first(shot, fps) + frames - 1),
                    1,
                    rate,
                ),
                metadata={"shotstream": {"prompt": span.text}},
            )
            for span in spans[1:]
        ],
    )


def _add_sounds(film: Any, fps: float, sounds: Sequence[TimelineSound]) -> None:
    """Add an audio track for every sound that is heard in the film."""
    schema, rate = _opentimelineio().schema, edit_rate(fps)
    length = round(film.duration().value)
    for sound in sounds:
        start, whole = round(sound.offset_seconds * rate), math.floor(sound.seconds * rate)
        first = max(0, -start)
        frames = min(whole - first, length - max(0, start))
        if frames <= 0:
            continue
        clip = schema.Clip(
            PurePath(sound.file).stem,
            media_reference=schema.ExternalReference(sound.file, available_range=_range(0, whole, rate)),
            source_range=_range(first, frames, rate),
            metadata={"shotstream": {"gain_db": sound.gain_db}},
        )
        silence = [schema.Gap(source_range=_range(0, start, rate))] if start > 0 else []
        track = schema.Track(clip.name, children=[*silence, clip], kind=schema.TrackKind.Audio)
        film.tracks.append(track)


def _spans(shot: TimelineShot) -> Iterator[_Span]:
    """Which of the frames that are shown each prompt told; one that told none of them is left out."""
    shown = shot.shown
    starts = [min(max(first, shown.start), shown.stop) for first, _ in shot.prompts]
    for start, end, (_, text) in zip(starts, [*starts[1:], shown.stop], shot.prompts, strict=True):
        if start < end:
            yield _Span(start - shown.start, end - shown.start, text)


def _first(shot: TimelineShot, fps: float) -> int:
    """Where a shot begins in its video file, in frames of the timeline."""
    return math.ceil(shot.shown.start * edit_rate(fps) / fps)


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


def _ascii(text: str) -> str:
    """The text without accents and what has no letter in ASCII."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return " ".join(plain.split())


def _written(film: Any, adapter: str, **options: Any) -> str:
    otio = _opentimelineio()
    if adapter not in otio.adapters.available_adapter_names():
        raise ImportError(
            f'Timelines of this kind ({adapter}) need an adapter: pip install "shotstream[serve]"'
        )
    return otio.adapters.write_to_string(film, adapter, **options)


def _opentimelineio() -> Any:
    try:
        import opentimelineio
    except ImportError as error:
        raise ImportError('Timelines need OpenTimelineIO: pip install "shotstream[serve]"') from error
    return opentimelineio
