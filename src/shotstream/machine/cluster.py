"""Work on the processes of a Ray cluster: the one file that knows Ray, apart from `serving/cluster`.

Ray is imported when a cluster is asked for. What a worker does is said by a function that can be pickled; it
is called once in each worker, and gives the function that does one piece. A piece whose worker is lost is
done again by another; pieces that are done stay done.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from types import ModuleType

Piece = TypeVar("Piece")
Result = TypeVar("Result")

LOCAL = "local"
"""In place of an address: a cluster of this machine alone, which ends with the command."""
RETRIES = 3
"""How often a piece is done again when its worker is lost."""
_SETTINGS = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}


class ClusterError(ValueError):
    """The cluster cannot be had, or lost a piece too often; the message says what to do."""


class Workers(Generic[Piece, Result]):
    """Processes that all do the same to pieces; made by `Cluster.workers`.

    Args:
        make: Is called once in each process and gives what does a piece. It can be pickled.
        processes: Gives so many processes, as Ray actors.
    """

    def __init__(
        self, make: Callable[[], Callable[[Piece], Result]], processes: Callable[[int], list[Any]]
    ) -> None:
        self._make, self._processes = load_ray().put(make), processes
        self.busy = False
        """Whether pieces are being done."""

    def map(self, pieces: Iterable[Piece]) -> Iterator[tuple[int, Result]]:
        """Do pieces, each in some process.

        Yields:
            The number of a piece, from 0, and its result, in the order in which they are done.

        Raises:
            ClusterError: If a piece loses its worker again and again.
            Exception: What doing a piece raised, as it was raised there.
        """
        ray = load_ray()
        from ray.util import ActorPool

        numbered = list(enumerate(pieces))
        if not numbered:
            return
        self.busy = True
        pool: Any = ActorPool(self._processes(len(numbered)))
        try:
            yield from pool.map_unordered(lambda actor, one: actor.do.remote(self._make, *one), numbered)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except ray.exceptions.RayActorError as error:
            raise ClusterError(
                f"A piece of work lost its worker {RETRIES + 1} times, perhaps for want of memory: what is "
                "finished is kept, and the same command goes on; fewer workers take less."
            ) from error
        self.busy = False


def in_order(numbered: Iterable[tuple[int, Result]]) -> Iterator[Result]:
    """Give results in the order of their numbers; those that come early wait."""
    early: dict[int, Result] = {}
    due = 0
    for number, result in numbered:
        early[number] = result
        while due in early:
            yield early.pop(due)
            due += 1


class _Worker:
    """One process: it keeps what it made last, such as a model, for the pieces that follow."""

    def __init__(self, folder: str) -> None:
        with suppress(OSError):  # a folder that only the command's machine has
            os.chdir(folder)
        self._maker = b""
        self._work: Callable[[Any], Any] | None = None

    def do(self, make: Callable[[], Callable[[Any], Any]], number: int, piece: Any) -> tuple[int, Any]:
        """Do a piece; return it with its number."""
        if self._work is None or pickle.dumps(make) != self._maker:
            self._work = None  # what it holds goes before the next comes
            self._work, self._maker = make(), pickle.dumps(make)
        return number, self._work(piece)


class Cluster:
    """A Ray cluster that this process has joined. Its processes are kept from one kind of work to the next.

    Args:
        device: What its workers compute on: ``auto`` (GPUs if the cluster has any), ``cpu`` or ``cuda``.

    Raises:
        ClusterError: If it has no such device.
    """

    def __init__(self, device: str = "auto") -> None:
        if device not in ("auto", "cpu", "cuda"):
            raise ClusterError(
                f"With --ray the device is auto, cpu or cuda, not {device!r}: Ray says which GPU."
            )
        has = load_ray().cluster_resources()
        self._cores, gpus = max(1, int(has.get("CPU", 1))), int(has.get("GPU", 0))
        if device == "cuda" and not gpus:
            raise ClusterError("The cluster has no GPU; give --device cpu, or an address of one that has.")
        self.device = "cuda" if gpus and device != "cpu" else "cpu"
        """What workers compute on, by its name."""
        self.size = gpus if self.device == "cuda" else self._cores
        """How many workers have room at a time."""
        self._actors: dict[bool, list[Any]] = {True: [], False: []}

    @property
    def machines(self) -> int:
        """How many machines it has."""
        return sum(node["Alive"] for node in load_ray().nodes())

    @contextmanager
    def workers(
        self,
        make: Callable[[], Callable[[Piece], Result]],
        most: int | None = None,
        device: str | None = None,
    ) -> Iterator[Workers[Piece, Result]]:
        """Have processes that do pieces until the block ends; what is not finished then is dropped.

        Args:
            make: See `Workers`.
            most: How many processes; as many as have room if it is not given.
            device: ``cpu`` for work that uses no GPU wherever there are some.
        """
        gpu = self.device == "cuda" and device != "cpu"
        size = most or (self.size if gpu else self._cores)
        workers = Workers(make, lambda pieces: self._processes(gpu, min(size, pieces)))
        try:
            yield workers
        finally:
            if workers.busy:
                self.end_processes()

    def train(self, entry: Callable[[], None], processes: int, folder: Path) -> None:
        """Run what torchrun would run, in processes that Ray Train starts and starts again when one is lost.

        Args:
            entry: What each does; it reads RANK, LOCAL_RANK and WORLD_SIZE, and can be pickled.
            processes: How many.
            folder: Gets what Ray Train keeps of its own.

        Raises:
            ClusterError: If the processes do not fit the cluster.
            Exception: What a process raised, as it was raised there.
        """
        if processes > self.size:
            raise ClusterError(
                f"{processes} processes do not fit the cluster, which has room for {self.size} on "
                f"{self.device}; give at most so many --devices."
            )
        load_ray()
        from ray.train import FailureConfig, RunConfig, ScalingConfig, WorkerGroupError
        from ray.train.torch import TorchTrainer

        self.end_processes()  # theirs is the room
        scaling = ScalingConfig(num_workers=processes, use_gpu=self.device == "cuda")
        failures = FailureConfig(max_failures=RETRIES)
        config = RunConfig(storage_path=str(folder.absolute()), failure_config=failures)
        trainer = TorchTrainer(partial(_enter, entry, os.getcwd()), scaling_config=scaling, run_config=config)
        try:
            trainer.fit()
        except WorkerGroupError as error:
            raise next(iter(error.worker_failures.values())) from None

    def end_processes(self) -> None:
        """End all processes."""
        for actor in (*self._actors[True], *self._actors[False]):
            load_ray().kill(actor)
        self._actors = {True: [], False: []}

    def _processes(self, gpu: bool, count: int) -> list[Any]:
        """So many processes; those with a GPU take the places of those without, and the other way round."""
        ray = load_ray()
        if self._actors[not gpu]:
            self.end_processes()
        share = {"num_gpus": 1} if gpu else {"num_cpus": 1}
        actor = ray.remote(max_restarts=-1, max_task_retries=RETRIES, **share)(_Worker)
        missing = count - len(self._actors[gpu])
        self._actors[gpu] += [actor.remote(os.getcwd()) for _ in range(missing)]
        return self._actors[gpu][:count]


def _enter(entry: Callable[[], None], folder: str) -> None:
    with suppress(OSError):
        os.chdir(folder)
    entry()


@contextmanager
def join_cluster(address: str, device: str = "auto") -> Iterator[Cluster]:
    """Join a Ray cluster until the block ends; one that this process has joined already is used as it is.

    Args:
        address: ``local``, ``auto`` (the cluster that this machine is part of), ``HOST:PORT``, or
            ``ray://HOST:PORT``.
        device: See `Cluster`.

    Raises:
        ImportError: If Ray is missing, with the line that installs it.
        ClusterError: If there is no cluster at the address.
    """
    check_address(address)
    ray = load_ray()
    if ray.is_initialized():
        cluster = Cluster(device)
        try:
            yield cluster
        finally:
            cluster.end_processes()
        return
    try:
        if address == LOCAL:
            ray.init(address="local", **_SETTINGS)
        else:
            ray.init(address=address, **_SETTINGS)
    except (ConnectionError, RuntimeError, OSError) as error:
        raise ClusterError(
            f"There is no Ray cluster at {address} ({_first_line(error)}); start one there, "
            "or give --ray local to use this machine alone."
        ) from error
    try:
        yield Cluster(device)
    finally:
        ray.shutdown()


def check_address(address: str) -> None:
    """Complain of an address that is none, such as a word that was meant for something else.

    Raises:
        ClusterError: If it is none.
    """
    name, _, port = address.removeprefix("ray://").rpartition(":")
    if address not in (LOCAL, "auto") and not (name and port.isdigit()):
        raise ClusterError(
            f"{address!r} is no address of a Ray cluster: give local, auto, HOST:PORT or ray://HOST:PORT."
        )


def own_address() -> str:
    """By which address the other machines of the cluster know this one."""
    return load_ray().util.get_node_ip_address()


def load_ray() -> ModuleType:
    """Import Ray.

    Raises:
        ImportError: With the line that installs it.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else Ray warns of its own change
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told that it runs here
    try:
        import ray
    except ImportError as error:
        raise ImportError('Ray is missing, which --ray needs: pip install "shotstream[cluster]"') from error
    return ray


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
