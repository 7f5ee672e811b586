"""How films are turned into stories, and who captions them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)

from shotstream.media.faults import say_fault

_Settings = TypeVar("_Settings", bound=BaseModel)


class FilmSettings(BaseModel):
    """What is kept of films. Seconds and sizes are of the film as it is shown."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    second_opinion: bool = False
    """Whether TransNetV2 looks for cuts too; what either finds is a cut. It takes 25 ms a frame and core."""
    least_shots: PositiveInt = 2
    """Of a story; 1 keeps shots without neighbours, from which no memory is learnt."""
    most_shots: PositiveInt = 5
    longest_seconds: PositiveFloat = 30.0
    """A longer shot is left out: its remembered frames would be far apart."""
    black_level: float = Field(default=16.0, ge=0, le=255)
    """A shot is black if nine tenths of its frames are darker than this, of 255, and plain."""
    least_change: float = Field(default=0.15, ge=0)
    """A shot is frozen if in 95 % of its frames the brightness of a pixel changes by less than this from the
    frame before, of 255, on average over the picture."""
    most_change: float = Field(default=60.0, gt=0)
    """A shot whose pictures change more than this from frame to frame (median, of 255) flickers."""
    most_text: float = Field(default=0.02, ge=0, le=1)
    """A shot is full of text if lines of letters cover more than this part of its picture; 1 keeps all."""
    least_scale: PositiveFloat = 0.5
    """A film is small if its picture without bars has less than this part of the model's height or width."""
    duplicate_bits: int = Field(default=4, ge=0, le=64)
    """Shots are duplicates if they are equally long and the hashes (64 bits) of their first, middle and last
    frames differ by at most so many bits each."""
    held_out: float = Field(default=0.05, ge=0, lt=1)
    """Part of the stories that is kept for validation; whole films where there are several."""


class EndpointSettings(BaseModel):
    """Whom to ask for captions, and how much at most."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    """Base address, such as http://localhost:8000/v1; stills of the films are sent there."""
    model: str
    tries: PositiveInt = 5
    """For one story, first try included."""
    timeout_seconds: PositiveFloat = 120.0
    requests_per_minute: PositiveFloat | None = None
    most_requests: PositiveInt | None = None
    """Of a run; None: no limit."""
    most_cost: PositiveFloat | None = None
    """Of a run, in the currency of the prices; None: no limit."""
    input_price: NonNegativeFloat = 0.0
    """For a million tokens."""
    output_price: NonNegativeFloat = 0.0
    picture_width: PositiveInt = Field(default=512, le=4096)
    """Most pixels; wider stills are made smaller."""


def read_settings(words: Sequence[str]) -> FilmSettings:
    """Read settings given as NAME=VALUE.

    Raises:
        ValueError: Naming what is wrong.
    """
    return _read(FilmSettings, _pairs(words))


def read_caption_settings(words: Sequence[str]) -> EndpointSettings | Path | None:
    """Read who captions, given as NAME=VALUE.

    Returns:
        An endpoint, the folder of a vision-language model, or None if nothing is given.

    Raises:
        ValueError: Naming what is wrong.
    """
    pairs = _pairs(words)
    if not pairs:
        return None
    return Path(pairs["folder"]) if pairs.keys() == {"folder"} else _read(EndpointSettings, pairs)


def _pairs(words: Sequence[str]) -> dict[str, str]:
    for word in words:
        if "=" not in word:
            raise ValueError(f"{word!r} has no value; write NAME=VALUE.")
    return {name.strip(): value.strip() for name, _, value in (word.partition("=") for word in words)}


def _read(kind: type[_Settings], values: dict[str, str]) -> _Settings:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        mistakes = "; ".join(say_fault(mistake) for mistake in error.errors())
        known = ", ".join(kind.model_fields)
        raise ValueError(f"These settings cannot be used: {mistakes}. Known are {known}.") from None
