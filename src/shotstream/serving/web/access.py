"""Who may ask, and from where: the token, the studio's own origins, and logs without the token."""

from __future__ import annotations

import hmac
import logging
import re
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, urlsplit

LOOPBACK = {"127.0.0.1", "localhost", "::1"}

_DEFAULT_PORTS = {"http": 80, "https": 443}
_TOKEN = re.compile(r"[!#-+\--:<-\[\]-~]+")
"""What a cookie can hold as it is (RFC 6265)."""
_ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")


class Origin(NamedTuple):
    """Where a page comes from."""

    scheme: str
    name: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Origin | None:
        """Read ``scheme://name[:port]``; the port is never left out. None if it is nothing of HTTP."""
        try:
            parts = urlsplit(text)
            port = parts.port or _DEFAULT_PORTS[parts.scheme]
        except (ValueError, KeyError):
            return None
        return cls(parts.scheme, parts.hostname, port) if parts.hostname else None


def host_name(host: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Args:
        token: What every request must bring; None where only this machine can ask.
        rates: Whether there is a limit on how often one client asks.
        origins: Where else the studio's page comes from, such as ``https://studio.example.org``: a proxy's.
        root_path: What stands before every path at the proxy, such as ``/studio``; the proxy may take it off.

    Raises:
        ValueError: If one of these cannot be used.
    """

    token: str | None = None
    rates: bool = True
    origins: tuple[str, ...] = ()
    root_path: str = ""

    def __post_init__(self) -> None:
        if self.token == "":
            raise ValueError("The token is empty, so nobody could get in; give one, or leave --token out.")
        if self.token and not _TOKEN.fullmatch(self.token):
            raise ValueError(
                "The token has a character that a cookie cannot hold: use letters, digits and signs, but no "
                'blanks, " , ; \\ and nothing beyond ASCII.'
            )
        for origin in self.origins:
            parsed = Origin.parse(origin)
            if parsed is None or urlsplit(origin).path.strip("/") or urlsplit(origin).query:
                raise ValueError(
                    f"--origin is {origin!r}; give scheme and name, as https://studio.example.org"
                )
        if not _ROOT_PATH.fullmatch(self.root_path):
            raise ValueError(
                f"--root-path is {self.root_path!r}; begin it with / and end it without, as /studio"
            )

    def is_own(self, origin: str, host: str) -> bool:
        """Whether a page of `origin` is the studio's, which was asked for as `host` (a Host header)."""
        page = Origin.parse(origin)
        if page is None:
            return False
        return page in map(Origin.parse, self.origins) or page == Origin.parse(f"{page.scheme}://{host}")

    def watch_key(self, story: str) -> str | None:
        """What lets in who may watch a story and do nothing else; None where no token is asked for."""
        if self.token is None:
            return None
        return hmac.new(self.token.encode(), f"watch {story}".encode(), "sha256").hexdigest()

    def without_root(self, path: str) -> str:
        """A path as the app knows it."""
        behind = path.removeprefix(self.root_path)
        return behind or "/" if behind == "" or behind.startswith("/") else path

    @property
    def is_proxied(self) -> bool:
        """Whether a proxy stands before the studio, which says who asks."""
        return bool(self.origins or self.root_path)

    @property
    def query(self) -> str:
        """What follows the page's address."""
        return f"?token={quote(self.token, safe='')}" if self.token else ""


def cookie_name(port: int) -> str:
    """Name of the cookie that holds the token: browsers keep one jar for all ports of a name."""
    return f"shotstream_token_{port}"


@dataclass(frozen=True)
class HideToken(logging.Filter):
    """Takes the token out of what is logged, such as headers at the level debug.

    Args:
        token: The token.
    """

    token: str

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record, and let it by."""
        said = record.getMessage()
        hidden = said
        for form in (self.token, quote(self.token, safe=""), quote(self.token)):
            hidden = hidden.replace(form, "[token]")
        if hidden != said:
            record.msg, record.args = hidden, ()
        return True
