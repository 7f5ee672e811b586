"""Any endpoint that speaks OpenAI's chat completions: it is asked again after what may pass, and billed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

Answer = TypeVar("Answer")
_LONGEST_WAIT_SECONDS = 60.0
_MOST_QUOTED = 200


class EndpointError(ValueError):
    """An endpoint gave no usable answer; the message says why."""


class EndpointRefusal(EndpointError):
    """It refuses the request, and would again; the message is whole, and says what to do."""


class UnreadableAnswerError(EndpointError):
    """It answers, but never with what it was asked for."""


@dataclass(frozen=True)
class Whom:
    """Which endpoint is asked, and how patiently."""

    url: str
    """Base address, such as http://localhost:8000/v1."""
    model: str
    key_variables: tuple[str, ...]
    """Environment variables that the key is taken from; the first that is set."""
    tries: int = 3
    """First one included."""
    timeout_seconds: float = 20.0
    requests_per_minute: float | None = None
    package: str = "serve"
    """The extra of this package that brings the HTTP client."""


class ChatEndpoint:
    """Asks an endpoint, and counts what that takes. The key is in no message.

    Args:
        whom: Which one, and how patiently.
        sleep: Waits so many seconds.
    """

    def __init__(self, whom: Whom, sleep: Callable[[float], None] = time.sleep) -> None:
        self.whom, self._sleep = whom, sleep
        self.requests = self.input_tokens = self.output_tokens = 0
        self._last_request = -float("inf")
        self._client = _client(whom)

    def ask(
        self,
        messages: Sequence[dict[str, Any]],
        read: Callable[[str], Answer | None],
        before: Callable[[], None] = lambda: None,
    ) -> Answer:
        """Ask until an answer can be read.

        Args:
            messages: As chat completions have them.
            read: Understands an answer; None for one that will not do.
            before: Called before every request; what it raises ends the asking.

        Raises:
            EndpointRefusal: If the request is refused.
            UnreadableAnswerError: If the last of the answers could not be read.
            EndpointError: If there was none.
        """
        body = {"model": self.whom.model, "messages": list(messages)}
        problem, answer = "", None
        for attempt in range(self.whom.tries):
            before()
            problem, wait, answer = self._ask(body)
            if answer is not None:
                understood = read(answer)
                if understood is not None:
                    return understood
                problem = f"it answered {self._quoted(answer)}, which is not the JSON that was asked for"
            if attempt + 1 < self.whom.tries:
                self._sleep(min(_LONGEST_WAIT_SECONDS, wait or 2.0**attempt))
        raise (EndpointError if answer is None else UnreadableAnswerError)(problem)

    def _ask(self, body: dict[str, Any]) -> tuple[str, float, str | None]:
        """Ask once: what went wrong, how long to wait for the next try, and the answer."""
        import httpx

        self._pace()
        self.requests += 1
        headers = {"Authorization": f"Bearer {key}"} if (key := self._key()) else {}
        address = self.whom.url.rstrip("/") + "/chat/completions"
        try:
            response = self._client.post(address, json=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return f"{type(error).__name__}: {error}", 0.0, None
        if response.status_code == 429 or response.status_code >= 500:
            return f"status {response.status_code}", _seconds(response.headers.get("retry-after")), None
        if response.status_code >= 400:
            said = self._hidden(response.text[:_MOST_QUOTED])
            raise EndpointRefusal(
                f"The endpoint {self.whom.url} refuses the request (status {response.status_code}: {said}); "
                f"check its address, the model's name and the key ({' or '.join(self.whom.key_variables)})."
            )
        try:
            told = response.json()
            usage = told.get("usage") or {}
            self.input_tokens += int(usage.get("prompt_tokens") or 0)
            self.output_tokens += int(usage.get("completion_tokens") or 0)
            return "", 0.0, str(told["choices"][0]["message"]["content"])
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            return f"it sent {self._quoted(response.text)}", 0.0, None

    def _quoted(self, text: str) -> str:
        return repr(self._hidden(text[:_MOST_QUOTED]))

    def _hidden(self, text: str) -> str:
        """A text without the key, which a server may send back."""
        key = self._key()
        return text.replace(key, "...") if key else text

    def _key(self) -> str | None:
        return next((os.environ[name] for name in self.whom.key_variables if os.environ.get(name)), None)

    def _pace(self) -> None:
        if self.whom.requests_per_minute is not None:
            due = self._last_request + 60 / self.whom.requests_per_minute
            if (left := due - time.monotonic()) > 0:
                self._sleep(left)
        self._last_request = time.monotonic()


def _client(whom: Whom) -> Any:
    try:
        import httpx
    except ImportError as error:
        package = f'pip install "shotstream[{whom.package}]"'
        raise ImportError(f"Asking an endpoint needs httpx: {package}") from error
    return httpx.Client(timeout=whom.timeout_seconds)


def _seconds(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0
