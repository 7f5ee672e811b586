"""Who may ask, from where and how often: checked before anything else; threats in docs/security.md."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shotstream.serving.prometheus import Metrics
from shotstream.serving.web.rates import Allowances

COOKIE = "shotstream_token"
LOOPBACK = {"127.0.0.1", "localhost", "::1"}

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "media-src 'self' blob:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",  # ask whether it is still the same; a route may say better
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}

REQUESTS_PER_SECOND, REQUESTS_AT_ONCE = 50.0, 300
WRITES_PER_SECOND, WRITES_AT_ONCE = 5.0, 60
"""Requests that make something, such as stories, uploads and films."""

MOST_BODY_BYTES = 64 * 1024
"""Of a request, like of a message over a socket; routes that take files have limits of their own."""

_LARGE_BODIES = {"/api/uploads", "/api/stories/import", "/api/films"}
_STYLES, _ICON = "/assets/page.css", "/icon.svg"
_OPEN_PATHS = {"/healthz", "/readyz", _STYLES, _ICON}
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_REFUSED_SOCKET = 4403

_ASK_FOR_TOKEN = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>ShotStream studio</title>
<link rel="icon" href="{_ICON}" type="image/svg+xml"><link rel="stylesheet" href="{_STYLES}"></head><body>
<header class="header"><span class="wordmark"><img src="{_ICON}" alt="">ShotStream</span></header>
<main class="start"><h1>This studio asks for its token.</h1>
<p class="lead" id="where">It was printed when the studio started: what follows “token=” in the address.</p>
<form class="panel begin" method="get" action="/"><label for="token">The token</label>
<input id="token" name="token" type="password" autocomplete="current-password" aria-describedby="where said"
autofocus required><p class="wrong" id="said" role="alert">SAID</p>
<div class="row end"><button class="primary">Open the studio</button></div></form></main>
</body></html>
"""
_NOT_THE_TOKEN = "That is not the token of this studio. After a new start it may be another one."


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Args:
        token: What every request must bring; None where only this machine can ask.
        rates: Whether there is a limit on how often one client asks.
    """

    token: str | None = None
    rates: bool = True


class _Refused(Exception):
    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Guard:
    """Middleware around the whole app, sockets too.

    Without a token only requests to this machine's own names are answered, so that no page elsewhere can
    reach the studio by way of a name of its own (DNS rebinding). What changes something, and every socket,
    must come from a page of the studio, if it comes from a page.
    """

    def __init__(self, app: ASGIApp, access: Access, metrics: Metrics) -> None:
        self._app, self._access, self._metrics = app, access, metrics
        self._requests = Allowances(REQUESTS_PER_SECOND, REQUESTS_AT_ONCE)
        self._writes = Allowances(WRITES_PER_SECOND, WRITES_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on to the app."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        is_socket = scope["type"] == "websocket"
        token = _take_token(scope)
        answer_with = send if is_socket else _with_headers(send)
        try:
            self._check(scope, token)
        except _Refused as refused:
            self._metrics.refused.labels(str(refused.status)).inc()
            if is_socket:
                return await _refuse_socket(receive, send, str(refused))
            return await _answer(scope, refused, tried=bool(token))(scope, receive, answer_with)
        if self._is_token(token):
            return await self._enter()(scope, receive, answer_with)
        if not is_socket and scope["path"] not in _LARGE_BODIES:
            receive = _at_most(MOST_BODY_BYTES, receive)
        await self._app(scope, receive, answer_with)

    def _check(self, scope: Scope, token: str) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._access.token is None and _name(host) not in LOOPBACK:
            raise _Refused(403, f"{host!r} is not this machine's own name; ask for 127.0.0.1 or localhost")
        origin = headers.get("origin")
        changes = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
        if changes and origin is not None and _place(origin) != host.lower():
            raise _Refused(403, f"a page of {origin!r} may not do this; use the studio's own page")
        if self._access.rates:  # before the token: it is not to be guessed at speed
            self._check_rates(scope, changes)
        if scope["path"] not in _OPEN_PATHS and not self._is_token(token):
            self._check_token(headers)

    def _check_token(self, headers: Headers) -> None:
        if self._access.token is None:
            return
        brought = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            brought = bearer
        if not self._is_token(brought):
            raise _Refused(401, "a token is needed; the studio printed it when it started")

    def _check_rates(self, scope: Scope, changes: bool) -> None:
        client = scope["client"][0] if scope.get("client") else ""
        if not self._requests.take(client) or (changes and not self._writes.take(client)):
            raise _Refused(429, "that was too often; wait a moment and try again")

    def _is_token(self, brought: str) -> bool:
        token = self._access.token
        return bool(token) and hmac.compare_digest(brought.encode(), token.encode())

    def _enter(self) -> Response:
        """Keep the token in a cookie and take it out of the address."""
        answer = RedirectResponse("/", 303)
        assert self._access.token
        answer.set_cookie(COOKIE, self._access.token, httponly=True, samesite="strict", path="/")
        return answer


def _place(origin: str) -> str:
    """Host and port of an origin."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _name(host: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _take_token(scope: Scope) -> str:
    """The token in the address of the page; it is taken out, for the server logs addresses."""
    if scope["type"] != "http" or scope["path"] != "/":
        return ""
    query = parse_qs(scope["query_string"].decode("latin-1"))
    if "token" in query:
        scope["query_string"] = b""
    return query.get("token", [""])[0]


def _answer(scope: Scope, refused: _Refused, tried: bool) -> Response:
    if refused.status == 401 and scope["path"] == "/":
        return HTMLResponse(_ASK_FOR_TOKEN.replace("SAID", _NOT_THE_TOKEN if tried else ""), 401)
    headers = {"Retry-After": "1"} if refused.status == 429 else None
    return JSONResponse({"detail": str(refused)}, refused.status, headers)


async def _refuse_socket(receive: Receive, send: Send, sentence: str) -> None:
    """Accept first: a browser tells its page the code of an accepted socket only."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": _REFUSED_SOCKET, "reason": sentence[:120]})


def _at_most(most_bytes: int, receive: Receive) -> Receive:
    """Take in so much and no more; routes answer what is raised here."""
    read = 0

    async def receive_some() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > most_bytes:
            raise HTTPException(413, f"more than {most_bytes // 1024} KiB were sent; send less")
        return message

    return receive_some


def _with_headers(send: Send) -> Send:
    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return answer
