"""uvicorn as the studio runs it: its limits, and logs without the token."""

from __future__ import annotations

import logging
import resource
from typing import Any

import uvicorn
from fastapi import FastAPI

from shotstream.serving.web.access import Access, HideToken
from shotstream.serving.web.strict_http import StrictHttp
from shotstream.serving.web.strict_websocket import StrictWebSocket

MOST_MESSAGE_BYTES = 64 * 1024
_BACKLOG = 64
"""As many are accepted before it is seen that they are too many."""
_WANTED_FILES = 4096
_SEES_HEADERS = ("uvicorn.error", "uvicorn.access", "uvicorn.asgi")


def server_config(app: FastAPI, access: Access, log_level: str = "warning", **options: Any) -> uvicorn.Config:
    """Configure the server of an app.

    Args:
        app: The studio's.
        access: Who may ask; behind a proxy, the proxy on this machine says who that is.
        log_level: ``warning``, ``info`` (requests) or ``debug``.
        options: Of uvicorn, instead of what is said here.
    """
    settings: dict[str, Any] = {
        "log_level": log_level,
        "access_log": log_level != "warning",
        "http": StrictHttp,
        "ws": StrictWebSocket,
        "ws_max_size": MOST_MESSAGE_BYTES,
        "ws_per_message_deflate": False,  # what goes out is compressed already
        "timeout_graceful_shutdown": 2,
        "server_header": False,
        "backlog": _BACKLOG,
        "proxy_headers": access.is_proxied,
        "forwarded_allow_ips": ["127.0.0.1", "::1", "::ffff:127.0.0.1"],
    }
    config = uvicorn.Config(app, **(settings | options))
    if access.token:
        for name in _SEES_HEADERS:
            logging.getLogger(name).addFilter(HideToken(access.token))
    return config


def allow_files() -> None:
    """Let the process have more files open than most systems begin with, if it may."""
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_FILES if most < 0 else min(_WANTED_FILES, most)
    if 0 <= files < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
