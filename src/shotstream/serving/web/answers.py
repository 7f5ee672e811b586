"""What routes share: where they find the studio, and how errors become answers."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from shotstream.media.faults import say_faults, say_no_json
from shotstream.media.files import DiskFull
from shotstream.serving.protocol.commands import StoryId
from shotstream.serving.protocol.refusal import Refusal
from shotstream.serving.storage.stored import NoStory
from shotstream.serving.studio import Studio
from shotstream.serving.web.bodies import Problem


def _studio(request: Request) -> Studio:
    return request.app.state.studio


TheStudio = Annotated[Studio, Depends(_studio)]
StoryPath = Annotated[StoryId, Path(description="12 characters, as the library lists them.")]

PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "What was sent cannot be read."},
    404: {"model": Problem, "description": "There is no such thing."},
    401: {"model": Problem, "description": "A token is needed."},
    403: {"model": Problem, "description": "Not from there."},
    409: {"model": Problem, "description": "It is not possible now."},
    413: {"model": Problem, "description": "Too much was sent."},
    422: {"model": Problem, "description": "What was sent makes no sense."},
    429: {"model": Problem, "description": "Too often."},
    507: {"model": Problem, "description": "The disk is full, or cannot be written."},
}


def add_problems(app: FastAPI) -> None:
    """Let every error be answered by a sentence in ``detail``."""
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(HTTPException, _http)
    for kind, status in ((NoStory, 404), (ValueError, 409), (OSError, 507)):
        app.add_exception_handler(kind, _answering(status))
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(DiskFull, _answering(507))
    app.add_exception_handler(ClientDisconnect, _answering(499))  # nobody hears it, and no log needs it


async def read_body(request: Request, most_bytes: int) -> bytes:
    """Read what was sent, but no more than is allowed.

    Raises:
        HTTPException: 413, if it is more.
    """
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > most_bytes:
            raise too_large(most_bytes)
    return bytes(data)


async def keep_body(request: Request, path: FilePath, most_bytes: int) -> None:
    """Write what is sent into a file, so that many who send take no memory.

    Raises:
        HTTPException: 413, if it is more than is allowed.
    """
    size = 0
    with path.open("wb") as file:
        async for part in request.stream():
            size += len(part)
            if size > most_bytes:
                raise too_large(most_bytes)
            file.write(part)


def too_large(most_bytes: int) -> HTTPException:
    """Refuse what was sent because it is longer than that."""
    return HTTPException(413, f"more than {most_bytes // 1024} KiB were sent; send less")


def gives(media_type: str) -> dict[int | str, dict[str, Any]]:
    """What the OpenAPI file says of a route that answers with something else than JSON."""
    return {200: {"content": {media_type: {}}}}


def problem(status: int, sentence: str, code: str | None = None, *, path: str = "") -> JSONResponse:
    """An answer that says why not; below `/v1` also in the words of OpenAI's API."""
    said: dict[str, Any] = {"detail": sentence} | ({"code": code} if code else {})
    if path.startswith("/v1/"):
        said["error"] = {"message": sentence, "type": "invalid_request_error", "code": code}
    return JSONResponse(said, status)


def _answering(status: int):
    async def answer(request: Request, error: Exception) -> JSONResponse:
        return problem(status, str(error), path=request.scope["path"])

    return answer


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    answer = problem(error.status_code, str(error.detail), path=request.scope["path"])
    answer.headers.update(error.headers or {})
    return answer


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refusal)
    status = 404 if error.code == "not_found" else 409
    return problem(status, str(error), error.code, path=request.scope["path"])


async def _unreadable(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = error.errors()
    if faults[0]["type"] == "json_invalid":
        sentence = say_no_json(error.body if isinstance(error.body, str | bytes) else "")
    else:
        sentence = say_faults(
            [fault | {"loc": [part for part in fault["loc"] if part not in _PARTS]} for fault in faults]
        )
    return problem(422, sentence, path=request.scope["path"])


_PARTS = ("body", "query", "path")
"""What FastAPI calls where a field comes from, which a field's name tells anyway."""
