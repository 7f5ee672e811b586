"""Who may ask, from where and how often: checked before anything else; threats in docs/security.md."""

from __future__ import annotations

import hmac
import re
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shotstream.serving.prometheus import Metrics
from shotstream.serving.web.access import LOOPBACK, Access, cookie_name, host_name
from shotstream.serving.web.answers import problem, too_large
from shotstream.serving.web.rates import Allowances
from shotstream.serving.web.sockets import Close
from shotstream.serving.web.token_page import ICON, STYLES, ask_for_token

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

_LARGE_BODIES = re.compile(
    r"/api/(?:uploads|scripts|films|stories/import|stories/[a-z0-9]{12}/sounds)|/v1/videos"
)
_HEALTH = {"/healthz", "/readyz"}
"""Answered however often they are asked for: a service that looks after the studio may end it otherwise."""
_OPEN_PATHS = {*_HEALTH, STYLES, ICON}
_WATCHED = re.compile(
    r"/api/stories/([a-z0-9]{12})(?:/events|/live\.mp4|/film\.mp4|/clips/[0-9]+/[0-9]+\.mp4)?"
)
"""What a link to watch opens: the story as it stands, its events, its pictures; nothing of other stories."""
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_CHANGES_NOTHING = {"/api/prompts"}
"""Asked with a body, while a person writes."""
_ELSEWHERE = {"cross-site", "same-site"}
"""What browsers say in Sec-Fetch-Site of a request that another page makes."""


class _Refused(Exception):
    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Guard:
    """Middleware around the whole app, sockets too.

    Without a token only requests to this machine's own names are answered, so that no page elsewhere can
    reach the studio by way of a name of its own (DNS rebinding). Of what a page asks for, only the studio's
    own page is answered; a link to the studio may stand anywhere.
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
        token, watch_key = _take(scope, "token"), _take(scope, "watch")
        scope = {**scope, "path": self._access.without_root(scope["path"])}
        if is_socket or scope["path"] != "/":
            token = ""
        answer_with = send if is_socket else _with_headers(send)
        try:
            self._check(scope, token, watch_key)
        except _Refused as refused:
            self._metrics.refused.labels(str(refused.status)).inc()
            if is_socket:
                return await _refuse_socket(receive, send, refused)
            return await _answer(scope, refused, tried=bool(token))(scope, receive, answer_with)
        if self._is_token(token):
            return await self._enter(scope)(scope, receive, answer_with)
        if not is_socket and not _LARGE_BODIES.fullmatch(scope["path"]):
            receive = _at_most(MOST_BODY_BYTES, receive)
        await self._app(scope, receive, answer_with)

    def _check(self, scope: Scope, token: str, watch_key: str) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._access.token is None and host_name(host) not in LOOPBACK:
            raise _Refused(403, f"{host!r} is not this machine's own name; ask for 127.0.0.1 or localhost")
        self._check_page(scope, headers, host)  # before the rates: they are those of the person
        if self._access.rates and scope["path"] not in _HEALTH:
            self._check_rates(scope)  # before the token: it is not to be guessed at speed
        if scope["path"] not in _OPEN_PATHS and not self._is_token(token):
            if watch_key and self._may_watch(scope, watch_key):
                return
            self._check_token(scope, headers)

    def _check_page(self, scope: Scope, headers: Headers, host: str) -> None:
        origin = headers.get("origin")
        if origin is not None and not self._access.is_own(origin, host):
            sentence = f"a page of {origin!r} may not do this; use the studio's own page"
            raise _Refused(403, f"{sentence}, or start the studio with --origin if that is its proxy")
        if headers.get("sec-fetch-site") in _ELSEWHERE and not _is_link(scope, headers):
            raise _Refused(403, "another page may not do this; use the studio's own page")

    def _check_token(self, scope: Scope, headers: Headers) -> None:
        if self._access.token is None:
            return
        brought = cookie_parser(headers.get("cookie", "")).get(cookie_name(_port(scope)), "")
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            brought = bearer
        if not self._is_token(brought):
            raise _Refused(401, "a token is needed; the studio printed it when it started")

    def _may_watch(self, scope: Scope, watch_key: str) -> bool:
        """Whether a request only watches the story that its key is for."""
        found = _WATCHED.fullmatch(scope["path"])
        if found is None or scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            return False
        known = self._access.watch_key(found[1])
        return known is not None and hmac.compare_digest(watch_key.encode(), known.encode())

    def _check_rates(self, scope: Scope) -> None:
        client = scope["client"][0].removeprefix("::ffff:") if scope.get("client") else ""
        changes = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
        changes = changes and scope["path"] not in _CHANGES_NOTHING
        if not self._requests.take(client) or (changes and not self._writes.take(client)):
            raise _Refused(429, "that was too often; wait a moment and try again")

    def _is_token(self, brought: str) -> bool:
        token = self._access.token
        return bool(token) and hmac.compare_digest(brought.encode(), token.encode())

    def _enter(self, scope: Scope) -> Response:
        """Keep the token in a cookie and take it out of the address."""
        answer = RedirectResponse("./", 303)
        assert self._access.token
        answer.set_cookie(
            cookie_name(_port(scope)),
            self._access.token,
            httponly=True,
            samesite="strict",
            secure=scope["scheme"] == "https",
            path=f"{self._access.root_path}/",
        )
        return answer


def _port(scope: Scope) -> int:
    """Where the studio listens, whatever a proxy is asked for."""
    return (scope.get("server") or ("", 0))[1] or 0


def _is_link(scope: Scope, headers: Headers) -> bool:
    """Whether a person follows a link, rather than a page asks for something."""
    opens = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")
    return opens and scope["type"] == "http" and scope["method"] == "GET"


def _take(scope: Scope, secret: str) -> str:
    """A secret in an address; it is taken out, whatever the path is, for the server logs addresses."""
    fields = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    brought = [value for name, value in fields if name == secret]
    if brought:
        scope["query_string"] = urlencode([field for field in fields if field[0] != secret]).encode()
    return brought[0] if brought else ""


def _answer(scope: Scope, refused: _Refused, tried: bool) -> Response:
    if refused.status == 401 and scope["path"] == "/":
        return ask_for_token(tried=tried)
    answer = problem(refused.status, str(refused), path=scope["path"])
    if refused.status == 429:
        answer.headers["Retry-After"] = "1"
    return answer


async def _refuse_socket(receive: Receive, send: Send, refused: _Refused) -> None:
    """Accept first: a browser tells its page the code of an accepted socket only."""
    code = Close.COME_LATER if refused.status == 429 else Close.NOT_ALLOWED
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": code, "reason": str(refused)[:120]})


def _at_most(most_bytes: int, receive: Receive) -> Receive:
    """Take in so much and no more; routes answer what is raised here."""
    read = 0

    async def receive_some() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > most_bytes:
            raise too_large(most_bytes)
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
