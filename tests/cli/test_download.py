"""A published model is fetched from a hub (a small one, here) and becomes a folder that tells stories."""

from __future__ import annotations

import _thread
import hashlib
import json
import os
import re
import signal
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from typer.testing import CliRunner

from shotstream import CausalWanTransformer3DModel, ShotStreamPipeline, Story
from shotstream.cli.main import app
from shotstream.loading.hub import SHOTSTREAM, TINY_DECODER, WAN, check_status
from shotstream.loading.weight_names import to_original
from shotstream.machine.free_space import NotEnoughSpaceError, check_disk, check_memory
from shotstream.models.autoencoder_taew import TinyWanDecoder
from shotstream.models.text import make_tokenizer
from tests.loading.published_files import original_umt5, original_vae, write

pytestmark = pytest.mark.system

NEWEST = "b" * 40
COMMITS = {WAN.repository: WAN.revision, SHOTSTREAM.repository: NEWEST, TINY_DECODER.repository: "d" * 40}


@pytest.fixture(scope="module")
def repositories(tmp_path_factory):
    """Folders with the files of each repository, as small as Wan's head size allows."""
    root = tmp_path_factory.mktemp("repositories")
    wan, shotstream, tiny_decoder = (root / repository for repository in COMMITS)
    torch.manual_seed(0)
    student = CausalWanTransformer3DModel(
        num_attention_heads=1, num_layers=1, text_dim=16, freq_dim=16, ffn_dim=32
    )
    network = {f"model.{name}": value for name, value in to_original(student.state_dict()).items()}
    write(shotstream / "shotstream_merged.pt", {"generator": network})
    tiny_decoder.mkdir(parents=True)
    save_file(TinyWanDecoder(widths=(8, 8, 8, 8)).state_dict(), tiny_decoder / "taew2_1.safetensors")
    write(wan / "Wan2.1_VAE.pth", original_vae()[1])
    write(wan / "models_t5_umt5-xxl-enc-bf16.pth", original_umt5()[1])
    make_tokenizer(["a", "red", "fox", "runs"]).save_pretrained(wan / "google/umt5-xxl")
    for name in ("special_tokens_map.json", "spiece.model"):
        (wan / "google/umt5-xxl" / name).write_text("{}")
    return root


def fill_cache(cache: Path, repositories: Path, *, without: str = "nothing") -> Path:
    """Lay files out as the hub's client keeps them: blobs by their hash, linked from snapshots."""
    for repository, commit in COMMITS.items():
        folder = cache / f"models--{repository.replace('/', '--')}"
        for file in sorted((repositories / repository).rglob("*")):
            if file.is_file() and file.name != without:
                name = file.relative_to(repositories / repository)
                link = folder / "snapshots" / commit / name
                blob = folder / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
                for place in (link, blob):
                    place.parent.mkdir(parents=True, exist_ok=True)
                blob.write_bytes(file.read_bytes())
                link.symlink_to(os.path.relpath(blob, link.parent))
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text(commit)
    return cache


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """An empty cache, and no hub."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "cache"


def run(*words, **options):
    return CliRunner().invoke(app, ["download", *map(str, words)], env={"COLUMNS": "400"}, **options)


def test_a_model_comes_out_of_the_cache_and_tells_a_chunk(repositories, offline, tmp_path):
    fill_cache(offline, repositories)
    result = run("wan-1.3b", "-o", tmp_path / "model", "--yes", "--dtype", "float32")
    assert result.exit_code == 0, result.output
    for word in (WAN.repository, WAN.revision, f"{NEWEST} (main)", "Apache-2.0", "nothing"):
        assert word in result.output
    sources = json.loads((tmp_path / "model" / "sources.json").read_text())
    assert [source["revision"] for source in sources] == [WAN.revision, NEWEST]
    checkpoint = repositories / SHOTSTREAM.repository / "shotstream_merged.pt"
    assert sources[1]["sha256"] == {checkpoint.name: hashlib.sha256(checkpoint.read_bytes()).hexdigest()}
    pipeline = ShotStreamPipeline.from_pretrained(tmp_path / "model")
    story = Story.model_validate({"setting": "a red fox", "shots": [{"prompt": "runs", "chunks": 1}]})
    (chunk,) = pipeline.stream(story, height=32, width=48)
    assert chunk.frames.shape == (9, 32, 48, 3)


def test_the_tiny_decoder_comes_along_when_it_is_asked_for(repositories, offline, tmp_path):
    fill_cache(offline, repositories)
    result = run("wan-1.3b", "-o", tmp_path / "model", "--yes", "--decoder")
    assert result.exit_code == 0, result.output
    assert "MIT" in result.output
    pipeline = ShotStreamPipeline.from_pretrained(tmp_path / "model")
    story = Story.model_validate({"setting": "a red fox", "shots": [{"prompt": "runs", "chunks": 1}]})
    (chunk,) = pipeline.stream(story, height=32, width=48, decoder="tiny")
    assert chunk.frames.shape == chunk.full_frames().shape == (9, 32, 48, 3)


def test_what_is_missing_without_a_hub_is_named(repositories, offline, tmp_path):
    fill_cache(offline, repositories, without="Wan2.1_VAE.pth")
    result = run("wan-1.3b", "-o", tmp_path / "model", "--yes")
    assert result.exit_code == 1
    assert re.search(
        "Wan2.1_VAE.pth of Wan-AI/Wan2.1-T2V-1.3B is not here, and HF_HUB_OFFLINE", result.output
    )
    assert "Traceback" not in result.output


def test_what_is_no_model_is_not_written_over(repositories, offline, tmp_path):
    fill_cache(offline, repositories)
    (tmp_path / "diary.txt").write_text("Dear diary")
    result = run("wan-1.3b", "-o", tmp_path, "--yes")
    assert result.exit_code == 1
    assert "holds something other than a model" in result.output
    assert (tmp_path / "diary.txt").read_text() == "Dear diary"


def test_a_model_is_not_written_into_the_cache_that_it_is_made_from(repositories, offline, tmp_path):
    fill_cache(offline, repositories)
    result = run("wan-1.3b", "-o", offline / "model", "--yes")
    assert result.exit_code == 1
    assert "is, holds or lies in" in result.output
    assert not (offline / "model").exists()


def test_nobody_is_asked_where_nobody_is(repositories, offline, tmp_path):
    fill_cache(offline, repositories)
    result = run("wan-1.3b", "-o", tmp_path / "model")
    assert result.exit_code == 1
    assert "give --yes" in result.output
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("wan-14b",), "there is no published model 'wan-14b'; there is wan-1.3b"),
        (("wan-1.3b", "--dtype", "int8"), "--dtype is 'int8'; give bfloat16"),
        (("wan-1.3b", "--revision", "c" * 40), "shotstream_merged.pt of KlingTeam/ShotStream is not here"),
    ],
)
def test_mistakes_are_said_in_a_sentence(repositories, offline, tmp_path, words, message):
    fill_cache(offline, repositories)
    result = run(*words, "-o", tmp_path / "model", "--yes")
    assert result.exit_code == 1
    assert message in result.output


class Hub(BaseHTTPRequestHandler):
    """Serves `repositories` as the hub does, but for what `mishaps` tell of a file; each happens once."""

    repositories: Path
    mishaps: dict[str, Callable[[], None]]
    served: list[tuple[str, int]]
    """Files, and the byte from which each was asked for."""
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/(revision|tree)/(.+)", path):
            repository, what, revision = match.groups()
            if revision not in ("main", COMMITS[repository]):
                self.send_error(404)
                return
            facts = {"id": repository, "sha": COMMITS[repository], "siblings": []}
            self.answer(json.dumps(facts if what == "revision" else self.tree(repository)).encode())
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            repository, commit, name = match.groups()
            assert commit == COMMITS[repository]  # branches were resolved first
            self.answer((self.repositories / repository / name).read_bytes(), name, commit)
        else:
            self.send_error(404)

    def tree(self, repository: str) -> list[dict[str, object]]:
        root = self.repositories / repository
        files = [file for file in sorted(root.rglob("*")) if file.is_file()]
        return [
            {
                "type": "file",
                "path": str(file.relative_to(root)),
                "size": file.stat().st_size,
                "oid": "0" * 40,
            }
            for file in files
        ]

    def answer(self, content: bytes, name: str = "", commit: str = "") -> None:
        start = int(re.findall(r"bytes=(\d+)-", self.headers.get("Range", "bytes=0-"))[0])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", commit)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.served.append((name, start))
        if name in self.mishaps:
            self.wfile.write(content[: len(content) // 2])
            self.mishaps.pop(name)()
            self.close_connection = True
        else:
            self.wfile.write(content[start:])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(repositories, tmp_path, monkeypatch):
    """A hub on this machine, and an empty cache."""
    Hub.repositories, Hub.served, Hub.mishaps = repositories, [], {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    yield
    server.shutdown()
    server.server_close()


def test_what_is_broken_off_or_interrupted_goes_on(hub, repositories, tmp_path):
    vae, student = WAN.files[0], SHOTSTREAM.files[0]
    Hub.mishaps |= {vae: lambda: None, student: _thread.interrupt_main}  # the line breaks; Ctrl-C
    former = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        stopped = run("wan-1.3b", "-o", tmp_path / "model", "--yes")
    finally:
        signal.signal(signal.SIGINT, former)
    assert stopped.exit_code == 130
    assert f"fetched whole are kept in {tmp_path / 'cache'}" in stopped.output
    starts = [start for name, start in Hub.served if name == vae]
    half = (repositories / WAN.repository / vae).stat().st_size // 2
    assert starts[0] == 0
    assert 0.9 * half < starts[1] <= half

    Hub.served.clear()
    finished = run("wan-1.3b", "-o", tmp_path / "model", "--yes")
    assert finished.exit_code == 0, finished.output
    assert [name for name, _ in Hub.served if name] == [student]
    assert ShotStreamPipeline.from_pretrained(tmp_path / "model").config["fps"] == 16.0


def test_what_the_hub_lacks_is_said(hub, repositories, tmp_path):
    result = run("wan-1.3b", "-o", tmp_path / "model", "--yes", "--revision", "c" * 40)
    assert result.exit_code == 1
    assert "shotstream_merged.pt of KlingTeam/ShotStream" in result.output


def test_a_pinned_part_that_is_here_needs_no_hub(offline, repositories, monkeypatch):
    fill_cache(offline, repositories)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")  # nobody answers
    assert not check_status(WAN).missing
    assert check_status(SHOTSTREAM).commit == NEWEST  # what the branch was when it was fetched


def test_a_full_disk_is_told_before(tmp_path):
    check_disk({tmp_path / "new" / "model": 1000, tmp_path: 1000})
    with pytest.raises(NotEnoughSpaceError, match=r"are needed; free \d+\.\d, or choose another disk"):
        check_disk({tmp_path / "new" / "model": 2**60, tmp_path: 2**60})


def test_too_little_memory_is_told_before():
    check_memory(1000)
    with pytest.raises(
        NotEnoughSpaceError, match=r"this machine has .* GiB of free memory and 1073741824.0 are needed"
    ):
        check_memory(2**60)
