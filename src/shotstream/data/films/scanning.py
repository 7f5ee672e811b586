"""Scans of many films, by several processes; each is kept as soon as it is finished."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path

from shotstream.data.films.artefacts import Artefacts, stage_key
from shotstream.data.films.decode import FilmError, FilmFacts
from shotstream.data.films.scan import MIN_CONTENT, MIN_RATIO, SCAN_HEIGHT, FilmScan, scan
from shotstream.data.films.second_opinion import agreement
from shotstream.machine.cluster import Cluster

_VERSION = 2
_STAGE = "scans"


@dataclass(frozen=True)
class ScannedFile:
    """What is known of a file."""

    file: Path
    digest: str
    """SHA-256 of its contents; empty if they cannot be read."""
    facts: FilmFacts | None
    """None if it is no film."""
    error: str
    """Why not."""
    array: Path
    """Where its `FilmScan` is."""
    agreement: dict[str, int] | None = None
    """Cuts of either detector, and how many of them both have; None without a second opinion."""
    new: bool = False
    """Whether it was scanned just now."""

    def read(self) -> FilmScan:
        """Read the scan."""
        return FilmScan.read(self.array)


def scan_files(
    files: Sequence[Path],
    artefacts: Artefacts,
    second_opinion: bool,
    workers: int | None,
    cluster: Cluster | None = None,
) -> Iterator[ScannedFile]:
    """Scan files that were not scanned before.

    Args:
        files: Video files.
        artefacts: Where scans are kept.
        second_opinion: Whether TransNetV2 looks for cuts, too.
        workers: How many processes; with 1 it is done by this one.
        cluster: Has the processes, if there is one; all its machines see the files under the same names.

    Yields:
        All of them, in the order in which they are finished.
    """
    if cluster is not None:
        make = partial(_scanner, artefacts.folder, second_opinion)
        with cluster.workers(make, workers, device="cpu") as processes:
            for _, done in processes.map(files):
                yield done
        return
    if workers == 1 or len(files) == 1:
        for file in files:
            yield scan_file(file, artefacts.folder, second_opinion)
        return
    with _processes(workers or 1) as executor:
        waiting = [executor.submit(scan_file, file, artefacts.folder, second_opinion) for file in files]
        for done in as_completed(waiting):
            yield done.result()


def _scanner(folder: Path, second_opinion: bool) -> Callable[[Path], ScannedFile]:
    return partial(scan_file, folder=folder, second_opinion=second_opinion)


def scan_file(file: Path, folder: Path, second_opinion: bool) -> ScannedFile:
    """Scan a file, unless its scan is in the folder of artefacts already."""
    artefacts = Artefacts(folder)
    try:
        digest = artefacts.digest(file)
    except OSError as error:
        return ScannedFile(file, "", None, str(error.strerror or error), Path())
    key = stage_key(_VERSION, digest, second_opinion, MIN_CONTENT, MIN_RATIO, SCAN_HEIGHT)
    array, known = artefacts.path(_STAGE, key, ".npz"), artefacts.read(_STAGE, key)
    new = known is None
    if known is None:
        known = _scan(file, array, second_opinion)
        artefacts.write(_STAGE, key, known)
    facts = FilmFacts(**known["facts"]) if known["facts"] else None
    return ScannedFile(file, digest, facts, known["error"], array, known["agreement"], new)


def _scan(file: Path, array: Path, second_opinion: bool) -> dict:
    try:
        facts, seen = scan(file, second_opinion)
    except FilmError as error:
        return {"facts": None, "error": str(error), "agreement": None}
    seen.write(array)
    agreed = None
    if seen.second_cuts is not None:
        first, second = seen.cuts.tolist(), seen.second_cuts.tolist()
        agreed = {
            "pyscenedetect": len(first),
            "transnetv2": len(second),
            "both": agreement(first, second),
        }
    return {"facts": asdict(facts), "error": "", "agreement": agreed}


@contextmanager
def _processes(count: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end when this one does, even if it is killed; on an exception they drop what waits."""
    context, others = multiprocessing.get_context("spawn"), set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(count, context, initializer=_end_with_parent)
    try:
        yield executor
    except BaseException as error:
        executor.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()  # what they had not finished is scanned anew
        if isinstance(error, BrokenProcessPool):
            raise FilmError(
                "A process that looked at films was ended from outside, perhaps for want of memory; the same "
                "command goes on, and fewer --workers take less."
            ) from error
        raise
    executor.shutdown()


def _end_with_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits for this one
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def unique(files: Iterable[Path]) -> list[Path]:
    """Each file once, in the order of their first appearance."""
    return list(dict.fromkeys(files))
