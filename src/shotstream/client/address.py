"""Where a studio is, and how it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

try:
    import httpx
    from websockets.exceptions import ConnectionClosed
except ImportError as error:
    raise ImportError('The client needs httpx and websockets: pip install "shotstream[client]"') from error

from shotstream.client.feed import StudioError


@dataclass(frozen=True)
class Address:
    """A studio's address.

    Args:
        url: ``http://`` or ``https://``, with the path that a proxy may have put before the studio's.
        token: What the studio printed when it started; None where it asks for none.

    Raises:
        ValueError: If the address is none of HTTP.
    """

    url: str
    token: str | None = None

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"the studio's address is {self.url!r}; begin it with http:// or https://")

    @property
    def headers(self) -> dict[str, str]:
        """What every request brings."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    @property
    def base(self) -> str:
        """The address that paths are put behind."""
        return self.url.rstrip("/")

    @property
    def live(self) -> str:
        """The address of the socket."""
        return f"ws{self.base.removeprefix('http')}/api/live"


def answered(answer: httpx.Response) -> httpx.Response:
    """An answer as it is.

    Raises:
        StudioError: If it says why not.
    """
    if answer.is_success:
        return answer
    try:
        sentence = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        sentence = (
            f"{answer.url} answers {answer.status_code} {answer.reason_phrase}; is it a studio's address?"
        )
    raise StudioError(sentence, answer.status_code)


def new_story(setting: str, seed: int, title: str) -> dict[str, Any]:
    """The body of `POST /api/stories`."""
    return {"setting": setting, "seed": seed, "title": title}


def why_closed(error: ConnectionClosed) -> StudioError:
    """A connection that the studio has ended."""
    code = error.rcvd.code if error.rcvd else 1006
    reason = (
        error.rcvd.reason
        if error.rcvd and error.rcvd.reason
        else "the connection was lost; open the story again"
    )
    return StudioError(reason, code)
