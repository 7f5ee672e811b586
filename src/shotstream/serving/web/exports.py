"""HTTP for what can be taken away: films, clips, timelines, subtitles, story files, stills, pictures."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path as FilePath
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Path, Query, Request
from fastapi.responses import FileResponse, Response, StreamingResponse
from starlette.background import BackgroundTask

from shotstream.media.films import FragmentedFilm
from shotstream.media.live import decode_chunk
from shotstream.media.pictures import decode_picture, encode_jpeg
from shotstream.serving.delivery.clips import LAST_OF_SHOT, access_units, read_clip
from shotstream.serving.delivery.export import StoryFilm, file_name, write_take
from shotstream.serving.delivery.viewers import TooSlow, Viewer
from shotstream.serving.protocol.events import ShotCard, number_in_film
from shotstream.serving.protocol.messages import VideoHeader
from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import StoredChunk, StoreError
from shotstream.serving.studio import Studio
from shotstream.serving.web.answers import PROBLEMS, StoryPath, TheStudio, gives, read_body
from shotstream.serving.web.bodies import Uploaded

router = APIRouter(prefix="/api", tags=["exports"], responses=PROBLEMS)

PICTURE_KINDS = ("image/jpeg", "image/png", "image/webp")
Number = Annotated[int, Path(ge=0, lt=2**31)]
QueryNumber = Annotated[int, Query(ge=0, lt=2**31)]
UploadName = Annotated[str, Path(pattern=r"^[a-z0-9]{1,64}$")]
UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "description": "The picture itself.",
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in PICTURE_KINDS},
    }
}
_LOOK_AGAIN_SECONDS = 1.0
_KEEPING = Lock()
"""One upload at a time: a large one takes much memory, and two of the same picture the same file."""
_FOR_EVER = {"Cache-Control": "private, max-age=31536000, immutable"}


async def send_film(studio: Studio, story: str) -> FileResponse:
    """Answer with the film of a story."""
    film = await _film(studio, story)
    return await _send_file(studio, film.write, f"{await _name(studio, story)}.mp4", "video/mp4")


async def keep_picture(studio: Studio, data: bytes) -> str:
    """Decode a picture and keep it; return its name in the library.

    Raises:
        HTTPException: 422, if it cannot be read.
        Refusal: If there may be no more pictures.
    """
    await studio.aside(studio.quotas.check_upload)

    def keep() -> str:
        with _KEEPING:
            try:
                pixels = decode_picture(data)
            except ValueError as error:
                raise HTTPException(422, str(error)) from error
            return studio.store.add_picture(pixels)

    return await studio.aside(keep)


@router.get("/stories/{story}/film.mp4", response_class=Response, responses=gives("video/mp4"))
async def film(studio: TheStudio, story: StoryPath) -> FileResponse:
    """The whole film, as it was shown."""
    return await send_film(studio, story)


@router.get("/stories/{story}/clips.zip", response_class=Response, responses=gives("application/zip"))
async def clips(studio: TheStudio, story: StoryPath) -> FileResponse:
    """A film per shot, with the timeline that names them and the subtitles."""
    film = await _film(studio, story)
    return await _send_file(studio, film.write_clips, f"{await _name(studio, story)}.zip", "application/zip")


@router.get("/stories/{story}/clips/{shot}/{take}.mp4", response_class=Response, responses=gives("video/mp4"))
async def clip(studio: TheStudio, story: StoryPath, shot: Number, take: Number) -> FileResponse:
    """One take."""
    chunks = await asyncio.to_thread(studio.store.take_chunks, story, shot, take)
    cards = (await studio.snapshot(story)).shots
    if not chunks:
        raise _missing(cards, shot, f"no take {take + 1}")
    await studio.make_whole(chunks)
    chunks = await asyncio.to_thread(studio.store.take_chunks, story, shot, take)
    fps = (await studio.made_with(story)).fps
    number = number_in_film(cards, shot)
    place = f"shot-{number}" if number else "deleted-shot"
    name = f"{await _name(studio, story)}-{place}-take-{take + 1}.mp4"
    write = partial(write_take, chunks, fps, shot=place.replace("-", " "))
    return await _send_file(studio, write, name, "video/mp4")


@router.get("/stories/{story}/live.mp4", response_class=Response, responses=gives("video/mp4"))
async def live(
    studio: TheStudio, story: StoryPath, shot: QueryNumber, take: QueryNumber, frame: QueryNumber = 0
) -> StreamingResponse:
    """One take as a film that grows while it is made, from the chunk that has a frame on (fragmented MP4).

    For browsers without WebCodecs. Every frame has the time that it has in the shot. It ends with the take,
    and where something had to be left out because it was fetched too slowly: ask again from there.
    """
    made = partial(_chunks_from, studio.store, story, shot, take, frame)
    if not await asyncio.to_thread(made):
        cards = (await studio.snapshot(story)).shots
        raise _missing(cards, shot, f"no frame {frame} of take {take + 1}", " yet")
    studio.check_viewers()
    return StreamingResponse(_growing(studio, story, made), media_type="video/mp4")


@router.get("/stories/{story}/timeline.otio", response_class=Response, responses=gives("application/json"))
async def timeline(studio: TheStudio, story: StoryPath) -> Response:
    """The film as a timeline for editing programs (OpenTimelineIO); `clips.zip` has the clips it names."""
    return await _send_text(studio, story, "timeline", "otio", "application/json")


@router.get("/stories/{story}/timeline.edl", response_class=Response, responses=gives("text/plain"))
async def edit_list(studio: TheStudio, story: StoryPath) -> Response:
    """The same as an edit decision list (CMX 3600)."""
    return await _send_text(studio, story, "edl", "edl", "text/plain")


@router.get("/stories/{story}/timeline.xml", response_class=Response, responses=gives("application/xml"))
async def edit_xml(studio: TheStudio, story: StoryPath) -> Response:
    """The same as XML of Final Cut Pro 7."""
    return await _send_text(studio, story, "xml", "xml", "application/xml")


@router.get(
    "/stories/{story}/subtitles.srt", response_class=Response, responses=gives("application/x-subrip")
)
async def subtitles(studio: TheStudio, story: StoryPath) -> Response:
    """The prompts as subtitles (SRT)."""
    return await _send_text(studio, story, "subtitles", "srt", "application/x-subrip")


@router.get("/stories/{story}/script.fdx", response_class=Response, responses=gives("application/xml"))
async def final_draft(studio: TheStudio, story: StoryPath) -> Response:
    """The setting and the prompts as a script of Final Draft."""
    return await _send_text(studio, story, "final_draft", "fdx", "application/xml")


@router.get("/stories/{story}/script.fountain", response_class=Response, responses=gives("text/x-fountain"))
async def fountain(studio: TheStudio, story: StoryPath) -> Response:
    """The same in Fountain."""
    return await _send_text(studio, story, "fountain", "fountain", "text/x-fountain")


@router.get("/stories/{story}/script.md", response_class=Response, responses=gives("text/markdown"))
async def markdown(studio: TheStudio, story: StoryPath) -> Response:
    """The same in Markdown."""
    return await _send_text(studio, story, "markdown", "md", "text/markdown")


@router.get("/stories/{story}/script.txt", response_class=Response, responses=gives("text/plain"))
async def plain_text(studio: TheStudio, story: StoryPath) -> Response:
    """The prompts alone, a paragraph for each shot."""
    return await _send_text(studio, story, "text", "txt", "text/plain")


@router.get("/stories/{story}/shots.csv", response_class=Response, responses=gives("text/csv"))
async def table(studio: TheStudio, story: StoryPath) -> Response:
    """The shots as a table: prompt, chunks, seed, take, points."""
    return await _send_text(studio, story, "table", "csv", "text/csv")


@router.get("/stories/{story}/story.yaml", response_class=Response, responses=gives("text/yaml"))
async def story_file(studio: TheStudio, story: StoryPath) -> Response:
    """A story file that tells the same film again; `story.zip` has the pictures that it names, too."""
    return await _send_text(studio, story, "yaml", "yaml", "text/yaml")


@router.get("/stories/{story}/story.zip", response_class=Response, responses=gives("application/zip"))
async def story_folder(studio: TheStudio, story: StoryPath) -> FileResponse:
    """The story file with the pictures that it was made from."""
    film = await studio.aside(StoryFilm.of, studio.store, story)
    name = f"{await _name(studio, story)}-story.zip"
    return await _send_file(studio, film.write_story, name, "application/zip")


@router.get("/stories/{story}/story.json", response_class=Response, responses=gives("application/json"))
async def facts(studio: TheStudio, story: StoryPath) -> Response:
    """Everything that is known of its shots."""
    return await _send_text(studio, story, "json", "json", "application/json")


@router.get(
    "/stories/{story}/stills/{shot}/{take}/{frame}.jpg",
    response_class=Response,
    responses=gives("image/jpeg"),
)
async def still(studio: TheStudio, story: StoryPath, shot: Number, take: Number, frame: Number) -> Response:
    """One frame, JPEG."""
    data = await studio.aside(_still, studio.store, story, shot, take, frame)
    if data is None:
        await studio.recorded()
        data = await studio.aside(_still, studio.store, story, shot, take, frame)
    if data is None:
        raise _missing((await studio.snapshot(story)).shots, shot, f"no frame {frame} of take {take + 1}")
    return Response(data, media_type="image/jpeg", headers=_FOR_EVER)


@router.post("/uploads", status_code=201, openapi_extra=UPLOAD_BODY)
async def upload(studio: TheStudio, request: Request) -> Uploaded:
    """Take in a picture (JPEG, PNG or WebP) for `reference`; it is decoded and encoded anew."""
    await studio.aside(studio.quotas.check_upload)
    return Uploaded(upload=await keep_picture(studio, await read_body(request, studio.limits.upload_bytes)))


@router.get("/uploads/{upload}.png", response_class=Response, responses=gives("image/png"))
async def picture(studio: TheStudio, upload: UploadName) -> FileResponse:
    """A picture that was uploaded."""
    file = await asyncio.to_thread(studio.store.picture_file, upload)
    if not file.is_file():
        raise HTTPException(404, f"there is no picture {upload!r}")
    return FileResponse(file, media_type="image/png", headers=_FOR_EVER)


@router.delete("/uploads/{upload}.png", status_code=204)
async def remove_picture(studio: TheStudio, upload: UploadName) -> None:
    """Remove a picture that no story uses; one that a story uses is refused with 409."""
    try:
        await studio.aside(studio.store.remove_picture, upload)
    except LookupError as error:
        raise HTTPException(404, error.args[0]) from error


def _missing(cards: Sequence[ShotCard], shot: int, what: str, when: str = "") -> HTTPException:
    """The answer that there is `what` not of a shot, which is called as people see it."""
    if all(card.number != shot for card in cards):
        return HTTPException(404, f"the story has no card number {shot}; cards are numbered from 0")
    number = number_in_film(cards, shot)
    return HTTPException(404, f"there is {what} of {f'shot {number}' if number else 'that shot'}{when}")


async def _film(studio: Studio, story: str) -> StoryFilm:
    """What is made of a story by now, all its clips kept."""
    film = await studio.export(StoryFilm.of, studio.store, story)
    await studio.make_whole([chunk for shot in film.shots for chunk in shot.chunks])
    return await studio.export(StoryFilm.of, studio.store, story)  # with the checksums of new clips


def _chunks_from(store: Store, story: str, shot: int, take: int, frame: int) -> list[StoredChunk]:
    """The chunks of a take from the one that has `frame` on."""
    chunks = store.take_chunks(story, shot, take)
    return [chunk for chunk in chunks if chunk.first_frame + chunk.frames > frame]


async def _growing(studio: Studio, story: str, made: Callable[[], list[StoredChunk]]) -> AsyncIterator[bytes]:
    """The film of a take from what is `made` by now on; asked once the viewer gets what comes after."""
    fps, viewer = (await studio.made_with(story)).fps, Viewer()
    await studio.join(story, viewer)
    try:
        chunks = await asyncio.to_thread(made)
        frame = chunks[0].first_frame
        film = FragmentedFilm(fps, frame)
        viewer.replay(chunks)
        while (clip := await _next_clip(studio, story, viewer, chunks[0])) is not None:
            first, last = VideoHeader.unpack(clip[0]), VideoHeader.unpack(clip[-1])
            if (first.shot, first.take, first.frame) != (chunks[0].shot, chunks[0].take, frame):
                return
            frame = last.frame + 1
            yield await asyncio.to_thread(film.add, access_units(clip))
            if last.flags & LAST_OF_SHOT:
                return
    finally:
        studio.leave(story, viewer)


async def _next_clip(studio: Studio, story: str, viewer: Viewer, take: StoredChunk) -> list[bytes] | None:
    """The next clip; None if the take is over."""
    while True:
        try:
            said = await asyncio.wait_for(viewer.next(), _LOOK_AGAIN_SECONDS)
            if isinstance(said, list):
                return said
        except TimeoutError:
            if not await _is_live(studio, story, take):
                return None
        except TooSlow:
            return None


async def _is_live(studio: Studio, story: str, take: StoredChunk) -> bool:
    try:
        cards = (await studio.snapshot(story)).shots
    except StoreError:  # it was removed for good
        return False
    return any((card.number, card.take, card.state) == (take.shot, take.take, "live") for card in cards)


def _still(store: Store, story: str, shot: int, take: int, frame: int) -> bytes | None:
    for chunk in store.take_chunks(story, shot, take):
        place = frame - chunk.first_frame
        if 0 <= place < chunk.frames:
            with suppress(OSError):  # no clip yet
                return encode_jpeg(decode_chunk(access_units(read_clip(chunk)[: place + 1]))[-1])
    return None


async def _send_text(studio: Studio, story: str, what: str, suffix: str, media_type: str) -> Response:
    film = await studio.export(StoryFilm.of, studio.store, story)
    text = await studio.export(getattr, film, what)
    headers = attachment(f"{await _name(studio, story)}.{suffix}")
    return Response(text, media_type=media_type, headers=headers)


async def _name(studio: Studio, story: str) -> str:
    """What files of a story are called: by its title, or else its setting."""
    summary = await asyncio.to_thread(studio.store.summary, story)
    return file_name(summary.title or summary.setting, story)


def attachment(name: str) -> dict[str, str]:
    """The header by which a browser saves an answer under a name, encoded as RFC 5987 says if need be."""
    named = f'filename="{name}"' if name.isascii() else f"filename*=utf-8''{quote(name)}"
    return {"Content-Disposition": f"attachment; {named}"}


async def _send_file(
    studio: Studio, write: Callable[[FilePath], Any], name: str, media_type: str
) -> FileResponse:
    """Write a file beside the library, send it under a name, remove it.

    Its tag is of its contents, so that a download that broke off goes on, though the file is written anew.
    """
    folder = TemporaryDirectory(dir=studio.exports)
    path = (FilePath(folder.name) / "download").with_suffix(FilePath(name).suffix)

    def written() -> str:
        write(path)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    try:
        tag = await studio.export(written)
    except BaseException:
        folder.cleanup()
        raise
    headers = attachment(name) | {"ETag": f'"{tag[:32]}"', "Cache-Control": "private, no-cache"}
    return FileResponse(
        path, headers=headers, media_type=media_type, background=BackgroundTask(folder.cleanup)
    )
