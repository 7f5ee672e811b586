"""Stories of the world, sampled from a seed: who, where, and what each shot shows and is told.

`WorldStory` is plain data: drawing it is `scene.draw_shot`. The two splits draw their random numbers from
different spaces and share no (kind, colour, accessory, place) of a first character.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from random import Random
from typing import Literal

from shotstream.world import vocabulary

Split = Literal["train", "held-out"]
PROMPT_WORDS = 16
"""No prompt is longer; two characters with colours and a camera move can need another wording."""
SINGULAR = {"is": "is", "was": "was", "lives": "lives"}
PLURAL = {"is": "are", "was": "were", "lives": "live"}


@dataclass(frozen=True)
class Character:
    """One of the cast. `accessory_colour` and `pattern` are hidden: no caption tells them."""

    kind: str
    colour: str
    accessory: str
    accessory_colour: str
    pattern: str


@dataclass(frozen=True)
class WorldShot:
    """One shot: its caption and what is to be seen."""

    prompt: str
    subjects: tuple[int, ...]
    """Indices into the story's cast; two characters stand side by side in the order of the cast."""
    action: str
    framing: str
    camera: str
    frames: int
    phase: float
    """Where in its cycle the action begins, in [0, 1)."""


@dataclass(frozen=True)
class WorldStory:
    """A story: place, time, landmark and cast stay, the shots change. `landmark` and `side` are hidden."""

    seed: int
    split: Split
    setting: str
    cast: tuple[Character, ...]
    place: str
    time: str
    landmark: str
    side: str
    shots: tuple[WorldShot, ...]

    def attributes(self) -> dict:
        """Everything that is true of the story, ready for JSON; what no caption tells is under "hidden"."""
        cast = [
            {
                "kind": character.kind,
                "colour": character.colour,
                "accessory": character.accessory,
                "hidden": {"accessory_colour": character.accessory_colour, "pattern": character.pattern},
            }
            for character in self.cast
        ]
        shots = [asdict(shot) | {"subjects": list(shot.subjects)} for shot in self.shots]
        return {
            "seed": self.seed,
            "split": self.split,
            "setting": self.setting,
            "place": self.place,
            "time": self.time,
            "cast": cast,
            "hidden": {"landmark": self.landmark, "side": self.side},
            "shots": shots,
        }


def sample_story(seed: int, *, split: Split = "train", shots: int = 5, frames: int = 33) -> WorldStory:
    """Samples a story; the same arguments always give the same one.

    Args:
        seed: Any integer; a seed means different stories in different splits.
        split: "train" never shows a held-out combination; "held-out" always begins its cast with one.
        shots: Number of shots, at least 1.
        frames: Pixel frames of each shot, at least 1.

    Raises:
        ValueError: If an argument is out of its range.
    """
    if split not in ("train", "held-out"):
        raise ValueError(f'there is no split {split!r}; use "train" or "held-out"')
    if shots < 1 or frames < 1:
        raise ValueError(f"a story needs shots and frames of at least 1, not shots={shots}, frames={frames}")
    random = Random(f"{split} {seed}")
    place = random.choice(list(vocabulary.PLACES))
    time = random.choice(list(vocabulary.TIMES))
    cast = _sample_cast(random, place, held_out=split == "held-out")
    return WorldStory(
        seed=seed,
        split=split,
        setting=_setting(random, cast, place, time),
        cast=cast,
        place=place,
        time=time,
        landmark=random.choice(vocabulary.LANDMARKS[place]),
        side=random.choice(vocabulary.SIDES),
        shots=_sample_shots(random, cast, shots, frames),
    )


def _sample_cast(random: Random, place: str, held_out: bool) -> tuple[Character, ...]:
    first = _sample_character(random, place, held_out)
    if random.random() < 0.6:
        return (first,)
    while True:
        second = _sample_character(random, place, held_out=False)
        if second.kind != first.kind and second.colour != first.colour:
            return (first, second)


def _sample_character(random: Random, place: str, held_out: bool) -> Character:
    while True:
        kind = random.choice(list(vocabulary.KINDS))
        colour = random.choice(list(vocabulary.COLOURS))
        accessory = random.choice(list(vocabulary.ACCESSORIES))
        if vocabulary.is_held_out(kind, colour, accessory, place) == held_out:
            break
    accessory_colour = random.choice(vocabulary.ACCESSORY_COLOURS)
    return Character(kind, colour, accessory, accessory_colour, random.choice(vocabulary.PATTERNS))


def _sample_shots(
    random: Random, cast: tuple[Character, ...], count: int, frames: int
) -> tuple[WorldShot, ...]:
    """Opens wide or medium on everyone; then no two neighbours share both framing and action."""
    shots: list[WorldShot] = []
    for subjects in _sample_subjects(random, len(cast), count):
        framings = ["wide", "medium"] if not shots or len(subjects) == 2 else list(vocabulary.FRAMINGS)
        actions = [name for name in vocabulary.ACTIONS if not shots or name != shots[-1].action]
        if shots and len(subjects) == len(shots[-1].subjects) == 1 and subjects == shots[-1].subjects:
            framings = [name for name in framings if name != shots[-1].framing]
        framing, action = random.choice(framings), random.choice(actions)
        camera = random.choices(list(vocabulary.CAMERAS), weights=[3, 1, 1])[0]
        seen = [cast[index] for index in subjects]
        prompt = _prompt(random, seen, action, framing, camera)
        while len(vocabulary.split_words(prompt)) > PROMPT_WORDS:
            prompt = _prompt(random, seen, action, framing, camera)
        shots.append(WorldShot(prompt, subjects, action, framing, camera, frames, random.random()))
    return tuple(shots)


def _sample_subjects(random: Random, cast: int, count: int) -> list[tuple[int, ...]]:
    """Who is seen in each shot: everyone first, then shot and reverse shot with some meetings between."""
    if cast == 1:
        return [(0,)] * count
    subjects: list[tuple[int, ...]] = [(0, 1)]
    turn = random.randrange(2)
    while len(subjects) < count:
        together = subjects[-1] != (0, 1) and random.random() < 0.25
        subjects.append((0, 1) if together else (turn,))
        turn = turn if together else 1 - turn
    return subjects


def _setting(random: Random, cast: tuple[Character, ...], place: str, time: str) -> str:
    several = len(cast) > 1
    return _sentence(
        random.choice(vocabulary.SETTING_TEMPLATES).format(
            who=" and ".join(_introduction(random, character) for character in cast),
            place=random.choice(vocabulary.PLACES[place]),
            time=random.choice(vocabulary.TIMES[time]),
            **(PLURAL if several else SINGULAR),
        )
    )


def _introduction(random: Random, character: Character) -> str:
    colour = random.choice(vocabulary.COLOURS[character.colour])
    article = "an" if colour[0] in "aeiou" else "a"
    kind = random.choice(vocabulary.KINDS[character.kind])
    accessory = random.choice(vocabulary.ACCESSORIES[character.accessory])
    return f"{article} {colour} {kind} {random.choice(('with', 'wearing'))} {accessory}"


def _prompt(random: Random, subjects: list[Character], action: str, framing: str, camera: str) -> str:
    several = int(len(subjects) > 1)
    wording = random.choice(vocabulary.ACTIONS[action])
    told = random.choice(vocabulary.PROMPT_TEMPLATES).format(
        who=" and the ".join(_mention(random, character) for character in subjects),
        does=wording[several],
        doing=wording[2],
        framing=random.choice(vocabulary.FRAMINGS[framing]),
    )
    moved = random.choice(vocabulary.CAMERAS[camera])
    return _sentence(f"{told} {moved}." if moved else told)


def _mention(random: Random, character: Character) -> str:
    kind = random.choice(vocabulary.KINDS[character.kind])
    return f"{random.choice(vocabulary.COLOURS[character.colour])} {kind}" if random.random() < 0.5 else kind


def _sentence(text: str) -> str:
    """Capital letters at the beginnings of sentences."""
    return ". ".join(part[0].upper() + part[1:] for part in text.split(". "))
