"""Story files and scripts: read, told, or told to the end and handed back as a film."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import FileResponse, Response
from pydantic import ValidationError

from shotstream.media.documents import Document, decode_text
from shotstream.media.faults import say_fault
from shotstream.media.scripts import read_script
from shotstream.media.shot_table import looks_like_table, read_table
from shotstream.media.story_values import looks_like_story
from shotstream.serving.delivery.viewers import Viewer
from shotstream.serving.protocol.commands import (
    Cast,
    Command,
    PlannedShot,
    Playhead,
    SheetCharacter,
    Shoot,
    Stop,
    UploadedPicture,
)
from shotstream.serving.protocol.events import Refused
from shotstream.serving.protocol.messages import VideoHeader
from shotstream.serving.protocol.refusal import Refusal
from shotstream.serving.protocol.states import State
from shotstream.serving.storage.stored import MadeWith
from shotstream.serving.studio import Studio
from shotstream.serving.web.answers import PROBLEMS, TheStudio, gives, read_body
from shotstream.serving.web.bodies import ScriptRead
from shotstream.serving.web.exports import send_film
from shotstream.story import MOST_TITLE_CHARACTERS, CastCharacter, ReferencePicture, Shot, Story, StoryError

MOST_FILE_BYTES = 2**20
MOST_FINAL_DRAFT_BYTES = 4 * 2**20
"""XML is wordy: a script of 120 pages has more than a megabyte."""
_LOOK_AGAIN_SECONDS = 1.0
_TELL = "tell this file with `shotstream generate`"
_READING = Lock()
"""One file at a time: a large one takes seconds in which chunks are made at half the speed."""

router = APIRouter(prefix="/api", tags=["stories"], responses=PROBLEMS)

_SCRIPTS = {
    "plain": "txt",
    "markdown": "md",
    "x-fountain": "fountain",
    "x-fdx": "fdx",
    "xml": "fdx",
    "csv": "csv",
}
"""Subtype of ``text/`` -> kind of script."""

_UNTYPED = ("", "application/octet-stream", "application/x-www-form-urlencoded")
"""What programs send that do not say what a file is; it is read as YAML."""

FILE_BODY: dict[str, dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "A story file (YAML, JSON), or a script: text, Markdown, Fountain, Final Draft, CSV.",
        "content": {
            "application/json": {"schema": {"type": "object"}},
            **{
                f"text/{kind}": {"schema": {"type": "string", "maxLength": MOST_FILE_BYTES}}
                for kind in ("yaml", *_SCRIPTS)
            },
        },
    }
}


def content_form(request: Request) -> str:
    """The media type of what is sent; empty if nothing is said of it."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_file(studio: TheStudio, request: Request) -> tuple[Story, list[str]]:
    """Read the body as a story file."""
    kind = content_form(request)
    script = _SCRIPTS.get(kind.removeprefix("text/"))
    data = await read_body(request, MOST_FINAL_DRAFT_BYTES if script == "fdx" else MOST_FILE_BYTES)
    if script:
        return await studio.aside(_read_script, data, script, studio.model.loras)
    if not ("json" in kind or "yaml" in kind or kind in _UNTYPED):
        raise HTTPException(
            422,
            f"{kind} is no story; send YAML (text/yaml), JSON (application/json) or a script (text/plain, "
            "text/markdown, text/x-fountain, text/csv)",
        )
    name = f"story.{'json' if 'json' in kind else 'yaml'}"
    script, notes = await studio.aside(read_story, data, name, studio.model.loras)
    if any(one.pictures for one in script.cast):
        notes = [*notes, f"{name}: pictures of the cast are on another machine; add them on the page."]
    return script, notes


StoryFile = Annotated[tuple[Story, list[str]], Depends(read_file)]
"""A story, and notes of what may be meant otherwise."""


@router.post("/scripts", openapi_extra=FILE_BODY)
async def read_a_script(studio: TheStudio, file: StoryFile) -> ScriptRead:
    """Read a story file or script, and tell nothing."""
    script, _ = file
    check_script(script, studio.model.made_with)
    try:
        shots = [PlannedShot(**_fields_of(script, shot)) for shot in script.shots]
    except ValidationError as error:
        raise _untold(error) from error
    return ScriptRead(title=script.title or "", setting=script.setting, cast=_sheet(script), shots=shots)


@router.post("/films", openapi_extra=FILE_BODY, response_class=Response, responses=gives("video/mp4"))
async def make_film(studio: TheStudio, file: StoryFile, request: Request) -> FileResponse:
    """Tell a whole story and answer with the film, MP4; it is kept in the library too.

    Whoever hangs up stops the story.
    """
    viewer = Viewer()
    story = await begin_script(studio, file[0])
    await studio.join(story, viewer)
    try:
        while not is_told(studio, story):
            if await request.is_disconnected():
                await studio.direct(story, Stop(id="hung-up"))
                raise HTTPException(499, "nobody waits for the film any more")
            await watch(studio, story, viewer)
    finally:
        studio.leave(story, viewer)
    return await send_film(studio, story)


async def begin_script(
    studio: Studio,
    script: Story,
    before: Sequence[Command] = (),
    uploads: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Begin a story and queue its shots; one that is refused takes the story with it.

    Args:
        studio: Where it is told.
        script: Shots in a row, see `docs/stories.md`.
        before: Commands that come before the first shot.
        uploads: Pictures that it names, by their paths, as they were kept in the library.

    Returns:
        The story's id.

    Raises:
        HTTPException: 422, if the script needs more than the studio has.
        Refusal: If it is too much, or cannot be begun now.
    """
    check_script(script, studio.model.made_with, has_pictures=bool(uploads))
    try:
        shots = [
            Shoot(
                id=f"file-{number}",
                take=shot.take or None,
                after=True,
                references=pictures or None,
                **_fields_of(script, shot),
            )
            for number, (shot, pictures) in enumerate(
                zip(script.shots, _new_pictures(script, uploads), strict=True)
            )
        ]
    except ValidationError as error:
        raise _untold(error) from error
    story = await studio.begin(script.setting, script.seed, script.title or "")
    cast = [Cast(id="file-cast", cast=_sheet(script, uploads))] if script.cast else []
    for command in (*cast, *before, *shots):
        answer = await studio.direct(story, command)
        if isinstance(answer, Refused):
            await studio.move_to_trash(story)
            raise Refusal(answer.code, answer.message)
    return story


def _sheet(script: Story, uploads: Mapping[str, str] = MappingProxyType({})) -> list[SheetCharacter]:
    """The cast of a story file, with those of its pictures that are here."""
    return [
        SheetCharacter(
            name=one.name,
            description=one.description,
            pictures=[uploads[picture] for picture in one.pictures if picture in uploads],
        )
        for one in script.cast
    ]


def _new_pictures(script: Story, uploads: Mapping[str, str]) -> Iterator[list[UploadedPicture]]:
    """The pictures that come to those of the shots before, shot by shot."""
    held: list[ReferencePicture] = []
    for number, shot in enumerate(script.shots):
        others = shot.references
        wanted = (script.references if number == 0 else held) if others is None else others
        yield [
            UploadedPicture(upload=uploads[one.picture], prompt=one.prompt)
            for one in wanted
            if one not in held
        ]
        held = wanted


def _fields_of(script: Story, shot: Shot) -> dict[str, Any]:
    """What a shot of a story file asks for, as fields of a planned shot."""
    names = ("prompt", "seconds", "chunks", "seed", "in_frame", "out_frame")
    return {name: getattr(shot, name) for name in names} | {"lora": script.lora_of(shot)}


def check_script(script: Story, model: MadeWith, *, has_pictures: bool = False) -> None:
    """See that a story file needs no more than shots in a row.

    Args:
        script: The story.
        model: What tells it.
        has_pictures: Whether the pictures that it names are here.

    Raises:
        HTTPException: 422, if it needs more.
    """
    if reason := _not_told_here(script, model, has_pictures):
        raise HTTPException(422, f"{reason}; {_TELL}")


def _not_told_here(script: Story, model: MadeWith, has_pictures: bool) -> str | None:
    size = script.width or model.width, script.height or model.height
    if size != (model.width, model.height):
        return f"the story has {size[0]}x{size[1]} pixels, the studio makes {model.width}x{model.height}"
    if script.references and not has_pictures:
        return "the story has references, which are pictures on another machine"
    for number, shot in enumerate(script.shots, start=1):
        names = (
            ("redirects", "pins", "remembers")
            if has_pictures
            else ("redirects", "pins", "references", "remembers")
        )
        if found := next((name for name in names if getattr(shot, name)), None):
            return f"shot {number} has {found}, which a studio takes only while one directs"
    return "the story has outtakes, which the studio cannot make" if script.outtakes else None


def _untold(error: ValidationError) -> HTTPException:
    return HTTPException(422, f"a shot cannot be told here: {say_fault(error.errors()[0])}")


def is_told(studio: Studio, story: str) -> bool:
    """Whether all shots are there.

    Raises:
        Refusal: If the story stands still.
    """
    live = studio.engine.find(story)
    if live is None:
        raise Refusal("not_now", "the story was put away before it was told")
    snapshot = live.snapshot
    if snapshot.state in (State.FAILED, State.PAUSED):
        raise Refusal("not_now", f"the story stands still: {snapshot.reason or 'it is paused'}")
    return snapshot.state is State.IDLE


async def watch(studio: Studio, story: str, viewer: Viewer) -> None:
    """Show what comes to nobody, at once: the engine waits for what is shown."""
    try:
        said = await asyncio.wait_for(viewer.next(), _LOOK_AGAIN_SECONDS)
    except TimeoutError:
        return
    if isinstance(said, list):
        header = VideoHeader.unpack(said[-1])
        studio.playhead(story, Playhead(shot=header.shot, take=header.take, frame=header.frame))


def read_story(data: bytes, name: str, loras: Sequence[str]) -> tuple[Story, list[str]]:
    """Read a story file; it names other files by their paths from its own.

    Args:
        data: What is in it.
        name: What it is called in what is said of it; the ending tells YAML from JSON.
        loras: Names of the LoRAs that there are.

    Raises:
        HTTPException: 422, with every mistake.
    """
    with _READING, TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        try:
            story, notes = Story.read_with_notes(path, loras)
        except StoryError as error:
            raise HTTPException(422, str(error).replace(str(path), name)) from error
    bare = story.with_files(lambda file: file.removeprefix(f"{folder}/"))
    return bare, [note.replace(str(path), name) for note in notes]


def _read_script(data: bytes, kind: str, loras: Sequence[str]) -> tuple[Story, list[str]]:
    with _READING:
        document = Document(Path(f"script.{kind}"))
        text = decode_text(data, document)
        if document.mistakes:
            raise HTTPException(422, document.report())
    if kind == "txt" and looks_like_story(text):  # YAML that an editor has saved as .txt
        return read_story(data, "story.yaml", loras)
    with _READING:
        try:
            if kind == "csv" or (kind == "txt" and looks_like_table(text)):
                story = Story(setting="", shots=read_table(text))
                if mistakes := list(story.lora_mistakes(loras)):
                    raise HTTPException(422, "\n".join(sentence for _, sentence in mistakes))
                return story, []
            script = read_script(text, kind)
            story = Story(
                title=script.title[:MOST_TITLE_CHARACTERS] or None,
                setting=script.setting,
                cast=[
                    CastCharacter(name=told, description=looks)
                    for told, looks in list(script.cast.items())[:32]
                ],
                shots=[Shot(prompt=prompt) for prompt in script.shots],
            )
            return story, []
        except ValidationError as error:
            raise _untold(error) from error
        except ValueError as error:
            raise HTTPException(422, str(error)) from error
