"""A story as other programs take it: films, a timeline for editing, subtitles, and a story to tell again."""

from __future__ import annotations

import json
import unicodedata
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import ZipInfo

import numpy as np

from shotstream.media.files import atomic_path, write_errors
from shotstream.media.films import remux
from shotstream.media.final_draft import write_final_draft
from shotstream.media.live import decode_chunk, encode_chunk
from shotstream.media.script_writing import write_fountain, write_markdown, write_text_script
from shotstream.media.shot_table import write_table
from shotstream.media.sounds import PlacedFile, mix_sounds
from shotstream.media.timeline import (
    TimelineShot,
    TimelineSound,
    edit_decision_list,
    final_cut_xml,
    subtitles,
    timeline,
)
from shotstream.serving.delivery.clips import access_units, read_clip
from shotstream.serving.journal_takes import made_takes
from shotstream.serving.protocol.commands import SheetCharacter
from shotstream.serving.protocol.events import PlacedSound, ShotCard, in_film
from shotstream.serving.storage.sound_table import StoredSound
from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import StoredChunk, StoredStory, StoreError
from shotstream.story import CastCharacter, Story, StorySound
from shotstream.streaming.exported import NOTHING_SHOT

_NAME_CHARACTERS = 60
_PICTURE_PREFIX = "reference-"


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
    number: int
    """Its place in the film, from 1."""

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
            clip=f"{self.number:03d}.mp4",
            in_frame=self.card.in_frame,
            out_frame=self.card.out_frame,
        )


@dataclass(frozen=True)
class StoryFilm:
    """A story as it stands in the library, with all that was made of it."""

    title: str
    setting: str
    seed: int
    fps: float
    shots: Sequence[FilmShot]
    store: Store
    stored: StoredStory
    sounds: Sequence[PlacedSound] = ()
    """What is heard with it."""
    cast: Sequence[SheetCharacter] = ()
    """Who is called by name in it."""

    @classmethod
    def of(cls, store: Store, story: str) -> StoryFilm:
        """Read a story.

        Raises:
            NoStory: If there is none.
            StoreError: If nothing of it was made yet.
        """
        stored, snapshot = store.load(story), store.snapshot(story)
        cards = in_film(snapshot.shots)
        taken = [(card, store.take_chunks(story, card.number, card.take)) for card in cards]
        made = ((card, chunks) for card, chunks in taken if chunks)
        shots = [FilmShot(card, chunks, number) for number, (card, chunks) in enumerate(made, 1)]
        if not shots:
            raise StoreError(NOTHING_SHOT)
        fps = stored.made_with.fps
        heard, cast = snapshot.sounds, snapshot.cast
        return cls(stored.title, stored.setting, stored.seed, fps, shots, store, stored, heard, cast)

    @property
    def name(self) -> str:
        """What an editing program shows."""
        return self.title or self.setting or self.shots[0].card.prompt

    @property
    def timeline(self) -> str:
        """As OpenTimelineIO; it names the clips that `write_clips` writes."""
        return timeline(self.name, self.fps, [shot.timeline for shot in self.shots], self._heard)

    @property
    def edl(self) -> str:
        """As an edit decision list, likewise."""
        try:
            return edit_decision_list(self.name, self.fps, [shot.timeline for shot in self.shots])
        except ValueError as error:
            raise StoreError(str(error)) from error

    @property
    def xml(self) -> str:
        """As XML of Final Cut Pro 7, likewise."""
        return final_cut_xml(self.name, self.fps, [shot.timeline for shot in self.shots], self._heard)

    @property
    def _heard(self) -> list[TimelineSound]:
        placed = ((sound, self._sound_file(sound)) for sound in self.sounds)
        return [
            TimelineSound(_sound_name(file), file.seconds, sound.offset_seconds, sound.gain_db)
            for sound, file in placed
        ]

    @property
    def subtitles(self) -> str:
        """The prompts as SRT."""
        return subtitles(self.fps, [shot.timeline for shot in self.shots])

    @property
    def prompts(self) -> list[str]:
        """What every shot was asked for first."""
        return [shot.timeline.prompts[0][1] for shot in self.shots]

    @property
    def text(self) -> str:
        """As a script in plain text."""
        return write_text_script(self.prompts)

    @property
    def markdown(self) -> str:
        """As a script in Markdown."""
        return write_markdown(self.title, self.setting, self.prompts)

    @property
    def fountain(self) -> str:
        """As a script in Fountain."""
        return write_fountain(self.title, self.setting, self.prompts)

    @property
    def table(self) -> str:
        """Its shots as CSV."""
        return write_table(self.story.shots)

    @property
    def final_draft(self) -> str:
        """As a script of Final Draft: the setting, and what every shot was asked for first."""
        return write_final_draft(self.title, self.setting, self.prompts)

    @property
    def story(self) -> Story:
        """A story file that tells the same film again; `write_story` has the pictures that it names.

        Raises:
            StoreError: If it cannot be put into a story file.
        """
        cards = (shot.card for shot in self.shots)
        trims = {(card.number, card.take): (card.in_frame, card.out_frame) for card in cards}
        made = replace(made_takes(self.store, self.stored, _picture_name), trims=trims)
        size = self.stored.made_with
        try:
            return made.story(
                title=self.title or None,
                setting=self.setting,
                cast=[
                    CastCharacter(
                        name=one.name,
                        description=one.description,
                        pictures=[_picture_name(upload) for upload in one.pictures],
                    )
                    for one in self.cast
                ],
                seed=self.seed,
                height=size.height,
                width=size.width,
                sounds=[
                    StorySound(
                        sound=_sound_name(self._sound_file(sound)),
                        offset_seconds=sound.offset_seconds,
                        gain_db=sound.gain_db,
                    )
                    for sound in self.sounds
                ],
            )
        except ValueError as error:
            raise StoreError(str(error)) from error

    @property
    def yaml(self) -> str:
        """`story` as YAML."""
        return self.story.yaml_text()

    @property
    def json(self) -> str:
        """Everything that is known of the shots."""
        facts: dict[str, Any] = {"title": self.title, "setting": self.setting}
        facts |= {"seed": self.seed, "fps": self.fps}
        shots = [shot.card.model_dump(mode="json") | {"frames": shot.timeline.frames} for shot in self.shots]
        facts["sounds"] = [sound.model_dump(mode="json") for sound in self.sounds]
        facts["cast"] = [one.model_dump(mode="json") for one in self.cast]
        return json.dumps(facts | {"shots": shots}, indent=2, ensure_ascii=False) + "\n"

    def write(self, path: Path) -> None:
        """Write the whole film, MP4: of every shot the frames from its in point to its out point.

        Nothing is encoded again, but for what is left of a chunk that an in point lies in.

        Raises:
            MediaError: If it cannot be written.
            StoreError: If a clip is missing.
        """
        parts = (
            _shown_units(chunk, shot.timeline.shown, self.fps, f"shot {shot.number}")
            for shot in self.shots
            for chunk in shot.chunks
        )
        remux((units for units in parts if units), self.fps, path, self._sound())

    def _sound(self) -> Iterator[np.ndarray] | None:
        """What is heard with the film; None if nothing is."""
        placed = [
            PlacedFile(self._sound_file(sound).path, sound.offset_seconds, sound.gain_db)
            for sound in self.sounds
        ]
        seconds = sum(len(shot.timeline.shown) for shot in self.shots) / self.fps
        return mix_sounds(placed, seconds) if placed else None

    def _sound_file(self, sound: PlacedSound) -> StoredSound:
        found = self.store.find_sound(self.stored.id, sound.sound)
        if found is None or not found.path.is_file():
            raise StoreError(f"the sound {sound.sound} is missing; send it again, or take it off the film")
        return found

    def _add_sounds(self, archive: zipfile.ZipFile) -> None:
        for sound in self.sounds:
            file = self._sound_file(sound)
            archive.writestr(_entry(_sound_name(file)), file.path.read_bytes())

    def write_story(self, path: Path) -> None:
        """Write a zip with the story file, and the pictures and sounds that it names.

        Raises:
            MediaError: If it cannot be written.
            StoreError: If it cannot be put into a story file, or a picture is missing.
        """
        story = self.story
        with atomic_path(path) as part, write_errors(path), zipfile.ZipFile(part, "w") as archive:
            archive.writestr(_entry("story.yaml"), story.yaml_text())
            for name in sorted(story.picture_names):
                upload = name.removeprefix(_PICTURE_PREFIX).removesuffix(".png")
                file = self.store.picture_file(upload)
                if not file.is_file():
                    raise StoreError(f"the picture {file} is missing; put it back from a copy of the library")
                archive.writestr(_entry(name), file.read_bytes())
            self._add_sounds(archive)

    def write_clips(self, path: Path) -> None:
        """Write a zip with a film per shot, untrimmed, the sounds, timelines that name them, and subtitles.

        Raises:
            MediaError: If it cannot be written.
            StoreError: If a clip is missing.
        """
        with atomic_path(path) as part, write_errors(path), zipfile.ZipFile(part, "w") as archive:
            for shot in self.shots:
                clip = path.with_name(f"{path.stem}-{shot.timeline.clip}")
                write_take(shot.chunks, self.fps, clip, shot=f"shot {shot.number}")
                archive.writestr(_entry(shot.timeline.clip), clip.read_bytes())
                clip.unlink()
            self._add_sounds(archive)
            archive.writestr(_entry("timeline.otio"), self.timeline)
            archive.writestr(_entry("timeline.xml"), self.xml)
            with suppress(StoreError):  # the other timelines have room for more shots
                archive.writestr(_entry("timeline.edl"), self.edl)
            archive.writestr(_entry("subtitles.srt"), self.subtitles)


def write_take(chunks: Sequence[StoredChunk], fps: float, path: Path, *, shot: str) -> None:
    """Write chunks as a film, MP4, as they were shown: nothing is encoded again.

    Args:
        chunks: Those of a take.
        fps: Frames per second.
        path: The file.
        shot: What people call its shot.

    Raises:
        MediaError: If it cannot be written.
        StoreError: If a clip is missing.
    """
    remux((_units(chunk, shot) for chunk in chunks), fps, path)


def _entry(name: str) -> ZipInfo:
    """A file of a zip, without the time when it was put in: the same film is the same zip."""
    entry = ZipInfo(name)
    entry.external_attr = 0o644 << 16
    return entry


def _units(chunk: StoredChunk, shot: str) -> list[bytes]:
    try:
        return access_units(read_clip(chunk))
    except OSError as error:
        raise StoreError(
            f"the video of {shot}, take {chunk.take + 1}, chunk {chunk.chunk + 1} is missing or damaged; "
            "open the story in the studio, so that it is made again, then try once more"
        ) from error


def _shown_units(chunk: StoredChunk, shown: range, fps: float, shot: str) -> list[bytes]:
    """The access units of a chunk that are shown; a first one that is no keyframe is encoded as one."""
    first, last = shown.start - chunk.first_frame, shown.stop - chunk.first_frame
    if last <= 0 or first >= chunk.frames:
        return []
    units = _units(chunk, shot)[:last]
    return units if first <= 0 else encode_chunk(decode_chunk(units)[first:], fps)


def _sound_name(sound: StoredSound) -> str:
    return f"sound-{sound.sound[:12]}{sound.path.suffix}"


def _picture_name(upload: str) -> str:
    return f"{_PICTURE_PREFIX}{upload}.png"
