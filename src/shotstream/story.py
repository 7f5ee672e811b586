"""What a person writes: a setting and an ordered list of shots; reading, checking and writing story files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from shotstream.media.documents import (
    Document,
    Location,
    as_yaml,
    did_you_mean,
    read_document,
    shortened,
)
from shotstream.media.files import write_text
from shotstream.shipped import find_file

_BLANKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


def _one_line(value: Any) -> Any:
    """Line breaks, runs of blanks and what nobody can write mean nothing to a model."""
    return _BLANKS.sub(" ", value).strip() if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_one_line)]
MOST_TITLE_CHARACTERS = 200
Title = Annotated[str, Field(max_length=MOST_TITLE_CHARACTERS), BeforeValidator(_one_line)]
Prompt = Annotated[Text, Field(min_length=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]

_PUBLISHED_SHOT = re.compile(r"shot(0|[1-9][0-9]{0,3})")


class StoryError(ValueError):
    """A story file cannot be used; the message lists every mistake with its line and what to do."""


class Shot(BaseModel):
    """One shot: what is seen until the next cut. A bare text is a shot with that prompt."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    prompt: Prompt
    """What happens in this shot."""
    seconds: float | None = Field(default=None, gt=0, le=3600, allow_inf_nan=False)
    """Wanted length, rounded up to whole chunks; without it and `chunks`, the length the model learnt."""
    chunks: int | None = Field(default=None, ge=1, le=10_000)
    """Wanted length in chunks, instead of `seconds`."""
    seed: Seed | None = None
    """Seed of this shot alone; without it, the story's seed decides."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"prompt": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.seconds is not None and self.chunks is not None:
            raise ValueError("has both seconds and chunks; keep one of them")
        return self


class Story(BaseModel):
    """A setting and the shots that are told in it, in order."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    title: Title | None = None
    """For people; no model sees it."""
    setting: Text
    """Who and where: it goes with every shot (the global caption). May be empty."""
    seed: Seed = 0
    """The same seed, story and model give the same frames on the same machine."""
    shots: list[Shot] = Field(min_length=1)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a story file.

        Args:
            path: A file, or the name of a story that comes with the package. It is YAML or JSON with the
                fields of `Story`, or with those that the ShotStream authors use:
                ``{"global_caption": ..., "shot1": ..., "shot2": ...}``.

        Raises:
            StoryError: If anything is wrong with the file; the message has every mistake with its line.
        """
        document = read_document(find_file(Path(path), "stories"))
        story = None
        if isinstance(document.data, dict):
            published = _rename_published(document)
            try:
                story = cls.model_validate(document.data)
            except ValidationError as error:
                _explain(error, document, published)
        elif not document.mistakes:
            sentence = f"a story is a mapping with 'setting' and 'shots', not {shortened(document.data)}."
            document.complain((), sentence)
        if story is None or document.mistakes:
            raise StoryError(document.report())
        return story

    def write(self, path: str | Path) -> None:
        """Write the story, whole or not at all, as JSON if the name ends in ``.json``, else as YAML.

        Raises:
            MediaError: If the file cannot be written.
        """
        path = Path(path)
        data = self.model_dump(exclude_none=True)
        if path.suffix == ".json":
            write_text(path, json.dumps(data, indent=2) + "\n")
        else:
            write_text(path, as_yaml(data))


def _rename_published(document: Document) -> bool:
    """Turn the authors' keys (global_caption, shot1, ...) into ours, lines too; False if it has none."""
    data = document.data
    numbers = sorted(int(match[1]) for key in data if (match := _PUBLISHED_SHOT.fullmatch(key)))
    if not numbers and "global_caption" not in data:
        return False
    for number, key in enumerate(numbers, start=1):
        if key != number:
            sentence = f"shot{key} stands where shot{number} is expected; number the shots 1, 2, 3, ..."
            document.complain((f"shot{key}",), sentence)
            break
    if "shots" in data:
        document.complain(("shots",), "'shots' and numbered shots do not go together; keep one of them.")
    if "global_caption" in data:
        _move(document, ("global_caption",), ("setting",))
        data["setting"] = data.pop("global_caption")
    data["shots"] = [data.pop(f"shot{number}") for number in numbers]
    for index, number in enumerate(numbers):
        _move(document, (f"shot{number}",), ("shots", index))
    return True


def _move(document: Document, old: Location, new: Location) -> None:
    for location in [location for location in document.lines if location[: len(old)] == old]:
        document.lines[new + location[len(old) :]] = document.lines.pop(location)


def _explain(error: ValidationError, document: Document, published: bool) -> None:
    """Say each of pydantic's complaints in a sentence, at its line."""
    for fault in error.errors(include_url=False):
        location, kind, message = fault["loc"], fault["type"], fault["msg"]
        name = _name(location, published)
        match kind:
            case "missing":
                sentence = f"{name} is missing; add it."
            case "extra_forbidden":
                key = str(location[-1])
                sentence = f"the key {key!r} is unknown{did_you_mean(key, _keys(location, published))}"
            case "too_short" if location == ("shots",):
                sentence = "there are no shots; add at least one."
            case "too_short":
                sentence = f"{name} is empty; say what is to be seen."
            case "value_error":
                sentence = f"{name} {message.removeprefix('Value error, ')}."
            case _:
                wanted = _WANTED.get(kind, message.removeprefix("Input "))
                sentence = f"{name} is {shortened(fault['input'])}, but {wanted}."
        document.complain(location, sentence)


_WANTED = {
    "string_type": "should be text; put it in quotes",
    "string_too_long": "should have at most 200 characters",
    "list_type": "should be a list, each shot after a dash (-)",
    "model_type": "should be a prompt, or a mapping with a prompt",
    "int_type": "should be a whole number",
    "float_type": "should be a number",
}


def _keys(location: Location, published: bool) -> list[str]:
    if len(location) > 1:
        return list(Shot.model_fields)
    return ["global_caption", "shot1", "title", "seed"] if published else list(Story.model_fields)


def _name(location: Location, published: bool) -> str:
    """What people call the place: ``("shots", 2, "seed")`` is the seed of shot 3."""
    match location:
        case ("shots", int(index)):
            return f"shot {index + 1}"
        case ("shots", int(index), key):
            return f"the {key} of shot {index + 1}"
        case ("setting",) if published:
            return "global_caption"
        case _:
            return str(location[-1])
