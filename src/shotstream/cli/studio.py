"""`shotstream studio`: a page on which a person directs a story while it is generated."""

from __future__ import annotations

import gc
import logging
import os
import secrets
import signal
import socket
import sys
import webbrowser
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from rich.markup import escape

from shotstream.cli.shared.adapting import AdapterModel, AdapterUrl
from shotstream.cli.shared.console import console
from shotstream.cli.shared.loras import Loras, name_loras, read_loras, use_loras
from shotstream.cli.shared.model import (
    KvCacheFormat,
    MemoryRuleName,
    apply_mode,
    check_choices,
    load,
    set_memory_rule,
)
from shotstream.cli.shared.ray import RayAddress
from shotstream.loading.folders import locate_model
from shotstream.loading.lora_files import Lora
from shotstream.machine.stopping import stop_signals
from shotstream.prompts.adapter import open_endpoint

if TYPE_CHECKING:
    from shotstream.serving.protocol.events import Limits
    from shotstream.serving.quotas import Quotas
    from shotstream.serving.served_model import ServedModel
    from shotstream.serving.storage.store import Store
    from shotstream.serving.web.access import Access

app = typer.Typer(add_completion=False)

Replicas = Annotated[
    int, typer.Option(min=1, help="With --ray: processes that tell stories, one a GPU or core.")
]
Media = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Where latents, video, pictures and sounds are kept: s3://BUCKET/FOLDER, any address of fsspec "
        "\\[default: the library; once given, the library remembers it]",
    ),
]
MostReplicas = Annotated[
    int | None,
    typer.Option(min=1, help="With --ray: how many there may be while stories wait for a place."),
]


@app.command()
def studio(
    library: Annotated[
        Path, typer.Option(metavar="DIR", help="Where stories are kept; made if missing.")
    ] = Path("library"),
    model: Annotated[str, typer.Option(help="mini, a model folder, or a name on the hub.")] = "mini",
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen at; one that other machines reach asks for the token that is printed."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes any that is free.")
    ] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="SHOTSTREAM_TOKEN",
            help="The token to ask for; without it one is made up where the address needs one.",
        ),
    ] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="Address of a proxy that the page is opened through, such as https://a.example.",
        ),
    ] = None,
    root_path: Annotated[
        str, typer.Option(metavar="PATH", help="Path under which the proxy has the studio, such as /studio.")
    ] = "",
    database: Annotated[
        str | None, typer.Option(metavar="URL", help="SQLAlchemy URL; by default SQLite in the library.")
    ] = None,
    media: Media = None,
    lookahead: Annotated[
        float, typer.Option(min=0.1, max=60, help="Most seconds that are made ahead of what is watched.")
    ] = 2.0,
    stories: Annotated[int, typer.Option(min=1, max=256, help="Most stories open at once.")] = 8,
    viewers: Annotated[
        int, typer.Option(min=1, max=100_000, help="Most viewers at once; with --ray, of each replica.")
    ] = 64,
    most_stories: Annotated[int, typer.Option(min=1, help="Most stories in the library.")] = 10_000,
    most_branches: Annotated[int, typer.Option(min=0, help="Most branches of one story.")] = 100,
    most_uploads: Annotated[int, typer.Option(min=0, help="Most pictures brought to the library.")] = 1_000,
    most_gib: Annotated[
        float | None, typer.Option(min=0.01, help="Most GiB that the library may take \\[default: no limit]")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    decoder: Annotated[str, typer.Option(help="full, or tiny: shows frames sooner.")] = "full",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    text: Annotated[
        str, typer.Option(help="Where the text encoder lives: auto, resident, cpu, int8 or release.")
    ] = "auto",
    mode: Annotated[
        str, typer.Option(help="auto, plain, compiled (and fast attention), fast (8-bit layers, too).")
    ] = "auto",
    kv_cache: KvCacheFormat = "auto",
    memory_rule: MemoryRuleName = "auto",
    adapter: AdapterUrl = None,
    adapter_model: AdapterModel = None,
    lora: Loras = None,
    open_page: Annotated[
        bool, typer.Option("--open/--no-open", help="In a terminal, open the page in a browser.")
    ] = True,
    log_level: Annotated[
        str, typer.Option(help="warning, info (requests) or debug (may name prompts).")
    ] = "warning",
    ray: RayAddress = None,
    replicas: Replicas = 1,
    most_replicas: MostReplicas = None,
) -> None:
    """Open the studio: a page on which you direct a story and watch it while it is generated."""
    check_choices(
        dtype=dtype, text=text, mode=mode, kv_cache=kv_cache, decoder=decoder, memory_rule=memory_rule
    )
    locate_model(model)
    loras = name_loras(lora or [])
    from shotstream.serving.protocol.events import Limits
    from shotstream.serving.quotas import Quotas

    if log_level not in ("warning", "info", "debug"):
        raise ValueError(f"--log-level is {log_level!r}; give warning, info or debug.")
    logging.basicConfig(level=log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    access = _access(host, token, origin or [], root_path)
    limits = Limits(lookahead_seconds=lookahead, open_stories=stories, viewers=viewers)
    quotas = Quotas(
        most_stories, most_branches, most_uploads, None if most_gib is None else int(most_gib * 2**30)
    )
    open_endpoint(adapter, adapter_model)  # what is wrong with it is told before the model is loaded
    how = _How(decoder, dtype, text, mode, kv_cache, memory_rule, adapter, adapter_model, loras)
    load_there = partial(_served, model, how)
    if ray:
        wanted = _Wanted(ray, device, replicas, most_replicas, database)
        open_app = partial(_replicated, wanted, load_there, limits, quotas, access)
    else:
        warn_if_alone(replicas, most_replicas)
        open_app = partial(_alone, partial(load_there, device), limits, quotas, access)
    open_store = partial(_open_store, library, database, media)
    _serve(host, port, library, open_store, access, log_level, open_page, open_app)


def _access(host: str, token: str | None, origins: Sequence[str], root_path: str) -> Access:
    """Who may ask; a token is made up where the address needs one."""
    from shotstream.serving.web.access import LOOPBACK, Access

    if token is None and not LOOPBACK.issuperset([host, *map(_host_of, origins)]):
        token = secrets.token_urlsafe(24)
    return Access(token, origins=tuple(origins), root_path=root_path)


def _serve(
    host: str,
    port: int,
    library: Path,
    open_store: Callable[[], Store],
    access: Access,
    log_level: str,
    open_page: bool,
    open_app: Callable[[Store], AbstractContextManager[Any]],
) -> None:
    """Serve the app of a library until a signal ends it."""
    import uvicorn

    from shotstream.serving.web.access import LOOPBACK
    from shotstream.serving.web.server import allow_files, server_config

    allow_files()
    _hand_on_hangups()
    with _listen(host, port) as listener, open_store() as store, open_app(store) as app:
        config = server_config(app, access, log_level)
        gc.freeze()  # what is loaded by now stays: no chunk waits until it was looked through for garbage
        page = _greet(host, listener.getsockname()[1], access, library)
        if open_page and host in LOOPBACK and _has_screen():
            webbrowser.open(page)  # the address is taken already: the browser waits until it is served
        with suppress(KeyboardInterrupt):  # by which it hands on the signal that has ended it
            uvicorn.Server(config).run(sockets=[listener])
        for number in stop_signals():  # closing takes a moment, in which no second one should cut it short
            signal.signal(number, signal.SIG_IGN)
    console.print(f"Closed. The stories are in {escape(str(library))}/.")


def _open_store(library: Path, database: str | None, media: str | None) -> Store:
    if library.exists() and not library.is_dir():
        raise ValueError(f"--library {library} is a file; name a folder, which need not exist yet.")
    from shotstream.serving.storage.store import Store

    return Store(library, database, media=media)


class _Wanted(NamedTuple):
    """Which replicas, and where."""

    address: str
    device: str
    least: int
    most: int | None
    database: str | None


def warn_if_alone(replicas: int, most_replicas: int | None) -> None:
    """Say that options of replicas change nothing without a cluster."""
    if replicas > 1 or most_replicas:
        console.print("[yellow]--replicas and --most-replicas have no effect without --ray.[/yellow]")


@contextmanager
def _alone(
    load_model: Callable[[], ServedModel], limits: Limits, quotas: Quotas, access: Access, store: Store
) -> Iterator[Any]:
    """The studio of this machine alone, as an ASGI app."""
    from shotstream.serving.studio import Studio
    from shotstream.serving.web.app import create_app

    yield create_app(Studio(store, load_model(), limits, quotas), access)


@contextmanager
def _replicated(
    wanted: _Wanted,
    load_there: Callable[..., ServedModel],
    limits: Limits,
    quotas: Quotas,
    access: Access,
    store: Store,
) -> Iterator[Any]:
    """Have replicas of the studio on a cluster; its block gets the ingress to them, as an ASGI app."""
    from shotstream.machine.cluster import LOCAL, join_cluster
    from shotstream.serving.cluster.ingress import Ingress, create_ingress
    from shotstream.serving.cluster.replica import ReplicaSettings
    from shotstream.serving.cluster.replica_set import ReplicaSet

    for sentence in store.sweep().sentences:
        console.print(f"library {escape(str(store.folder))}: {escape(sentence)}")
    with join_cluster(wanted.address, wanted.device) as cluster:
        if cluster.machines > 1 and wanted.database is None:
            raise ValueError(
                "Several machines cannot share a library's SQLite file; give --database with the URL of a "
                "PostgreSQL that they all reach."
            )
        secret, host = secrets.token_urlsafe(24), "127.0.0.1" if wanted.address == LOCAL else ""
        open_model = partial(load_there, cluster.device)
        settings = ReplicaSettings(
            store.folder.absolute(),
            wanted.database,
            open_model,
            secret,
            limits,
            quotas,
            host,
            store.media.url,
        )
        store.leases.clear()
        ingress = Ingress(store.leases, secret)
        replicas = ReplicaSet(
            cluster,
            settings,
            store.leases,
            wanted.least,
            wanted.most,
            waiting=lambda: ingress.placement.waiting,
        )
        with console.status("starting the replicas"):
            replicas.start()
        try:
            yield create_ingress(ingress, access)
        finally:
            replicas.close()


def _host_of(origin: str) -> str:
    from shotstream.serving.web.access import Origin

    page = Origin.parse(origin)
    return page.name if page else origin  # which is refused later


def _hand_on_hangups() -> None:
    """Turn SIGHUP (a closed terminal) into SIGTERM, which uvicorn ends by as it does by Ctrl-C."""
    for number in stop_signals():
        if number.name == "SIGHUP":
            signal.signal(number, lambda *_: signal.raise_signal(signal.SIGTERM))


def _listen(host: str, port: int) -> socket.socket:
    """Take the address before the model is loaded: whether it is free is known at once."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        both = host == "::" and socket.has_dualstack_ipv6()
        return socket.create_server((host, port), family=family, dualstack_ipv6=both)
    except OSError as error:
        raise ValueError(
            f"cannot listen at {host}:{port} ({error.strerror or error}); is another studio running there? "
            "Give another --port."
        ) from error


def _has_screen() -> bool:
    """Whether a person is at this terminal and its machine can show a page; else a text browser may open."""
    shows = sys.platform != "linux" or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())
    return console.is_terminal and shows


def _greet(host: str, port: int, access: Access, library: Path) -> str:
    """Say where the studio is, and return the page's address."""
    name = f"[{host}]" if ":" in host else host
    if host in ("0.0.0.0", "::"):
        name = socket.gethostname()  # what others may know this machine by
    query = f"/{access.query}" if access.query else ""
    page = f"http://{name}:{port}{query}"
    console.print(f"Studio: [bold]{escape(page)}[/bold]")
    for origin in access.origins:
        console.print(
            f"At the proxy: [bold]{escape(origin + access.root_path)}/{escape(access.query)}[/bold]"
        )
    console.print(f"Stories are kept in {escape(str(library))}/. Ctrl-C ends; nothing is lost.")
    return page


class _How(NamedTuple):
    """How a model is loaded and used."""

    decoder: str = "full"
    dtype: str = "auto"
    text: str = "auto"
    mode: str = "auto"
    kv_cache: str = "auto"
    memory_rule: str = "auto"
    adapter: str | None = None
    adapter_model: str | None = None
    loras: Mapping[str, Lora] = MappingProxyType({})


def _served(model: str, how: _How, device: str) -> ServedModel:
    from shotstream.evaluation.continuity_tools import find_meter
    from shotstream.loading.hashes import hash_weights
    from shotstream.serving.served_model import ServedModel
    from shotstream.streaming.speed import changes_of_numbers

    adapters = read_loras(how.loras)
    pipeline, _ = load(model, device, how.dtype, how.text)
    set_memory_rule(pipeline, how.memory_rule)
    use_loras(pipeline, how.loras, adapters)
    computing = apply_mode(pipeline, how.mode, how.kv_cache)["computing"]
    with console.status("reading the weights' hash"):
        weights = hash_weights(pipeline.fetch(model))
    number = str(pipeline.transformer.dtype).removeprefix("torch.")
    differs = {number: number != "float32", how.kv_cache: how.kv_cache != "auto"}
    numbers = [how for how, is_so in differs.items() if is_so] + changes_of_numbers(computing)
    name = " ".join([Path(model).name, *numbers])
    endpoint = open_endpoint(how.adapter, how.adapter_model)
    return ServedModel(pipeline, name, weights, how.decoder, partial(find_meter, pipeline), endpoint)
