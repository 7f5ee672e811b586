"""The real `shotstream studio` as a process of its own, to be measured, loaded and killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

_START = "from shotstream.cli.main import app; app()"


class StudioProcess:
    """A studio with mini on a library; what it prints goes to ``studio.log`` beside the library.

    Args:
        library: Its folder.
        port: Where it listens; the same one after a restart.
    """

    def __init__(self, library: Path, port: int) -> None:
        self.port = port
        self.started_at = time.monotonic()
        """When the process began, on the clock `time.monotonic`."""
        command = [sys.executable, "-c", _START, "studio", "--library", str(library), "--port", str(port)]
        with library.with_name("studio.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self) -> None:
        """End it at once, as kill -9 does."""
        self.process.kill()
        self.process.wait()

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it by a signal as Ctrl-C does; kill it if that takes more than a minute."""
        self.process.send_signal(number)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()

    def wait_ready(self, most_seconds: float = 120) -> None:
        """Wait until its model is warm.

        Raises:
            TimeoutError: If that takes too long.
        """
        end = time.monotonic() + most_seconds
        while time.monotonic() < end:
            connection = HTTPConnection("127.0.0.1", self.port, timeout=most_seconds)
            try:
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                pass
            finally:
                connection.close()
            time.sleep(0.1)
        raise TimeoutError(f"the studio at port {self.port} is not ready; see studio.log beside its library")

    def ask(self, path: str, body: dict[str, Any] | None = None) -> str:
        """Ask for a path over HTTP; with a body as POST."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read().decode()

    def begin_story(self, setting: str, seed: int) -> str:
        """Begin a story; return its id."""
        return json.loads(self.ask("/api/stories", {"setting": setting, "seed": seed}))["story"]

    @property
    def resident_bytes(self) -> int:
        """Memory of the process that is in use now (Linux)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1024

    @property
    def processor_seconds(self) -> float:
        """Time that processors worked for it so far (Linux): hardly longer where others use them too."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
