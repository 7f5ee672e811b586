"""Captions from any endpoint that speaks OpenAI's chat completions: retries, limits, and what it costs."""

from __future__ import annotations

import json
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
from shotstream.prompts.chat_endpoint import (
    ChatEndpoint,
    EndpointError,
    EndpointRefusal,
    UnreadableAnswerError,
    Whom,
)

KEY_VARIABLES = ("SHOTSTREAM_CAPTION_KEY", "OPENAI_API_KEY")
"""Environment variables that the key is taken from."""
QUESTION = (
    "These are stills of {shots} consecutive shots of one film, {stills} of each, in order. Describe them "
    'for a model that will generate such films. Answer with JSON only: {{"setting": "who is in it, what they '
    'look like, and where it is, as far as it holds for all shots, in at most 40 words", "shots": ["what '
    'happens in shot 1, its framing and camera movement, in at most 40 words", ...]}} with exactly {shots} '
    "shots. Call the same person or thing the same in all of them. Do not mention stills, shots or the film."
)


class EndpointCaptioner:
    """Asks an endpoint for the captions of a story, one request each.

    Args:
        settings: Whom, and how much.
        sleep: Waits so many seconds.
    """

    def __init__(self, settings: EndpointSettings, sleep: Callable[[float], None] = time.sleep):
        self.settings = settings
        self.identity = stage_key(settings.model, QUESTION, settings.picture_width)
        self.answers = 0
        whom = Whom(
            settings.url,
            settings.model,
            KEY_VARIABLES,
            settings.tries,
            settings.timeout_seconds,
            settings.requests_per_minute,
            package="data",
        )
        self._endpoint = ChatEndpoint(whom, sleep)

    @property
    def requests(self) -> int:
        """How often it was asked."""
        return self._endpoint.requests

    @property
    def cost(self) -> float:
        """What was asked for in this run has cost, by the prices of the settings."""
        settings = self.settings
        endpoint = self._endpoint
        tokens = endpoint.input_tokens * settings.input_price + endpoint.output_tokens * settings.output_price
        return tokens / 1e6

    @property
    def asked(self) -> int:
        """Requests of this run."""
        return self.requests

    @property
    def bill(self) -> str:
        """What was asked for, in words."""
        tokens = f"{self._endpoint.input_tokens} tokens in, {self._endpoint.output_tokens} out"
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
        messages = [{"role": "user", "content": content}]
        try:
            captions = self._endpoint.ask(
                messages, lambda text: read_answer(text, len(shots)), self._check_limits
            )
        except EndpointRefusal as refusal:
            raise CaptionError(str(refusal)) from refusal
        except EndpointError as error:
            kind = NoCaptionError if isinstance(error, UnreadableAnswerError) else CaptionError
            sentence = (
                f"The endpoint {self.settings.url} captioned no story in {self.settings.tries} tries: "
                f"{error}. What it captioned before is kept; the same command goes on."
            )
            raise kind(sentence) from error
        self.answers += 1
        return captions

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
