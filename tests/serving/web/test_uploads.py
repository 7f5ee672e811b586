from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import httpx
import pytest
from PIL import Image

from shotstream.serving.protocol.events import Limits
from tests.serving.web.conftest import Server
from tests.serving.web.pictures import picture

pytestmark = pytest.mark.system


def bomb(width: int, height: int) -> bytes:
    """A PNG that says it is large, and is small."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", data) + part(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_is_taken_and_given_back(client: httpx.Client, kind: str) -> None:
    answer = client.post("/api/uploads", content=picture(kind))
    assert answer.status_code == 201
    back = client.get(f"/api/uploads/{answer.json()['upload']}.png")
    assert back.headers["content-type"] == "image/png"
    assert Image.open(BytesIO(back.content)).size == (64, 48)
    assert client.post("/api/uploads", content=picture(kind)).json() == answer.json(), "the same, once"


def test_a_picture_becomes_a_reference(client: httpx.Client, server: Server) -> None:
    upload = client.post("/api/uploads", content=picture()).json()["upload"]
    with server.watch() as viewer:
        viewer.shoot(chunks=1)
        assert viewer.direct("reference", upload=upload)["type"] == "receipt"
        memory = viewer.until("memory")
        while not (references := [frame for frame in memory["frames"] if frame["source"] == "reference"]):
            memory = viewer.until("memory")
    assert references[0]["upload"] == upload


def test_a_picture_is_removed_unless_a_story_uses_it(client: httpx.Client, server: Server) -> None:
    used, unused = (
        client.post("/api/uploads", content=picture(size=size)).json()["upload"]
        for size in ((64, 48), (48, 64))
    )
    with server.watch() as viewer:
        assert viewer.direct("reference", upload=used)["type"] == "receipt"
    refused = client.delete(f"/api/uploads/{used}.png")
    assert refused.status_code == 409
    assert "a story uses the picture" in refused.text
    assert client.get(f"/api/uploads/{used}.png").status_code == 200
    assert client.delete(f"/api/uploads/{unused}.png").status_code == 204
    assert [client.request(verb, f"/api/uploads/{unused}.png").status_code for verb in ("GET", "DELETE")] == [
        404,
        404,
    ]


def test_what_a_picture_says_of_its_maker_is_not_kept(client: httpx.Client, server: Server) -> None:
    """Such as where it was taken."""
    exif = Image.Exif()
    exif[0x010E] = "taken by somebody"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0)})
    data = picture("JPEG", exif=exif, comment=b"a secret comment")
    assert b"somebody" in data
    upload = client.post("/api/uploads", content=data + b"and what was hidden behind it").json()["upload"]
    kept = client.get(f"/api/uploads/{upload}.png").content
    assert not Image.open(BytesIO(kept)).getexif()
    for secret in (b"somebody", b"secret", b"hidden"):
        assert secret not in kept


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        (b"<html><script>alert(1)</script>", "not a picture"),
        (picture()[:200], "damaged"),
        (bomb(7000, 6000), "42,000,000"),
        (bomb(60000, 60000), "pixels"),
    ],
    ids=["nothing", "svg", "html", "half", "bomb", "great bomb"],
)
def test_what_is_no_picture_is_refused(client: httpx.Client, data: bytes, said: str) -> None:
    answer = client.post("/api/uploads", content=data)
    assert answer.status_code == 422
    if said != "42,000,000":
        assert said in answer.json()["detail"]


def test_what_is_too_large_is_refused_before_it_is_read(server: Server) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 3 * Limits().upload_bytes:
            sent += 2**16
            yield bytes(2**16)

    async def send() -> int:
        transport = httpx.ASGITransport(server.app)
        async with httpx.AsyncClient(transport=transport, base_url=server.url) as client:
            return (await client.post("/api/uploads", content=endless())).status_code

    assert asyncio.run(send()) == 413
    assert sent <= Limits().upload_bytes + 2**17


def test_the_same_picture_many_times_at_once(server: Server) -> None:
    data = picture(size=(300, 200))

    def send(_: int) -> int:
        return httpx.post(f"{server.url}/api/uploads", content=data, timeout=20).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(send, range(16))) == {201}


@pytest.mark.parametrize("path", ["stories", "stories/aaaaaaaaaaaa/commands"])
def test_no_body_is_read_without_end(client: httpx.Client, path: str) -> None:
    answer = client.post(
        f"/api/{path}", content=b'"' + b"x" * 2_000_000, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 413
