"""HTTP for the sound files of a story; `sound` and `silence` are commands."""

from __future__ import annotations

import asyncio
from pathlib import Path as FilePath
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query, Request
from fastapi.responses import FileResponse, Response

from shotstream.media.sounds import SOUND_KINDS, SoundError, read_sound
from shotstream.serving.protocol.commands import SoundName
from shotstream.serving.protocol.refusal import Refusal
from shotstream.serving.storage.sound_table import StoredSound
from shotstream.serving.studio import Studio
from shotstream.serving.web.answers import PROBLEMS, StoryPath, TheStudio, gives, keep_body
from shotstream.serving.web.bodies import SoundRead
from shotstream.story import Title

router = APIRouter(prefix="/api/stories/{story}/sounds", tags=["sounds"], responses=PROBLEMS)

SoundPath = Annotated[SoundName, Path(description="32 characters, as the story lists them.")]
_MEDIA_TYPES = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "m4a": "audio/mp4",
}
_READING = Lock()
"""One file at a time: a long one takes seconds in which chunks are made at half the speed."""
_FOR_EVER = {"Cache-Control": "private, max-age=31536000, immutable"}
_BODY = {
    "requestBody": {
        "required": True,
        "description": f"The file: {', '.join(SOUND_KINDS).upper()}.",
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}}
            for kind in (*_MEDIA_TYPES.values(), "application/octet-stream")
        },
    }
}


@router.get("")
async def list_sounds(studio: TheStudio, story: StoryPath) -> list[SoundRead]:
    """List the sound files of a story, heard or not, with those of the stories that it branched off."""
    return [_said(sound) for sound in await asyncio.to_thread(studio.store.sounds, story)]


@router.post("", status_code=201, openapi_extra=_BODY)
async def add_sound(
    studio: TheStudio, story: StoryPath, request: Request, name: Annotated[Title, Query()] = ""
) -> SoundRead:
    """Take in a sound file; `sound` then lets it be heard. The same file has the same name again."""
    await asyncio.to_thread(_check_room, studio, story)
    with TemporaryDirectory(dir=studio.exports) as folder:
        path = FilePath(folder) / "sound"
        await keep_body(request, path, studio.limits.sound_bytes)
        return _said(await studio.aside(_keep, studio, story, path, name))


@router.get("/{sound}", response_class=Response, responses=gives("audio/*"))
async def sound_file(studio: TheStudio, story: StoryPath, sound: SoundPath) -> FileResponse:
    """A sound file, as it was brought."""
    found = await _find(studio, story, sound)
    if not found.path.is_file():
        raise HTTPException(404, f"the file of the sound {sound} is missing; send it again")
    kind = _MEDIA_TYPES[found.path.suffix.removeprefix(".")]
    return FileResponse(found.path, media_type=kind, headers=_FOR_EVER)


@router.get("/{sound}/waveform")
async def waveform(studio: TheStudio, story: StoryPath, sound: SoundPath, response: Response) -> list[int]:
    """The loudest sample of every twentieth of a second, 0 to 255."""
    response.headers.update(_FOR_EVER)
    return (await _find(studio, story, sound)).peaks


async def _find(studio: Studio, story: str, sound: str) -> StoredSound:
    found = await asyncio.to_thread(studio.store.find_sound, story, sound)
    if found is None:
        raise HTTPException(404, f"there is no sound {sound} in this story")
    return found


def _check_room(studio: Studio, story: str) -> None:
    studio.quotas.check_disk()
    sounds = len(studio.store.sounds(story))
    if sounds >= studio.limits.sounds:
        raise Refusal("limit", f"the story has {sounds} sound files, the most there can be")


def _keep(studio: Studio, story: str, path: FilePath, name: str) -> StoredSound:
    with _READING:
        try:
            facts = read_sound(path, studio.limits.sound_seconds)
        except SoundError as error:
            raise HTTPException(422, str(error)) from error
        return studio.store.add_sound(story, path.read_bytes(), name or f"sound.{facts.kind}", facts)


def _said(sound: StoredSound) -> SoundRead:
    return SoundRead(sound=sound.sound, name=sound.name, seconds=sound.seconds)
