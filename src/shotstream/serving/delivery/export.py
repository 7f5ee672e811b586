"""A story as other programs take it: films, a timeline for editing, subtitles, and a story to tell again."""

from __future__ import annotations

import json
import unicodedata
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shotstream.media.documents import as_yaml
from shotstream.media.files import atomic_path, write_errors
from shotstream.media.films import remux
from shotstream.media.timeline import TimelineShot, subtitles, timeline
from shotstream.serving.delivery.clips import access_units, read_clip
from shotstream.serving.protocol.events import ShotCard
from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import StoredChunk, StoreError
from shotstream.story import Shot, Story

_NAME_CHARACTERS = 60


def file_name(text: str, otherwise: str) -> str:
    """Make the name of a file, without its suffix, from what a person wrote.

    Args:
        text: Anything.
        otherwise: The name if `text` has neither letters nor digits.

    Returns:
        Its letters and digits of any script, in lower case, and a single hyphen for whatever is between them:
        at most 60 characters, whole words unless the first one is longer.
    """
    plain = unicodedata.normalize("NFKC", text).lower()
    words = "".join(letter if unicodedata.category(letter)[0] in "LMN" else " " for letter in plain).split()
    name = "-".join(words)
    if len(name) > _NAME_CHARACTERS:
        name = name[: _NAME_CHARACTERS + 1].rpartition("-")[0] or name[:_NAME_CHARACTERS]
    return name or otherwise


@dataclass(frozen=True)
class FilmShot:
    """A shot of the film: the take that the storyboard shows."""

    card: ShotCard
    chunks: Sequence[StoredChunk]

    @property
    def timeline(self) -> TimelineShot:
        """As it stands on the timeline."""
        prompts = [
            (chunk.first_frame, chunk.prompt)
            for before, chunk in zip([None, *self.chunks], self.chunks, strict=False)
            if before is None or before.prompt != chunk.prompt
        ]
        return TimelineShot(
            prompts=prompts,
            frames=sum(chunk.frames for chunk in self.chunks),
            seed=self.card.seed,
            take=self.card.take,
            clip=f"{self.card.number + 1:03d}.mp4",
        )


@dataclass(frozen=True)
class StoryFilm:
    """A story as it stands in the library, with all that was made of it."""

    title: str
    setting: str
    seed: int
    fps: float
    shots: Sequence[FilmShot]

    @classmethod
    def of(cls, store: Store, story: str) -> StoryFilm:
        """Read a story.

        Raises:
            NoStory: If there is none.
            StoreError: If nothing of it was made yet.
        """
        stored, snapshot = store.load(story), store.snapshot(story)
        cards = [card for card in snapshot.shots if card.state != "deleted"]
        shots = [FilmShot(card, store.take_chunks(story, card.number, card.take)) for card in cards]
        shots = [shot for shot in shots if shot.chunks]
        if not shots:
            raise StoreError("the story has no pictures yet; shoot something first")
        return cls(stored.title, stored.setting, stored.seed, stored.made_with.fps, shots)

    @property
    def name(self) -> str:
        """What an editing program shows."""
        return self.title or self.setting or self.shots[0].card.prompt

    @property
    def timeline(self) -> str:
        """As OpenTimelineIO; it names the clips that `write_clips` writes."""
        return timeline(self.name, self.fps, [shot.timeline for shot in self.shots])

    @property
    def subtitles(self) -> str:
        """The prompts as SRT."""
        return subtitles(self.fps, [shot.timeline for shot in self.shots])

    @property
    def story(self) -> Story:
        """A story file that tells it again, as far as one can: a redirected shot is told its first prompt."""
        shots = [
            Shot(
                prompt=shot.chunks[0].prompt, chunks=len(shot.chunks), seed=_other(shot.card.seed, self.seed)
            )
            for shot in self.shots
        ]
        return Story(title=self.title or None, setting=self.setting, seed=self.seed, shots=shots)

    @property
    def yaml(self) -> str:
        """`story` as YAML."""
        return as_yaml(self.story.model_dump(exclude_none=True))

    @property
    def json(self) -> str:
        """Everything that is known of the shots."""
        facts: dict[str, Any] = {"title": self.title, "setting": self.setting}
        facts |= {"seed": self.seed, "fps": self.fps}
        shots = [shot.card.model_dump(mode="json") | {"frames": shot.timeline.frames} for shot in self.shots]
        return json.dumps(facts | {"shots": shots}, indent=2, ensure_ascii=False) + "\n"

    def write(self, path: Path) -> None:
        """Write the whole film, MP4.

        Raises:
            MediaError: If it cannot be written.
            StoreError: If a clip is missing.
        """
        write_take([chunk for shot in self.shots for chunk in shot.chunks], self.fps, path)

    def write_clips(self, path: Path) -> None:
        """Write a zip with a film per shot, the timeline that names them, and the subtitles.

        Raises:
            MediaError: If it cannot be written.
            StoreError: If a clip is missing.
        """
        with atomic_path(path) as part, write_errors(path), zipfile.ZipFile(part, "w") as archive:
            for shot in self.shots:
                clip = path.with_name(f"{path.stem}-{shot.timeline.clip}")
                write_take(shot.chunks, self.fps, clip)
                archive.write(clip, shot.timeline.clip)
                clip.unlink()
            archive.writestr("timeline.otio", self.timeline)
            archive.writestr("subtitles.srt", self.subtitles)


def write_take(chunks: Sequence[StoredChunk], fps: float, path: Path) -> None:
    """Write chunks as a film, MP4, as they were shown: nothing is encoded again.

    Raises:
        MediaError: If it cannot be written.
        StoreError: If a clip is missing.
    """
    remux((_units(chunk) for chunk in chunks), fps, path)


def _units(chunk: StoredChunk) -> list[bytes]:
    try:
        return access_units(read_clip(chunk))
    except OSError as error:
        raise StoreError(
            f"the video of shot {chunk.shot + 1}, chunk {chunk.chunk + 1} is missing or damaged; open the "
            "story in the studio, so that it is made again, then try once more"
        ) from error


def _other(seed: int, usual: int) -> int | None:
    return None if seed == usual else seed
