"""What one viewer and one chunk cost a studio of replicas, on this machine: the inputs of docs/scale.md.

python benchmarks/measure_scale.py -o benchmarks/results/scale.json
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import statistics
import time
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from shotstream.machine.provenance import commit, hardware, now
from shotstream.media.live import encode_chunk
from shotstream.serving.cluster.ingress import Ingress, create_ingress
from shotstream.serving.delivery.clips import pack_clip
from shotstream.serving.storage.leases import ReplicaFigures
from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import MadeWith
from shotstream.serving.web.access import Access
from shotstream.serving.web.server import server_config
from shotstream.streaming.chunk import Chunk
from shotstream.world.sampler import sample_story
from shotstream.world.scene import draw_shot

HEIGHT, WIDTH, FPS, FRAMES = 480, 832, 16.0, 12
"""Of Wan 2.1 1.3B: a chunk that is not the first of its shot."""
MESSAGES = 20_000
STORY = "a" * 12


def pictures() -> tuple[list[int], list[float]]:
    """Bytes of the clips of drawn chunks, and the seconds that each took to be encoded."""
    sizes, seconds = [], []
    for seed in range(6):
        shot = draw_shot(sample_story(seed, shots=1, frames=25), 0, height=HEIGHT, width=WIDTH, fps=FPS)
        for first in (1, 13):
            began = time.perf_counter()
            units = encode_chunk(shot[first : first + FRAMES], FPS)
            seconds.append(time.perf_counter() - began)
            sizes.append(len(pack_clip(units)))
    return sizes, seconds


def journalled() -> tuple[list[float], int]:
    """Seconds to journal a chunk of Wan's size in SQLite, and the bytes of its latents on disk."""
    latents, seconds = torch.randn(1, 3, 16, HEIGHT // 8, WIDTH // 8), []
    with TemporaryDirectory(dir=".") as folder, Store(Path(folder) / "library") as store:
        story = store.create_story("", 0, MadeWith("measured", HEIGHT, WIDTH, FPS))
        for number in range(30):
            chunk = Chunk(
                frames=np.zeros((FRAMES, 2, 2, 3), np.uint8), shot=0, take=0, index=number, seed=0,
                first_frame=FRAMES * number, last=False, prompt="", fps=FPS, latents=latents,
            )  # fmt: skip
            began = time.perf_counter()
            stored = store.append_chunk(story, chunk)
            seconds.append(time.perf_counter() - began)
        return seconds, stored.path.stat().st_size


def serve(app: Starlette, report: Connection) -> None:
    """Serve an app as the studio does; answer every question by the processor time that it took by now."""

    async def run() -> None:
        access = Access("secret", rates=False)
        server = uvicorn.Server(server_config(app, access, log_config=None))
        listener = __import__("socket").create_server(("127.0.0.1", 0))
        running = asyncio.create_task(server.serve([listener]))
        report.send(listener.getsockname()[1])
        while await asyncio.to_thread(report.recv):
            report.send(time.process_time())
        server.should_exit = True
        await running

    asyncio.run(run())


def speak(size: int, report: Connection) -> None:
    """A replica that says the same message again and again."""

    async def live(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive()
        for _ in range(MESSAGES):
            await socket.send_bytes(bytes(size))
        await socket.receive()

    serve(Starlette(routes=[WebSocketRoute("/api/live", live)]), report)


def relay(library: Path, report: Connection) -> None:
    """An ingress."""
    with Store(library) as store:
        serve(create_ingress(Ingress(store.leases, "secret"), Access("secret", rates=False)), report)


def start(work, first: object) -> tuple[Connection, int]:
    """Start a server in a process of its own; return how to ask it, and its port."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    multiprocessing.get_context("spawn").Process(target=work, args=(first, there), daemon=True).start()
    return here, here.recv()


def spent(server: Connection) -> float:
    """Processor seconds of a server by now."""
    server.send(True)
    return server.recv()


def sockets(size: int) -> tuple[float, float]:
    """Processor seconds of replica and ingress for one message to one viewer."""
    from websockets.sync.client import connect

    with TemporaryDirectory() as folder:
        library = Path(folder) / "library"
        replica, port = start(speak, size)
        with Store(library) as store:
            store.leases.clear()
            store.leases.add("one", f"127.0.0.1:{port}", ReplicaFigures(places=1))
            store.leases.assign(STORY, "one")
        ingress, port = start(relay, library)
        before = spent(replica), spent(ingress)
        headers = {"Authorization": "Bearer secret"}
        with connect(f"ws://127.0.0.1:{port}/api/live", additional_headers=headers, max_size=None) as viewer:
            viewer.send(json.dumps({"type": "hello", "protocol": 1, "story": STORY}))
            for _ in range(MESSAGES):
                viewer.recv(30)
            after = spent(replica), spent(ingress)
        for server in (replica, ingress):
            server.send(False)
        return (after[0] - before[0]) / MESSAGES, (after[1] - before[1]) / MESSAGES


def main() -> None:
    """Measure, and write what was found."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("-o", "--output", type=Path, required=True)
    output = arguments.parse_args().output
    sizes, encoding = pictures()
    writing, latents = journalled()
    message = round(statistics.mean(sizes) / FRAMES)
    replica, ingress = sockets(message)
    found = {
        "date": now(),
        "commit": commit(),
        "hardware": hardware("cpu"),
        "settings": {"height": HEIGHT, "width": WIDTH, "fps": FPS, "frames": FRAMES, "pictures": "drawn"},
        "clip_bytes": {"mean": statistics.mean(sizes), "max": max(sizes)},
        "encode_seconds": statistics.median(encoding),
        "journal_seconds": statistics.median(writing),
        "latent_bytes": latents,
        "message_bytes": message,
        "replica_seconds_per_message": replica,
        "ingress_seconds_per_message": ingress,
    }
    output.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
