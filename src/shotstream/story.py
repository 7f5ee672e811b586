"""What a person writes: a setting and an ordered list of shots; reading, checking and writing story files."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from shotstream.media.documents import Location, as_yaml, did_you_mean, read_document, shortened
from shotstream.media.files import find_spelling, write_text
from shotstream.media.plain_text import one_line
from shotstream.media.story_mistakes import (
    cut_off_texts,
    explain,
    explain_kind,
    explain_unquoted,
    name_place,
    rename_published,
    take_unknown,
)
from shotstream.media.story_values import read_as_meant
from shotstream.prompts.reading import CastMember
from shotstream.shipped import find_file
from shotstream.telling_order import TakeKey, telling_order


def _text(value: Any) -> Any:
    return one_line(value) if isinstance(value, str) else value


def _setting(value: Any) -> Any:
    return one_line(value, keep_end=True) if isinstance(value, str) else value


def _prompt(value: Any) -> Any:
    return one_line(value, keep_start=True) if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_text)]
MOST_TITLE_CHARACTERS = 200

BOTH_LENGTHS = "has both seconds and chunks; keep one of them"
"""What is wrong with a shot whose length is given twice."""


def check_points(in_frame: int, out_frame: int | None) -> None:
    """See that the in point of a shot is not behind its out point.

    Raises:
        ValueError: If it is.
    """
    if out_frame is not None and out_frame < in_frame:
        raise ValueError(
            f"has its in point (frame {in_frame}) behind its out point (frame {out_frame}); "
            "exchange them, or leave one out"
        )


def shown_frames(frames: int, in_frame: int = 0, out_frame: int | None = None) -> range:
    """Which frames of a take the film shows.

    Args:
        frames: How many the take has; 0 if nothing of it is made.
        in_frame: The first one; where the take is shorter, its last.
        out_frame: The last one; that of the take if it has no such frame, or None.
    """
    last = frames - 1 if out_frame is None else min(out_frame, frames - 1)
    return range(max(min(in_frame, last), 0), last + 1)


Title = Annotated[str, Field(max_length=MOST_TITLE_CHARACTERS), BeforeValidator(_text)]
Setting = Annotated[str, BeforeValidator(_setting)]
"""A blank at its end stays: with some models the prompt follows without one."""
Prompt = Annotated[str, BeforeValidator(_prompt), Field(min_length=1)]
"""A blank at its start stays, likewise."""
Seed = Annotated[int, Field(ge=0, lt=2**53)]
"""Browsers count exactly no further."""
PictureSide = Annotated[int, Field(ge=1, le=4096)]
"""Pixels; the model says which it can make."""
Number = Annotated[int, Field(ge=0, lt=2**31)]
"""Of a shot, take, chunk or frame, from 0."""


def parse_lora_choice(text: str) -> tuple[str, float]:
    """Read ``NAME`` or ``NAME:SCALE``; the scale is 1 if there is none.

    Raises:
        ValueError: If the name is empty or the scale no finite number.
    """
    name, colon, scale = text.partition(":")
    try:
        value = float(scale) if colon else 1.0
    except ValueError:
        value = math.nan
    if not name or not math.isfinite(value):
        raise ValueError(f"is {text!r}, but should be NAME or NAME:SCALE, for example style:0.8")
    return name, value


def say_not_loaded(name: str, loaded: Collection[str]) -> str:
    """Say that a LoRA is not loaded, which are, and what to do."""
    near = did_you_mean(name, list(loaded)).rstrip(".") if loaded else ", nor is any other"
    if near.endswith("?"):
        return f"the LoRA {name!r} is not loaded{near}"
    remedy = (
        f"start with --lora {name}.safetensors, its file (in Python: load_lora_weights), or take its name out"
    )
    return f"the LoRA {name!r} is not loaded{near}; {remedy}"


def _lora_choice(value: str) -> str:
    parse_lora_choice(value)
    return value


LoraChoice = Annotated[str, AfterValidator(_lora_choice)]


class StoryWarning(UserWarning):
    """Something in a story file is not read as it may have been meant; the message has the line."""


class StoryError(ValueError):
    """A story file cannot be used; the message lists every mistake with its line and what to do."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Redirection(_Part):
    """Another prompt for a shot from one of its chunks on."""

    chunk: Annotated[int, Field(ge=1, lt=10_000)]
    """Number of the first chunk that is made under it; 0 is the shot's first."""
    prompt: Prompt


class StoryFrame(_Part):
    """One frame of a shot."""

    shot: Number
    frame: Number
    """Its number in the shot."""
    take: Number | None = None
    """Its take; the one that is in the film if None."""


class ShotPlace(_Part):
    """Where a shot stood in a story, while that was not its number."""

    shot: Number
    place: Number
    """How many shots stood before it."""


class ReferencePicture(_Part):
    """A picture that shots are made from. A bare text is the path of one."""

    picture: Annotated[Text, Field(min_length=1)]
    """Path of a JPEG, PNG or WebP file. In a story file it is relative to the file's folder."""
    prompt: Prompt | None = None
    """What is in it; without it, the prompt of the shot that it serves."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"picture": value} if isinstance(value, str) else value


class CastCharacter(CastMember):
    """One of the cast: what they are called, and how they look. A bare text is a name."""

    pictures: list[Annotated[Text, Field(min_length=1)]] = Field(default=[], max_length=24)
    """Paths of pictures of them, for people; `references` are what shots are made from."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class StorySound(_Part):
    """A sound file that is heard with the film. A bare text is the path of one, heard from the beginning."""

    sound: Annotated[Text, Field(min_length=1)]
    """Path of a WAV, MP3, FLAC, OGG or M4A file. In a story file it is relative to the file's folder."""
    offset_seconds: float = Field(default=0.0, ge=-3600, le=36_000, allow_inf_nan=False)
    """When it begins in the film; below 0, its beginning is not heard."""
    gain_db: float = Field(default=0.0, ge=-60, le=12, allow_inf_nan=False)
    """How much louder it is than its file."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"sound": value} if isinstance(value, str) else value


class Shot(_Part):
    """One shot: what is seen until the next cut. A bare text is a shot with that prompt.

    Shots, takes, chunks and frames count from 0.
    """

    prompt: Prompt
    """What happens in this shot."""
    seconds: float | None = Field(default=None, gt=0, le=3600, allow_inf_nan=False)
    """Wanted length, rounded up to whole chunks; without it and `chunks`, the length the model learnt."""
    chunks: int | None = Field(default=None, ge=1, le=10_000)
    """Wanted length in chunks, instead of `seconds`."""
    seed: Seed | None = None
    """Seed of this shot alone; without it, the story's seed decides."""
    lora: list[LoraChoice] | None = Field(default=None, max_length=16)
    """LoRAs of this shot, ``NAME`` or ``NAME:SCALE``, instead of the story's; ``[]`` for none."""
    take: Number = 0
    """Number of the take: another number is another attempt with the same seed."""
    in_frame: Number | None = None
    """The first frame that the film shows of it; 0 if None. What is not shown is made all the same."""
    out_frame: Number | None = None
    """The last frame that the film shows of it; that of the shot if None."""
    redirects: list[Redirection] = []
    """Other prompts for later chunks, in the order of their chunks."""
    pins: list[StoryFrame] | None = None
    """Frames of earlier shots that this shot and later ones are made from; None keeps those of before."""
    references: list[ReferencePicture] | None = None
    """Pictures that this shot and later ones are made from; None keeps those of before."""
    remembers: list[StoryFrame] | None = None
    """Frames that this shot alone is made from, instead of those that the rule chooses."""
    number: Number | None = None
    """Its number; None for the one after the shot before. Numbers between are of `Story.outtakes`."""
    places: list[ShotPlace] = []
    """Where it, and shots that it remembers, stood when it was made; its number is the place of any other."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"prompt": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.seconds is not None and self.chunks is not None:
            raise ValueError(BOTH_LENGTHS)
        check_points(self.in_frame or 0, self.out_frame)
        starts = [redirect.chunk for redirect in self.redirects]
        if starts != sorted(set(starts)):
            raise ValueError("has redirects out of order; list them by rising chunk, one for a chunk")
        if self.chunks is not None and starts and starts[-1] >= self.chunks:
            raise ValueError(
                f"has {self.chunks} chunks, numbered from 0, and is redirected at chunk {starts[-1]}; "
                "make it longer, or leave that redirect out"
            )
        return self


class Story(_Part):
    """A setting and the shots that are told in it, in order."""

    title: Title | None = None
    """For people; no model sees it."""
    setting: Setting
    """Who and where: it goes with every shot (the global caption). May be empty."""
    cast: list[CastCharacter] = Field(default=[], max_length=32)
    """Who is called by name in it; where prompts are adapted, looks stand in the place of names."""
    seed: Seed = 0
    """The same seed, story and model give the same frames on the same machine."""
    height: PictureSide | None = None
    """Height of the pictures in pixels; the one that the model was trained at if None."""
    width: PictureSide | None = None
    """Width of the pictures in pixels, likewise."""
    lora: list[LoraChoice] | None = Field(default=None, max_length=16)
    """LoRAs of every shot that names none itself; without it, those that the model is set to."""
    references: list[ReferencePicture] = []
    """Pictures that all shots are made from, until one has `references` of its own."""
    sounds: list[StorySound] = []
    """What is heard with the film."""
    shots: list[Shot] = Field(min_length=1)
    outtakes: list[Shot] = []
    """Takes that are not in the film, and that shots in it were made from; each with its `number`."""

    @model_validator(mode="after")
    def _places_exist(self) -> Self:
        if faults := list(_misplaced(self)):
            sentences = "; ".join(f"{name_place(location)}: {said}" for location, said in faults)
            raise PydanticCustomError("places", "{sentences}", {"sentences": sentences, "faults": faults})
        return self

    @property
    def numbers(self) -> list[int]:
        """Number of every shot of the film, from 0."""
        numbers: list[int] = []
        for shot in self.shots:
            following = numbers[-1] + 1 if numbers else 0
            numbers.append(following if shot.number is None else shot.number)
        return numbers

    @property
    def is_moved(self) -> bool:
        """Whether shots stand elsewhere than they were told; every take says then what it remembers."""
        takes, numbers = [*self.shots, *self.outtakes], self.numbers
        moved = numbers != sorted(numbers) or any(take.places for take in takes)
        return moved and all(take.remembers is not None for take in takes)

    @property
    def made_from(self) -> dict[TakeKey, set[TakeKey]]:
        """For every take, by (number, take), those that it remembers frames of."""
        film = list(zip(self.numbers, self.shots, strict=True))
        in_film = {number: shot.take for number, shot in film}
        takes = [*film, *((shot.number or 0, shot) for shot in self.outtakes)]
        return {
            (number, shot.take): {
                (frame.shot, in_film.get(frame.shot, -1) if frame.take is None else frame.take)
                for frame in shot.remembers or ()
            }
            for number, shot in takes
        }

    @property
    def picture_names(self) -> set[str]:
        """Paths of all pictures that it names."""
        return {picture for _, picture in self.picture_places}

    @property
    def picture_places(self) -> list[tuple[Location, str]]:
        """Paths of all pictures that it names, each with where it stands."""
        lists: list[tuple[Location, list[ReferencePicture] | None]] = [(("references",), self.references)]
        for part, shots in (("shots", self.shots), ("outtakes", self.outtakes)):
            lists += [((part, number, "references"), shot.references) for number, shot in enumerate(shots)]
        places: list[tuple[Location, str]] = [
            ((*place, index), reference.picture)
            for place, references in lists
            for index, reference in enumerate(references or ())
        ]
        return places + [
            (("cast", number, "pictures", index), picture)
            for number, character in enumerate(self.cast)
            for index, picture in enumerate(character.pictures)
        ]

    @classmethod
    def read(cls, path: str | Path, loras: Collection[str] | None = None) -> Self:
        """Read a story file, and warn (`StoryWarning`) of what `read_with_notes` notes."""
        story, notes = cls.read_with_notes(path, loras)
        for note in notes:
            warnings.warn(note, StoryWarning, stacklevel=2)
        return story

    @classmethod
    def read_with_notes(
        cls, path: str | Path, loras: Collection[str] | None = None, checks: Iterable[StoryCheck] = ()
    ) -> tuple[Self, list[str]]:
        """Read a story file, and note what may be meant otherwise.

        That is a `` #`` that cuts a text off, and keys beside those of the ShotStream authors that mean
        nothing here.

        Args:
            path: A file, or the name of a story that comes with the package. It is YAML or JSON with the
                fields of `Story`, or with those that the ShotStream authors use:
                ``{"global_caption": ..., "shot1": ..., "shot2": ...}``.
            loras: Names of the LoRAs that will be loaded: others are mistakes. None if that is not known yet.
            checks: What else may be wrong with the story, whose pictures have their whole paths by then.

        Returns:
            The story, and the notes, each a sentence with its line.

        Raises:
            StoryError: If anything is wrong with the file; the message has every mistake with its line.
        """
        document = read_document(find_file(Path(path), "stories"), _ALL_KEYS)
        story, unknown = None, []
        if isinstance(document.data, dict):
            published = rename_published(document)
            unknown = take_unknown(document, _KEYS[""]) if published else []
            explain_unquoted(document, _KEYS["shots"])
            read_as_meant(document)
            try:
                story = cls.model_validate(document.data)
            except ValidationError as error:
                explain(error, document, _KEYS, published=published)
        elif not document.mistakes:
            sentence = f"a story is a mapping with 'setting' and 'shots', not {shortened(document.data)}."
            document.complain((), sentence)
        if story is not None:
            story = story.with_files(lambda file: str(find_spelling(document.path.parent, file)))
            found = [] if loras is None else list(story.lora_mistakes(loras))
            for location, sentence in [*found, *(one for check in checks for one in check(story))]:
                document.complain(location, f"{sentence}.")
        explain_kind(document)
        if story is None or document.mistakes:
            raise StoryError(document.report())
        return story, [*unknown, *cut_off_texts(document)]

    def lora_of(self, shot: Shot) -> list[str] | None:
        """LoRAs of a shot of this story; None for those that the model is set to."""
        return self.lora if shot.lora is None else shot.lora

    def lora_mistakes(self, loaded: Collection[str]) -> Iterator[tuple[Location, str]]:
        """Look for LoRAs that are not loaded or named twice.

        Yields:
            Where it stands, and what is wrong with it.
        """
        places: list[tuple[Location, list[str] | None]] = [(("lora",), self.lora)]
        for part, shots in (("shots", self.shots), ("outtakes", self.outtakes)):
            places += [((part, number, "lora"), shot.lora) for number, shot in enumerate(shots)]
        for place, choices in places:
            names = [parse_lora_choice(choice)[0] for choice in choices or ()]
            where = name_place(place[:-1]) if len(place) > 1 else "the story"
            for index, name in enumerate(names):
                if name not in loaded:
                    yield (*place, index), f"{where}: {say_not_loaded(name, loaded)}"
                elif name in names[:index]:
                    yield (*place, index), f"{where}: the LoRA {name!r} is named twice; name it once"

    def write(self, path: str | Path) -> None:
        """Write the story, whole or not at all, as JSON if the name ends in ``.json``, else as YAML.

        Raises:
            MediaError: If the file cannot be written.
        """
        path = Path(path)
        folder = path.parent.resolve()
        story = self.with_files(lambda file: _relative(Path(file), folder))
        write_text(path, story.json_text() if path.suffix == ".json" else story.yaml_text())

    def yaml_text(self) -> str:
        """Return the story file as YAML; paths of pictures and sounds stay as they are."""
        return as_yaml(self._data())

    def json_text(self) -> str:
        """Return the story file as JSON; paths of pictures and sounds stay as they are."""
        return json.dumps(self._data(), indent=2) + "\n"

    def _data(self) -> dict[str, Any]:
        """Plain data without what has its usual value, but for the seed."""
        said = self.model_dump(exclude_defaults=True) | {"seed": self.seed}
        return {name: said[name] for name in _DATA if name in said}

    def with_files(self, path: Callable[[str], str]) -> Self:
        """The story with other paths of its pictures and sounds."""

        def moved(references: list[ReferencePicture] | None) -> list[ReferencePicture] | None:
            if references is None:
                return None
            return [item.model_copy(update={"picture": path(item.picture)}) for item in references]

        def shots(of: list[Shot]) -> list[Shot]:
            return [shot.model_copy(update={"references": moved(shot.references)}) for shot in of]

        cast = [
            one.model_copy(update={"pictures": [path(picture) for picture in one.pictures]})
            for one in self.cast
        ]
        update: dict[str, Any] = {"references": moved(self.references), "shots": shots(self.shots)}
        update["sounds"] = [item.model_copy(update={"sound": path(item.sound)}) for item in self.sounds]
        update["cast"] = cast
        return self.model_copy(update=update | {"outtakes": shots(self.outtakes)})


StoryCheck = Callable[[Story], Iterable[tuple[Location, str]]]
"""Looks for mistakes of a story: where each stands, and what is wrong, without a full stop."""


def _relative(file: Path, folder: Path) -> str:
    """The path of a file as a story file in `folder` names it."""
    whole = file.resolve()
    return whole.relative_to(folder).as_posix() if whole.is_relative_to(folder) else str(whole)


def _misplaced(story: Story) -> Iterator[tuple[Location, str]]:
    """Numbers that do not fit one another, each with the place and a sentence."""
    numbers = story.numbers
    takes = {(number, shot.take) for number, shot in zip(numbers, story.shots, strict=True)}
    for index, shot in enumerate(story.outtakes):
        place = ("outtakes", index, "number")
        if shot.number is None:
            yield place, "an outtake needs the number of its shot, from 0; add it"
        elif (shot.number, shot.take) in takes:
            yield place, f"shot {shot.number} has take {shot.take} already; give another number or take"
        else:
            takes.add((shot.number, shot.take))
    if story.is_moved:
        yield from _out_of_order(story)
        return
    known, last = {number for number, _ in takes}, -1
    for index, number in enumerate(numbers):
        missing = set(range(last + 1, number)) - known
        if number <= last or missing:
            expected = min(missing, default=last + 1)
            sentence = f"number {number} stands where {expected} is expected; numbers rise by one from 0"
            yield ("shots", index, "number"), f"{sentence}, but for shots that are among the outtakes"
        last = max(last, number)
    parts = [("shots", numbers, story.shots)]
    parts.append(("outtakes", [shot.number or 0 for shot in story.outtakes], story.outtakes))
    in_film = dict(zip(numbers, (shot.take for shot in story.shots), strict=True))
    for part, own_numbers, shots in parts:
        for index, (number, shot) in enumerate(zip(own_numbers, shots, strict=True)):
            for key in ("pins", "remembers"):
                for place, frame in enumerate(getattr(shot, key) or ()):
                    take = in_film.get(frame.shot) if frame.take is None else frame.take
                    if frame.shot >= number or (frame.shot, take) not in takes:
                        which = (
                            f"number {frame.shot}" if take is None else f"number {frame.shot}, take {take}"
                        )
                        sentence = f"no earlier shot has {which}; shots and takes count from 0"
                        yield (part, index, key, place), sentence


def _out_of_order(story: Story) -> Iterator[tuple[Location, str]]:
    """What keeps a story whose shots were moved from being told."""
    numbers, made_from = story.numbers, story.made_from
    for index, number in enumerate(numbers):
        if number in numbers[:index]:
            yield ("shots", index, "number"), f"number {number} stands twice in the film; give another one"
    missing = set(range(max(number for number, _ in made_from) + 1)) - {number for number, _ in made_from}
    if missing:
        sentence = f"no shot and no outtake has number {min(missing)}; numbers rise by one from 0"
        yield ("shots", 0, "number"), sentence
        return
    for part, shots in (("shots", story.shots), ("outtakes", story.outtakes)):
        for index, shot in enumerate(shots):
            if shot.pins:
                sentence = "where shots were moved, `remembers` alone says what a shot is made from"
                yield (part, index, "pins"), f"{sentence}; leave the pins out"
    if unknown := {take for asked in made_from.values() for take in asked} - set(made_from):
        number, take = min(unknown)
        yield ("shots", 0, "remembers"), f"no shot has number {number}, take {take}; both count from 0"
        return
    try:
        telling_order(made_from)
    except ValueError as error:
        yield ("shots", 0, "remembers"), str(error)


_DATA = (
    "title", "setting", "cast", "seed", "height", "width", "lora", "references", "sounds", "shots",
    "outtakes",
)  # fmt: skip
_KEYS: dict[str, list[str]] = {
    "": list(Story.model_fields),
    "redirects": list(Redirection.model_fields),
    "pins": list(StoryFrame.model_fields),
    "remembers": list(StoryFrame.model_fields),
    "references": list(ReferencePicture.model_fields),
    "cast": list(CastCharacter.model_fields),
    "sounds": list(StorySound.model_fields),
    "shots": list(Shot.model_fields),
    "outtakes": list(Shot.model_fields),
    "places": list(ShotPlace.model_fields),
}
"""The keys of every part of a story file; "" is the file itself."""
_ALL_KEYS = {"global_caption", *(f"shot{number}" for number in range(100))}.union(*_KEYS.values())
