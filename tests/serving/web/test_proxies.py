"""Behind a proxy, with TLS and under a path: the files in `docs/proxy`, and proxies that do less."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
from benchmarks.studio_process import free_port
from websockets.sync.client import connect

from shotstream.serving.web.access import Access, Origin
from tests.serving.conftest import Library
from tests.serving.web.conftest import Server, serving
from tests.waiting import until

pytestmark = pytest.mark.unit

SNIPPETS = Path(__file__).parents[3] / "docs" / "proxy"
TOKEN = "a-token&nobody#knows"


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("https://localhost", "localhost:443", True),
        ("https://localhost:443", "localhost", True),
        ("http://localhost", "localhost:80", True),
        ("http://LOCALHOST:80", "localhost", True),
        ("http://[::1]", "[::1]:80", True),
        ("http://localhost:8000", "localhost:8000", True),
        ("https://localhost", "localhost:80", False),
        ("http://localhost", "localhost:8000", False),
        ("http://localhost:8000", "127.0.0.1:8000", False),
        ("https://studio.example.org", "127.0.0.1:8000", False),
        ("https://a.example", "127.0.0.1:8000", True),
        ("https://a.example:443", "127.0.0.1:8000", True),
        ("http://a.example", "127.0.0.1:8000", False),
        ("https://a.example.evil.example", "127.0.0.1:8000", False),
        ("null", "null", False),
        ("file://localhost", "localhost", False),
        ("http://[", "[", False),
        ("http://a:99999", "a:99999", False),
    ],
)
def test_origins_are_compared_without_default_ports(origin: str, host: str, own: bool) -> None:
    assert Access(origins=("https://A.example",)).is_own(origin, host) == own


@pytest.mark.parametrize("origin", ["studio.example.org", "ftp://a", "https://a/studio", "https://a?b", ""])
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(ValueError, match="--origin"):
        Access(origins=(origin,))


@pytest.mark.parametrize("path", ["studio", "/studio/", "/", "/a b", "/a?b"])
def test_what_is_no_root_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="--root-path"):
        Access(root_path=path)


def test_a_path_is_found_whether_or_not_the_proxy_took_its_root_off() -> None:
    access = Access(root_path="/studio")
    paths = ["/studio", "/studio/", "/studio/api/live", "/api/live", "/studios", "/"]
    known = ["/", "/", "/api/live", "/api/live", "/studios", "/"]
    assert [access.without_root(path) for path in paths] == known


@contextmanager
def guarded(model, folder: Path, origin: str) -> Iterator[Server]:
    access = Access(TOKEN, origins=(origin,), root_path="/studio")
    with Library(folder / "library") as library, serving(library, model, access) as server:
        yield server


def caddy(port: int, upstream: int, folder: Path) -> list[str]:
    text = (SNIPPETS / "Caddyfile").read_text()
    tls = f"tls {folder}/studio.pem {folder}/studio.key"
    text = text.replace("studio.example.org {", f"https://localhost:{port} {{\n\t{tls}")
    text = "{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + text.replace(":8000", f":{upstream}")
    (folder / "Caddyfile").write_text(text)
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def nginx(port: int, upstream: int, folder: Path) -> list[str]:
    text = (SNIPPETS / "nginx.conf").read_text()
    text = text.replace("listen 443", f"listen 127.0.0.1:{port}").replace(":8000", f":{upstream}")
    text = text.replace("/etc/ssl", str(folder)).replace("studio.example.org", "localhost")
    kept = [
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    ]
    http = "\n".join(["access_log off;", *kept, text])
    head = f"daemon off; pid {folder}/pid; error_log {folder}/log; worker_processes 1; user root;"
    (folder / "nginx.conf").write_text(f"{head} events {{}} http {{ {http} }}")
    return ["nginx", "-e", str(folder / "log"), "-c", str(folder / "nginx.conf")]


@contextmanager
def proxy(command: list[str], port: int, folder: Path) -> Iterator[None]:
    environment = {"HOME": str(folder), "PATH": "/usr/sbin:/usr/bin:/bin"}
    with (folder / "said").open("w") as said:
        process = subprocess.Popen(command, env=environment, stdout=said, stderr=said)
    try:
        until(lambda: process.poll() is not None or _listens(port))
        assert process.poll() is None, (folder / "said").read_text()
        yield
    finally:
        process.terminate()
        process.wait(20)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("configure", [caddy, nginx])
def test_a_page_works_behind_a_proxy_under_a_path_with_tls(configure, model, tmp_path) -> None:
    name = configure.__name__
    if shutil.which(name, path="/usr/sbin:/usr/bin") is None or shutil.which("openssl") is None:
        pytest.skip(f"no {name} or no openssl: apt-get install {name} openssl")
    certify = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext"
    files = ["-keyout", str(tmp_path / "studio.key"), "-out", str(tmp_path / "studio.pem")]
    subprocess.run(
        [*certify.split(), "subjectAltName=DNS:localhost", *files], check=True, capture_output=True
    )
    port = free_port()
    origin = f"https://localhost:{port}"
    trusted = ssl.create_default_context(cafile=str(tmp_path / "studio.pem"))
    with (
        guarded(model, tmp_path, origin) as server,
        proxy(configure(port, server.port, tmp_path), port, tmp_path),
        httpx.Client(verify=trusted, timeout=20, follow_redirects=True) as client,
    ):
        asks = client.get(f"{origin}/studio")
        assert (asks.status_code, "asks for its token" in asks.text) == (401, True)
        page = client.get(f"{origin}/studio/", params={"token": TOKEN})
        assert (page.status_code, str(page.url)) == (200, f"{origin}/studio/")
        cookie = page.history[0].headers["set-cookie"].lower()
        assert {"secure", "httponly", "path=/studio/"} <= {part.strip() for part in cookie.split(";")}
        for name in re.findall(r'(?:src|href)="([^"]+)"', page.text):
            assert client.get(urljoin(str(page.url), name)).status_code == 200, name
        assert client.get(f"{origin}/studio/api/model").status_code == 200
        new = client.post(f"{origin}/studio/api/stories", json={}, headers={"origin": origin})
        story = new.raise_for_status().json()["story"]
        evil = client.post(f"{origin}/studio/api/stories", json={}, headers={"origin": "https://localhost"})
        assert evil.status_code == 403
        kept = "; ".join(f"{one.name}={one.value}" for one in client.cookies.jar)
        with connect(
            f"wss://localhost:{port}/studio/api/live",
            ssl=trusted,
            origin=origin,  # type: ignore[arg-type]
            additional_headers={"cookie": kept},
        ) as live:
            live.send(f'{{"type": "hello", "protocol": 1, "story": "{story}"}}')
            assert '"welcome"' in str(live.recv(10))


@pytest.mark.parametrize("prefix", ["", "/studio"])
def test_a_proxy_may_name_the_studio_as_it_likes(prefix: str, model, tmp_path) -> None:
    """One that passes on its own name for the studio's, and takes the path's root off or leaves it."""
    origin = "https://studio.example.org"
    with guarded(model, tmp_path, origin) as server:
        sent = {"authorization": f"Bearer {TOKEN}", "x-forwarded-proto": "https", "origin": origin}
        answer = httpx.post(f"{server.url}{prefix}/api/stories", headers=sent, json={})
        assert answer.status_code == 201
        entered = httpx.get(f"{server.url}{prefix}/", params={"token": TOKEN}, headers=sent)
        assert (entered.status_code, entered.headers["location"]) == (303, "./")


def test_clients_of_a_proxy_are_told_apart(model, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("shotstream.serving.web.security.REQUESTS_PER_SECOND", 0.001)
    monkeypatch.setattr("shotstream.serving.web.security.REQUESTS_AT_ONCE", 3)
    with guarded(model, tmp_path, "https://a.example") as server:
        for client in ("10.0.0.1", "10.0.0.2"):
            sent = {"authorization": f"Bearer {TOKEN}", "x-forwarded-for": client}
            codes = [httpx.get(f"{server.url}/api/model", headers=sent).status_code for _ in range(4)]
            assert codes == [200] * 3 + [429]


def test_parsing_an_origin_never_leaves_out_the_port() -> None:
    assert Origin.parse("https://a") == ("https", "a", 443)
