"""Who may ask, from where, how often, and what leaves with the answer."""

from __future__ import annotations

import hmac
import logging
import re
import socket
from collections.abc import Iterator
from urllib.parse import urljoin

import httpx
import pytest
import uvicorn
from typer.testing import CliRunner
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from shotstream.cli.main import app
from shotstream.serving.web.access import Access, cookie_name
from tests.serving.conftest import Library
from tests.serving.web.conftest import Server, serving

pytestmark = pytest.mark.system

TOKEN = "a-token-nobody-knows"


@pytest.fixture(scope="module")
def guarded(model, tmp_path_factory) -> Iterator[Server]:
    """As at an address that others can reach."""
    folder = tmp_path_factory.mktemp("guarded")
    with Library(folder) as library, serving(library, model, Access(TOKEN, rates=False)) as server:
        yield server


def close_code(address: str, **options) -> int | None:
    with connect(address, **options) as socket, pytest.raises(ConnectionClosed):
        socket.recv(10)
    return socket.close_code


# ---- this machine alone ----


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "[", "192.168.0.7"]
)
def test_only_this_machines_own_names_are_answered(server: Server, host: str) -> None:
    """A page elsewhere whose name was made to point here (DNS rebinding) asks by its own name."""
    host = host.format(port=server.port)
    for path in ("/api/stories", "/", "/metrics", "/healthz"):
        answer = httpx.get(server.url + path, headers={"host": host})
        assert (answer.status_code, "not this machine's own name" in answer.json()["detail"]) == (403, True)
    if host != "[":
        there = socket.create_connection(("127.0.0.1", server.port))
        assert close_code(f"ws://{host}/api/live", sock=there) == 4403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "localhost:{port}", "[::1]:{port}"])
def test_this_machines_own_names(server: Server, host: str) -> None:
    host = host.format(port=server.port)
    assert httpx.get(f"{server.url}/api/stories", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "http://127.0.0.1", "http://["]
)
def test_other_pages_change_nothing(server: Server, origin: str) -> None:
    before = len(httpx.get(f"{server.url}/api/stories").json())
    for method, path in (("POST", ""), ("DELETE", "/aaaaaaaaaaaa"), ("PUT", ""), ("PATCH", "")):
        answer = httpx.request(method, f"{server.url}/api/stories{path}", headers={"origin": origin}, json={})
        assert (answer.status_code, "use the studio's own page" in answer.json()["detail"]) == (403, True)
    assert len(httpx.get(f"{server.url}/api/stories").json()) == before
    assert close_code(server.live, origin=origin) == 4403


def test_the_studios_own_page_may(server: Server) -> None:
    answer = httpx.post(f"{server.url}/api/stories", headers={"origin": server.url}, json={})
    assert answer.status_code == 201


def test_other_pages_can_read_and_frame_nothing(server: Server) -> None:
    answers = [
        httpx.get(f"{server.url}/api/stories", headers={"origin": "http://evil.example"}),
        httpx.options(
            f"{server.url}/api/stories",
            headers={"origin": "http://evil.example", "access-control-request-method": "DELETE"},
        ),
        httpx.get(f"{server.url}/nothing"),
        httpx.get(server.url, headers={"host": "evil.example"}),
    ]
    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_no_script_but_the_pages_own_runs(server: Server) -> None:
    policy = httpx.get(f"{server.url}/api/stories").headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "*" not in policy
    assert "http" not in policy
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert (rules["default-src"], rules["script-src"], rules["style-src"]) == ("'none'", "'self'", "'self'")
    assert (rules["base-uri"], rules["form-action"]) == ("'none'", "'self'")


def test_the_server_does_not_say_what_it_is(server: Server) -> None:
    assert "server" not in httpx.get(f"{server.url}/api/stories").headers


# ---- strangers on the network ----


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0"])
def test_another_address_needs_a_token(host: str, model, tmp_path, monkeypatch) -> None:
    """The command makes one up, prints it once, and listens nowhere else by default."""
    listening: list[tuple[uvicorn.Config, str]] = []

    def listen(server: uvicorn.Server, sockets: list[socket.socket]) -> None:
        listening.append((server.config, sockets[0].getsockname()[0]))

    monkeypatch.setattr(uvicorn.Server, "run", listen)
    monkeypatch.setattr("shotstream.cli.studio._served", lambda *options, **loras: model)
    arguments = ["studio", "--library", str(tmp_path), "--port", "0"]
    printed = CliRunner().invoke(app, [*arguments, *(["--host", host] if host != "127.0.0.1" else [])]).output
    [(config, address)] = listening
    access = config.app.user_middleware[0].kwargs["access"]  # type: ignore[union-attr]
    assert (address, access.rates) == (host, True)
    if host == "0.0.0.0":
        assert len(access.token) >= 32
        assert printed.count(access.token) == 1
    else:
        assert access.token is None


def test_without_the_token_there_is_nothing(guarded: Server) -> None:
    for method, path in (
        ("GET", "/api/stories"),
        ("POST", "/api/stories"),
        ("GET", "/metrics"),
        ("GET", "/api/openapi.json"),
        ("GET", "/x"),
    ):
        for headers in (
            {},
            {"authorization": "Bearer wrong"},
            {"cookie": f"{cookie_name(guarded.port)}=wrong"},
            {"authorization": TOKEN},
        ):
            answer = httpx.request(method, guarded.url + path, headers=headers)
            assert (answer.status_code, "a token is needed" in answer.json()["detail"]) == (401, True)
    assert close_code(guarded.live) == 4403
    assert httpx.get(f"{guarded.url}/healthz").status_code == 200


def test_the_page_asks_for_the_token(guarded: Server) -> None:
    for address in ("/", "/?token=a-guess", "/?token="):
        page = httpx.get(guarded.url + address)
        assert (page.status_code, 'name="token" type="password"' in page.text) == (401, True)
        assert ("That is not the token" in page.text) == (address == "/?token=a-guess")
        for path in re.findall(r'(?:href|src)="([^"]+)"', page.text):
            assert httpx.get(urljoin(guarded.url + "/", path)).status_code == 200, (
                "what the page looks like needs no token"
            )
        assert "a-guess" not in page.text
        assert "set-cookie" not in page.headers


def test_the_token_is_kept_in_a_cookie_and_not_in_the_address(guarded: Server) -> None:
    answer = httpx.get(f"{guarded.url}/", params={"token": TOKEN})
    assert (answer.status_code, answer.headers["location"]) == (303, "./")
    assert answer.headers["referrer-policy"] == "no-referrer"
    attributes = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= attributes
    with httpx.Client(base_url=guarded.url, cookies=answer.cookies) as client:
        assert client.get("/api/stories").status_code == 200
    cookie = f"{cookie_name(guarded.port)}={TOKEN}"
    with guarded.watch(additional_headers={"Cookie": cookie}) as viewer:
        assert viewer.welcome


def test_programs_bring_the_token_along(guarded: Server) -> None:
    headers = {"authorization": f"Bearer {TOKEN}"}
    assert httpx.get(f"{guarded.url}/api/stories", headers=headers).status_code == 200
    with guarded.watch(additional_headers=headers) as viewer:
        assert viewer.welcome


def test_a_token_does_not_let_other_pages_in(guarded: Server) -> None:
    headers = {"cookie": f"{cookie_name(guarded.port)}={TOKEN}", "origin": "http://evil.example"}
    assert httpx.post(f"{guarded.url}/api/stories", headers=headers, json={}).status_code == 403


def test_the_token_is_compared_in_constant_time(guarded: Server, monkeypatch) -> None:
    compared = []
    compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((a, b)) or compare(a, b))
    headers = {"authorization": "Bearer wröng".encode()}
    assert httpx.get(f"{guarded.url}/api/stories", headers=headers).status_code == 401
    assert ("wröng".encode(), TOKEN.encode()) in [(a.decode().encode("latin-1"), b) for a, b in compared]


def test_the_token_is_not_logged(library, model, caplog) -> None:
    """Also where every request is."""
    caplog.set_level(logging.DEBUG)
    with serving(library, model, Access(TOKEN), log_level="debug", access_log=True) as server:
        assert httpx.get(f"{server.url}/", params={"token": TOKEN}).status_code == 303
        assert (
            httpx.get(f"{server.url}/api/stories", headers={"authorization": f"Bearer {TOKEN}"}).status_code
            == 200
        )
    served = [
        record.getMessage() for record in caplog.records if record.name.startswith(("uvicorn", "shotstream"))
    ]
    assert any("GET / HTTP" in line for line in served)
    assert not [line for line in served if TOKEN in line]


@pytest.mark.parametrize("path", ["/?token={}", "/x?token={}", "//?a=b&token={}", "/api/live?to%6ben={}"])
def test_no_address_brings_the_token_into_a_log(library, model, caplog, path: str) -> None:
    """Nor does a socket's header at the level that logs them."""
    caplog.set_level(logging.DEBUG)
    with serving(library, model, Access(TOKEN), log_level="debug", access_log=True) as server:
        httpx.get(server.url + path.format(TOKEN))
        kept = {"cookie": f"{cookie_name(server.port)}={TOKEN}", "authorization": f"Bearer {TOKEN}"}
        with connect(f"{server.live}?token={TOKEN}", additional_headers=kept):
            pass
    ours = [record for record in caplog.records if record.name.startswith(("uvicorn", "shotstream"))]
    assert ours
    assert not [record.getMessage() for record in ours if TOKEN in record.getMessage()]


def test_two_studios_at_one_name_keep_their_cookies_apart(guarded: Server, library, model) -> None:
    """Browsers have one jar for all ports of a name."""
    with serving(library, model, Access("another")) as other, httpx.Client() as browser:
        for server, token in ((guarded, TOKEN), (other, "another")):
            browser.get(f"{server.url}/", params={"token": token})
        for server in (guarded, other):
            assert browser.get(f"{server.url}/api/model").status_code == 200


@pytest.mark.parametrize("token", ["", "a b", 'a"b', "a;b", "a,b", "a\\b", "ä", "a\n"])
def test_a_token_that_cannot_be_brought_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="token"):
        Access(token)


def test_a_token_of_any_other_sign_lets_in(library, model) -> None:
    token = "".join(chr(code) for code in range(33, 127) if chr(code) not in '",;\\')
    access = Access(token)
    with serving(library, model, access) as server, httpx.Client() as browser:
        assert browser.get(f"{server.url}/{access.query}").status_code == 303
        assert browser.get(f"{server.url}/api/model").status_code == 200
        bearer = {"authorization": f"Bearer {token}"}
        assert httpx.get(f"{server.url}/api/model", headers=bearer).status_code == 200


def test_everything_that_can_be_fetched_has_a_head(server: Server, told: str) -> None:
    """The app says which paths there are, so that new ones are fetched here, too."""
    values = {"story": told, "video": told, "shot": "0", "take": "0", "frame": "0", "upload": "nothere"}
    values["sound"] = "0" * 32
    ways = httpx.get(f"{server.url}/api/openapi.json").json()["paths"]
    del ways["/api/stories/{story}/events"]  # it never ends; tests/client asks for its head
    paths = [path.format(**values) for path, methods in ways.items() if "get" in methods]
    assert len(paths) > 15
    for path in [*paths, "/", "/icon.svg", "/api/openapi.json"]:
        path = path.replace("live.mp4", "live.mp4?shot=0&take=0")
        got, head = (httpx.request(method, server.url + path) for method in ("GET", "HEAD"))
        assert (head.status_code, head.content) == (got.status_code, b""), path
        assert head.headers["content-type"] == got.headers["content-type"], path
        assert head.headers.get("etag") == got.headers.get("etag"), path


# ---- pages elsewhere, and floods ----

ELSEWHERE = [
    {"origin": "http://evil.example"},
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
    {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
]


@pytest.mark.parametrize("headers", ELSEWHERE)
def test_a_page_elsewhere_uses_up_nobodys_rate(library, model, at_once: int, headers: dict) -> None:
    with serving(library, model, Access()) as server, server.client() as client:
        codes = {client.get("/api/model", headers=headers).status_code for _ in range(2 * at_once)}
        assert codes == {403}
        assert client.get("/api/model").status_code == 200


def test_a_link_to_the_studio_may_stand_anywhere(server: Server) -> None:
    follows = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert httpx.get(server.url, headers=follows).status_code == 200
    assert httpx.post(f"{server.url}/api/stories", headers=follows, json={}).status_code == 403


def test_health_is_told_however_often_it_is_asked_for(library, model, at_once: int) -> None:
    with serving(library, model, Access()) as server, server.client() as client:
        codes = [client.get(path).status_code for path in ("/healthz", "/readyz") for _ in range(2 * at_once)]
        assert set(codes) == {200}


@pytest.fixture
def at_once(monkeypatch) -> int:
    """So many of everything, and then hardly any."""
    for kind in ("REQUESTS", "WRITES"):
        monkeypatch.setattr(f"shotstream.serving.web.security.{kind}_PER_SECOND", 0.001)
    monkeypatch.setattr("shotstream.serving.web.security.REQUESTS_AT_ONCE", 20)
    monkeypatch.setattr("shotstream.serving.web.security.WRITES_AT_ONCE", 5)
    return 20


def test_who_asks_too_often_is_told_to_wait(library, model, at_once: int) -> None:
    with serving(library, model, Access()) as server, server.client() as client:
        answers = [client.get("/api/model") for _ in range(at_once + 1)]
        assert [answer.status_code for answer in answers] == [200] * at_once + [429]
        assert answers[-1].headers["retry-after"] == "1"
        assert "wait a moment" in answers[-1].json()["detail"]


def test_who_begins_too_many_stories_is_told_to_wait(library, model, at_once: int) -> None:
    with serving(library, model, Access()) as server, server.client() as client:
        codes = [client.post("/api/stories", json={"setting": 1}).status_code for _ in range(6)]
        assert codes == [422] * 5 + [429]
        assert close_code(server.live) == 4010, "a socket may begin a story too"
        assert client.get("/api/model").status_code == 200, "reading is another thing"


def test_the_token_cannot_be_guessed_at_speed(library, model, at_once: int) -> None:
    with serving(library, model, Access(TOKEN)) as server, server.client() as client:
        wrong = [{"authorization": f"Bearer {number}"} for number in range(at_once + 1)]
        codes = [client.get("/api/model", headers=headers).status_code for headers in wrong]
    assert codes == [401] * at_once + [429]
