"""Stories begun from files: a story file, a script, or a zip of a story with its pictures and sounds."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from fastapi import APIRouter, HTTPException, Request

from shotstream.media.pictures import decode_picture
from shotstream.media.sounds import SoundError, SoundFacts, read_sound
from shotstream.media.story_zip import StoryZip, ZipError
from shotstream.serving.protocol.commands import Sound
from shotstream.serving.protocol.events import Limits, Refused
from shotstream.serving.protocol.refusal import Refusal
from shotstream.serving.studio import Studio
from shotstream.serving.web.answers import PROBLEMS, TheStudio, keep_body
from shotstream.serving.web.bodies import Began
from shotstream.serving.web.exports import keep_picture
from shotstream.serving.web.shots_in_a_row import in_a_row
from shotstream.serving.web.story_files import (
    FILE_BODY,
    MOST_FILE_BYTES,
    begin_script,
    check_script,
    content_form,
    read_file,
    read_story,
)
from shotstream.story import Story, StorySound

router = APIRouter(prefix="/api", tags=["stories"], responses=PROBLEMS)

_ZIP_KINDS = ("application/zip", "application/x-zip-compressed")
MOST_PICTURES = 100
"""Different ones of one zip."""


_BODY = {
    "requestBody": {
        "required": True,
        "description": "A story file, a script, or a zip of a story file with its pictures and sounds.",
        "content": FILE_BODY["requestBody"]["content"]
        | {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@dataclass(frozen=True)
class _BroughtSound:
    """A sound file of a zip, which can be read, and where it is heard."""

    placed: StorySound
    facts: SoundFacts


@router.post("/stories/import", status_code=201, openapi_extra=_BODY)
async def import_story(studio: TheStudio, request: Request) -> Began:
    """Begin a story from a story file, a script, or a zip as `story.zip` is, all its shots queued."""
    if content_form(request) in _ZIP_KINDS:
        return await import_zip(studio, request)
    script, notes = await read_file(studio, request)
    if script.sounds:
        notes = [*notes, "The story's sounds are files on another machine: bring them to it once more."]
    return Began(story=await begin_script(studio, script), notes=notes)


async def import_zip(studio: Studio, request: Request) -> Began:
    """Begin a story from a zip that is sent, all its shots queued, with its pictures and sounds.

    All of it is looked at before anything is kept.

    Raises:
        HTTPException: 413 or 422, if it is too large or cannot be used.
        Refusal: If it is too much, or cannot be begun now.
    """
    await asyncio.to_thread(studio.quotas.check_story)
    with TemporaryDirectory(dir=studio.exports) as folder:
        path = Path(folder) / "story.zip"
        await keep_body(request, path, most_zip_bytes(studio.limits))
        try:
            with await studio.aside(StoryZip, path) as archive:
                return await _begin(studio, archive, Path(folder))
        except ZipError as error:
            raise HTTPException(422, str(error)) from error


def most_zip_bytes(limits: Limits) -> int:
    """How large a zip may be: as large as the sounds and pictures that it may have."""
    return limits.sounds * limits.sound_bytes + MOST_PICTURES * limits.upload_bytes + MOST_FILE_BYTES


async def _begin(studio: Studio, archive: StoryZip, folder: Path) -> Began:
    data = await studio.aside(archive.read, archive.story_name, MOST_FILE_BYTES)
    told, notes = await studio.aside(read_story, data, archive.story_name, studio.model.loras)
    script, left_out = in_a_row(told)
    await studio.aside(_check_files, archive, script, studio.limits)
    check_script(script, studio.model.made_with, has_pictures=True)
    sounds = [
        _BroughtSound(placed, await studio.aside(_sound_facts, archive, placed.sound, folder, studio.limits))
        for placed in script.sounds
    ]
    uploads: dict[str, str] = {}
    for name in sorted(script.picture_names):
        picture = await studio.aside(archive.read, name, studio.limits.upload_bytes)
        uploads[name] = await keep_picture(studio, picture)
    story = await begin_script(studio, script, uploads=uploads)
    try:
        left_out += await _let_be_heard(studio, story, archive, sounds)
    except BaseException:
        await studio.move_to_trash(story)
        raise
    return Began(story=story, notes=[*notes, *left_out])


def _check_files(archive: StoryZip, script: Story, limits: Limits) -> None:
    """See that a zip has what its story names, and that the pictures can be read."""
    pictures = sorted(script.picture_names)
    if len(pictures) > MOST_PICTURES:
        raise ZipError(f"the story has {len(pictures)} pictures; {MOST_PICTURES} are taken at most")
    if len(script.sounds) > limits.sounds:
        raise ZipError(f"the story has {len(script.sounds)} sounds; {limits.sounds} are taken at most")
    for name in pictures:
        try:
            decode_picture(archive.read(name, limits.upload_bytes))
        except ZipError:
            raise
        except ValueError as error:
            raise ZipError(f"{name!r} in the zip: {error}") from error


def _sound_facts(archive: StoryZip, name: str, folder: Path, limits: Limits) -> SoundFacts:
    path = folder / "sound"
    path.write_bytes(archive.read(name, limits.sound_bytes))
    try:
        return read_sound(path, limits.sound_seconds)
    except SoundError as error:
        raise ZipError(f"{name!r} in the zip: {error}") from error


async def _let_be_heard(
    studio: Studio, story: str, archive: StoryZip, sounds: list[_BroughtSound]
) -> list[str]:
    """Place the sounds, and return notes of those that were left out: a studio plays a file once."""
    heard: set[str] = set()
    notes: list[str] = []
    for number, brought in enumerate(sounds):
        placed = brought.placed
        data = await studio.aside(archive.read, placed.sound, studio.limits.sound_bytes)
        name = Path(placed.sound).name
        kept = await studio.aside(studio.store.add_sound, story, data, name, brought.facts)
        if kept.sound in heard:
            notes.append(
                f"The sound “{name}” is heard twice or more in the story, here once: bring a file "
                f"that differs for {placed.offset_seconds:g} s."
            )
            continue
        heard.add(kept.sound)
        command = Sound(
            id=f"file-sound-{number}",
            sound=kept.sound,
            offset_seconds=placed.offset_seconds,
            gain_db=placed.gain_db,
        )
        answer = await studio.direct(story, command)
        if isinstance(answer, Refused):
            raise Refusal(answer.code, answer.message)
    return notes
