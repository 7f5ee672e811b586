"""Captions from any endpoint that speaks OpenAI's chat completions: retries, limits, and what it costs."""

from __future__ import annotations

import json
import os
import re
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

import numpy as np

from shotstream.data.films.artefacts import stage_key
from shotstream.data.films.captioning import CaptionError, NoCaptionError, WrittenCaptions
from shotstream.data.films.settings import EndpointSettings
from shotstream.media.pictures import pillow

KEY_VARIABLES = ("SHOTSTREAM_CAPTION_KEY", "OPENAI_API_KEY")
"""Environment variables that the key is taken from."""
QUESTION = (
    "These are stills of {shots} consecutive shots of one film, {stills} of each, in order. Describe them "
    'for a model that will generate such films. Answer with JSON only: {{"setting": "who is in it, what they '
    'look like, and where it is, as far as it holds for all shots, in at most 40 words", "shots": ["what '
    'happens in shot 1, its framing and camera movement, in at most 40 words", ...]}} with exactly {shots} '
    "shots. Call the same person or thing the same in all of them. Do not mention stills, shots or the film."
)
_LONGEST_WAIT_SECONDS = 60.0


class EndpointCaptioner:
    """Asks an endpoint for the captions of a story, one request each.

    Args:
        settings: Whom, and how much.
        sleep: Waits so many seconds.
    """

    def __init__(self, settings: EndpointSettings, sleep: Callable[[float], None] = time.sleep):
        self.settings, self._sleep = settings, sleep
        self.identity = stage_key(settings.model, QUESTION, settings.picture_width)
        self.requests = self.answers = self.input_tokens = self.output_tokens = 0
        self._last_request = -float("inf")
        self._client = _client(settings.timeout_seconds)

    @property
    def cost(self) -> float:
        """What was asked for in this run has cost, by the prices of the settings."""
        settings = self.settings
        tokens = self.input_tokens * settings.input_price + self.output_tokens * settings.output_price
        return tokens / 1e6

    @property
    def asked(self) -> int:
        """Requests of this run."""
        return self.requests

    @property
    def bill(self) -> str:
        """What was asked for, in words."""
        tokens = f"{self.input_tokens} tokens in, {self.output_tokens} out"
        return f"captions: {self.requests} requests, {tokens}, cost {self.cost:.2f}"

    def opened_on(self, device: str) -> None:
        """Nowhere else: its limits hold for all questions together."""

    def caption(self, shots: Sequence[Sequence[np.ndarray]]) -> WrittenCaptions:
        """Caption a story.

        Raises:
            NoCaptionError: If the endpoint answers, but never with what it was asked for.
            CaptionError: If a limit is reached, or the endpoint cannot be asked.
        """
        question = QUESTION.format(shots=len(shots), stills=len(shots[0]))
        content: list[dict[str, Any]] = [{"type": "text", "text": question}]
        for picture in (picture for shot in shots for picture in shot):
            content.append({"type": "image_url", "image_url": {"url": self._data_url(picture)}})
        body = {"model": self.settings.model, "messages": [{"role": "user", "content": content}]}
        problem, error = "", CaptionError
        for attempt in range(self.settings.tries):
            self._check_limits()
            problem, wait, answer = self._ask(body)
            if answer is not None:
                captions = read_answer(answer, len(shots))
                if captions is not None:
                    self.answers += 1
                    return captions
                problem = f"it answered {answer[:200]!r}, which is not the JSON that was asked for"
            error = CaptionError if answer is None else NoCaptionError
            if attempt + 1 < self.settings.tries:
                self._sleep(min(_LONGEST_WAIT_SECONDS, wait or 2.0**attempt))
        raise error(
            f"The endpoint {self.settings.url} captioned no story in {self.settings.tries} tries: {problem}. "
            "What it captioned before is kept; the same command goes on."
        )

    def _ask(self, body: dict[str, Any]) -> tuple[str, float, str | None]:
        """Ask once: what went wrong, how long to wait for the next try, and the answer."""
        import httpx

        self._pace()
        self.requests += 1
        headers = {"Authorization": f"Bearer {key}"} if (key := _key()) else {}
        address = self.settings.url.rstrip("/") + "/chat/completions"
        try:
            response = self._client.post(address, json=body, headers=headers)
        except httpx.HTTPError as error:
            return f"{type(error).__name__}: {error}", 0.0, None
        if response.status_code == 429 or response.status_code >= 500:
            return f"status {response.status_code}", _seconds(response.headers.get("retry-after")), None
        if response.status_code >= 400:
            raise CaptionError(
                f"The endpoint {self.settings.url} refuses the request (status {response.status_code}: "
                f"{response.text[:200]}); check its address, the model's name and the key "
                f"({' or '.join(KEY_VARIABLES)})."
            )
        try:
            told = response.json()
            usage = told.get("usage") or {}
            self.input_tokens += int(usage.get("prompt_tokens") or 0)
            self.output_tokens += int(usage.get("completion_tokens") or 0)
            return "", 0.0, str(told["choices"][0]["message"]["content"])
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            return f"it sent {response.text[:200]!r}", 0.0, None

    def _check_limits(self) -> None:
        settings = self.settings
        if settings.most_requests is not None and self.requests >= settings.most_requests:
            limit = f"most_requests={settings.most_requests}"
        elif settings.most_cost is not None and self.cost >= settings.most_cost:
            limit = f"most_cost={settings.most_cost:g}"
        else:
            return
        raise CaptionError(
            f"The limit {limit} of captions is reached after {self.requests} requests for {self.cost:.2f}; "
            "what was captioned is kept, and the same command with a higher limit goes on."
        )

    def _pace(self) -> None:
        if self.settings.requests_per_minute is not None:
            due = self._last_request + 60 / self.settings.requests_per_minute
            if (left := due - time.monotonic()) > 0:
                self._sleep(left)
        self._last_request = time.monotonic()

    def _data_url(self, picture: np.ndarray) -> str:
        image = pillow().fromarray(np.ascontiguousarray(picture))
        width = min(image.width, self.settings.picture_width)
        stream = BytesIO()
        image.resize((width, max(1, round(image.height * width / image.width)))).save(stream, "JPEG")
        return "data:image/jpeg;base64," + b64encode(stream.getvalue()).decode()


def read_answer(text: str, shots: int) -> WrittenCaptions | None:
    """Understand an answer, also one with words around its JSON; None if it is not what was asked for."""
    found = re.search(r"\{.*\}", text, re.DOTALL)
    try:
        values = json.loads(found[0]) if found else None
        told = [str(shot).strip() for shot in values["shots"]] if values else []
        setting = str(values["setting"]).strip() if values else ""
    except (KeyError, TypeError, ValueError):
        return None
    return WrittenCaptions(setting, tuple(told)) if setting and len(told) == shots and all(told) else None


def _client(timeout_seconds: float) -> Any:
    try:
        import httpx
    except ImportError as error:
        raise ImportError('Asking an endpoint needs httpx: pip install "shotstream[data]"') from error
    return httpx.Client(timeout=timeout_seconds)


def _key() -> str | None:
    return next((os.environ[name] for name in KEY_VARIABLES if os.environ.get(name)), None)


def _seconds(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0
