"""Sound files that people bring (PyAV): read, drawn as a waveform, and mixed for a film."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shotstream.media.video import pyav

SAMPLE_RATE = 48_000
"""Samples per second that everything is mixed at."""
PEAKS_PER_SECOND = 20
"""Of a waveform."""
BLOCK = 1024
"""Samples that are mixed at once: a frame of AAC."""

_SILENT = "the file has no sound in it; open it in a player, and save it anew"
_DEMUXERS = {"wav": "wav", "mp3": "mp3", "flac": "flac", "ogg": "ogg", "m4a": "mov"}
SOUND_KINDS = tuple(_DEMUXERS)
"""Endings of the files that can be read."""


MOST_SOUND_SECONDS = 36_000.0
"""How long a sound file may be that a story file names."""


class SoundError(ValueError):
    """A sound file cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class SoundFacts:
    """What is known of a sound file."""

    kind: str
    """One of `SOUND_KINDS`."""
    seconds: float
    peaks: list[int]
    """The loudest sample of every twentieth of a second, 0 to 255."""


@dataclass(frozen=True)
class PlacedFile:
    """A sound file as it is heard in a film."""

    path: Path
    offset_seconds: float = 0.0
    """When it begins in the film; below 0, its beginning is not heard."""
    gain_db: float = 0.0


def sound_kind(data: bytes) -> str | None:
    """The kind of a sound file by its first bytes; None if it is none that can be read.

    A file is opened as what it is alone: other kinds that FFmpeg knows name further files and addresses.
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "wav"
    if data[:4] == b"fLaC":
        return "flac"
    if data[:4] == b"OggS":
        return "ogg"
    if data[4:8] == b"ftyp":
        return "m4a"
    is_mpeg = len(data) > 1 and data[0] == 0xFF and data[1] & 0xE6 in (0xE2, 0xE4, 0xE6)
    return "mp3" if data[:3] == b"ID3" or is_mpeg else None


def read_sound(path: Path, most_seconds: float) -> SoundFacts:
    """Decode a whole sound file, and say what it is.

    Args:
        path: The file. Its name does not matter.
        most_seconds: How long it may be.

    Raises:
        ImportError: If PyAV is not installed.
        OSError: If there is none.
        SoundError: If it is too long, silent of samples, damaged, or no sound.
    """
    with path.open("rb") as file:
        kind = sound_kind(file.read(16))
    if kind is None:
        raise SoundError(f"this is no sound that can be read; take one of {', '.join(SOUND_KINDS).upper()}")
    step, samples = SAMPLE_RATE // PEAKS_PER_SECOND, 0
    peaks: list[int] = []
    rest = np.zeros(0, np.float32)
    for block in _samples(path):
        samples += block.shape[1]
        if samples > most_seconds * SAMPLE_RATE:
            raise SoundError(f"the sound is longer than {most_seconds / 60:g} minutes; cut it shorter first")
        rest = np.concatenate([rest, np.abs(block).max(0)])
        whole = len(rest) // step
        peaks += _loudest(rest[: whole * step].reshape(whole, step))
        rest = rest[whole * step :]
    if not samples:
        raise SoundError(_SILENT)
    if len(rest):
        peaks += _loudest(rest[None])
    return SoundFacts(kind, samples / SAMPLE_RATE, peaks)


def mix_sounds(placed: Sequence[PlacedFile], seconds: float) -> Iterator[np.ndarray]:
    """Mix sound files as a film has them: what gets too loud together is cut off at the loudest there is.

    Args:
        placed: The files.
        seconds: Length of the film.

    Yields:
        float32 ``[2, BLOCK]`` in [-1, 1], left and right; the last block may be shorter.

    Raises:
        ImportError: If PyAV is not installed.
        OSError: If a file is missing.
        SoundError: If one is damaged.
    """
    length = round(seconds * SAMPLE_RATE)
    sources = [_Source(one) for one in placed]
    for start in range(0, length, BLOCK):
        mixed = np.zeros((2, min(BLOCK, length - start)), np.float32)
        for source in sources:
            source.add(mixed, start)
        yield np.clip(mixed, -1, 1)


class _Source:
    """A file that is read as far as the mix has come."""

    def __init__(self, placed: PlacedFile) -> None:
        self._blocks = _samples(placed.path)
        self._start = round(placed.offset_seconds * SAMPLE_RATE)
        """Where the samples that are read begin in the film."""
        self._read = np.zeros((2, 0), np.float32)
        self._gain = np.float32(10 ** (placed.gain_db / 20))

    def add(self, mixed: np.ndarray, start: int) -> None:
        """Add what is heard in a block that begins at sample `start`; blocks come in order."""
        end = start + mixed.shape[1]
        while self._start + self._read.shape[1] < end and (block := next(self._blocks, None)) is not None:
            passed = max(0, min(start - self._start, self._read.shape[1]))
            self._read = np.concatenate([self._read[:, passed:], block], 1)
            self._start += passed
        first, last = max(start, self._start), min(end, self._start + self._read.shape[1])
        if first < last:
            heard = self._read[:, first - self._start : last - self._start]
            mixed[:, first - start : last - start] += heard * self._gain


def _samples(path: Path) -> Iterator[np.ndarray]:
    """Decode a file: float32 ``[2, N]``."""
    with path.open("rb") as file:
        kind = sound_kind(file.read(16))
        file.seek(0)
        with _sound_errors(), ExitStack() as opened:
            container = opened.enter_context(pyav().open(file, format=_DEMUXERS.get(kind or "", "wav")))
            if not container.streams.audio:
                raise SoundError(_SILENT)
            layout = "mono" if container.streams.audio[0].channels == 1 else "stereo"
            resampler = pyav().AudioResampler(format="fltp", layout=layout, rate=SAMPLE_RATE)
            for frame in container.decode(audio=0):
                yield from _arrays(resampler.resample(frame))
            yield from _arrays(resampler.resample(None))


def _arrays(frames: Iterable[Any]) -> Iterator[np.ndarray]:
    for frame in frames:
        yield np.repeat(samples, 2, 0) if len(samples := frame.to_ndarray()) == 1 else samples


@contextmanager
def _sound_errors() -> Iterator[None]:
    """What FFmpeg says of a damaged file, as a sentence."""
    try:
        yield
    except pyav().FFmpegError as error:
        raise SoundError(
            f"the sound cannot be decoded ({error.strerror}); save it anew as WAV or FLAC"
        ) from error


def _loudest(rows: np.ndarray) -> list[int]:
    """The peak of every row, 0 to 255."""
    return np.rint(np.minimum(np.nan_to_num(rows).max(1), 1) * 255).astype(int).tolist()
