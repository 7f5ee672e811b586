"""A studio with replicas on the tests' cluster, and its ingress on a port of this machine."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import httpx
import uvicorn

from shotstream.machine.cluster import Cluster, load_ray
from shotstream.serving.cluster.ingress import Ingress, create_ingress
from shotstream.serving.cluster.replica import ReplicaSettings
from shotstream.serving.cluster.replica_set import ReplicaSet
from shotstream.serving.protocol.events import Limits
from shotstream.serving.quotas import Quotas
from shotstream.serving.storage.store import Store
from shotstream.serving.web.server import server_config
from tests.cluster.pieces import open_tiny
from tests.serving.web.conftest import NO_RATES, Watcher
from tests.waiting import until


@dataclass
class Replicated:
    """What a test asks."""

    store: Store
    replicas: ReplicaSet
    port: int

    @property
    def live(self) -> str:
        return f"ws://127.0.0.1:{self.port}/api/live"

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)

    def watch(self, story: str | None = None, after: dict | None = None) -> Watcher:
        return Watcher(self, story, after)  # type: ignore[arg-type]

    def owner(self, story: str) -> str:
        owner = self.store.leases.owner(story)
        assert owner
        return owner.name

    def kill(self, name: str) -> None:
        os.kill(load_ray().get(self.replicas.actor(name).process.remote()), signal.SIGKILL)

    def chunks(self, story: str) -> list[tuple[int, int, int, str | None]]:
        """What is journalled of a story: every chunk with the checksum of its latents."""
        return [(one.shot, one.take, one.chunk, one.sha256) for one in self.store.load(story).chunks]

    def made(self) -> int:
        """Chunks that the engines of all replicas have made."""
        ray = load_ray()
        return sum(ray.get(self.replicas.actor(name).work.remote())[0] for name in self.replicas.names)


@contextmanager
def replicated(
    cluster: Cluster, library: Path, count: int, database: str | None = None, media: str | None = None
) -> Iterator[Replicated]:
    """Start so many replicas and an ingress.

    Args:
        cluster: Where.
        library: The folder.
        count: How many.
        database: URL of another one than SQLite.
        media: Address of the media files; the replicas then have another folder than this process.
    """
    cluster.end_processes()
    with Store(library, database, media=media) as store:
        own = library if media is None else library.with_name("of the replicas")
        settings = ReplicaSettings(own, database, open_tiny, "secret", Limits(), Quotas(), media=media)
        ingress = Ingress(store.leases, "secret")
        replicas = ReplicaSet(cluster, settings, store.leases, count)
        replicas.start()
        app = create_ingress(ingress, NO_RATES)
        server = uvicorn.Server(server_config(app, NO_RATES, log_config=None))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = Thread(target=server.run, kwargs={"sockets": [listener]})
            thread.start()
            try:
                until(lambda: server.started)
                yield Replicated(store, replicas, listener.getsockname()[1])
            finally:
                server.should_exit = True
                thread.join()
                replicas.close()
