"""Stories of the world, sampled from a seed: who, where, and what each shot shows and is told.

`WorldStory` is plain data: drawing it is `scene.draw_shot`. The two splits draw their random numbers from
different spaces and share no (kind, colour, accessory, place) of a first character.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from random import Random
from typing import Literal

from shotstream.world import vocabulary

Split = Literal["train", "held-out"]
SETTING_WORDS, PROMPT_WORDS = 36, 22
"""No setting and no prompt is longer; where one would be, another wording is taken. Together they are at most
58 words, so that 60 tokens hold them with a beginning and an end."""
SINGULAR = {"is": "is", "was": "was", "lives": "lives"}
PLURAL = {"is": "are", "was": "were", "lives": "live"}


@dataclass(frozen=True)
class Character:
    """One of the cast. `accessory_colour` and `pattern` are hidden: no caption tells them."""

    kind: str
    colour: str
    accessory: str
    accessory_colour: str
    """Never the character's own colour; "none" where the accessory is."""
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
    feeling: str = vocabulary.CALM
    """Of all subjects; who sleeps is calm."""
    prop: str = vocabulary.NONE
    """What the only subject holds in its left hand (the picture's left)."""


@dataclass(frozen=True)
class WorldStory:
    """A story: place, time, weather, landmark and cast stay, the shots change.

    `landmark` and `side` are hidden.
    """

    seed: int
    split: Split
    setting: str
    cast: tuple[Character, ...]
    place: str
    time: str
    landmark: str
    side: str
    shots: tuple[WorldShot, ...]
    weather: str = "clear"

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
            "weather": self.weather,
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
    weather = random.choices(list(vocabulary.WEATHER), weights=[2, 1, 1])[0]
    cast = _sample_cast(random, place, held_out=split == "held-out")
    return WorldStory(
        seed=seed,
        split=split,
        setting=_short(lambda: _setting(random, cast, place, time, weather), SETTING_WORDS),
        cast=cast,
        place=place,
        time=time,
        landmark=random.choice(vocabulary.LANDMARKS[place]),
        side=random.choice(vocabulary.SIDES),
        shots=_sample_shots(random, cast, shots, frames),
        weather=weather,
    )


def _sample_cast(random: Random, place: str, held_out: bool) -> tuple[Character, ...]:
    first = _sample_character(random, place, held_out)
    if random.random() < 0.45:
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
    tints = [tint for tint in vocabulary.ACCESSORY_COLOURS if tint != colour]
    tint = vocabulary.NONE if accessory == vocabulary.NONE else random.choice(tints)
    return Character(kind, colour, accessory, tint, random.choice(vocabulary.PATTERNS))


def _sample_shots(
    random: Random, cast: tuple[Character, ...], count: int, frames: int
) -> tuple[WorldShot, ...]:
    """Opens wide or medium on everyone; then no two neighbours share an action."""
    shots: list[WorldShot] = []
    for subjects in _sample_subjects(random, len(cast), count):
        before = shots[-1] if shots else None
        framing = _sample_framing(random, subjects, before)
        actions = [name for name in vocabulary.ACTIONS if before is None or name != before.action]
        if framing == "close-up":
            actions = [name for name in actions if name != "sits"]  # not to be seen
        action = random.choice(actions)
        feeling, prop = vocabulary.CALM, vocabulary.NONE
        if action != "sleeps":
            feeling = random.choices(list(vocabulary.FEELINGS), weights=[2, 1, 1, 1])[0]
        if len(subjects) == 1 and framing != "close-up" and action != "sleeps" and random.random() < 0.25:
            prop = random.choice([name for name in vocabulary.PROPS if name != vocabulary.NONE])
        camera = random.choices(list(vocabulary.CAMERAS), weights=[3, 1, 1])[0]
        shot = WorldShot("", subjects, action, framing, camera, frames, random.random(), feeling, prop)
        shots.append(replace(shot, prompt=_short(lambda: _prompt(random, cast, shot), PROMPT_WORDS)))  # noqa: B023
    return tuple(shots)


def _sample_framing(random: Random, subjects: tuple[int, ...], before: WorldShot | None) -> str:
    """Close-ups of one only, and rather after a wide shot: there a pattern is seen again that was small."""
    if before is None or len(subjects) == 2:
        return random.choice(["wide", "medium"])
    framings = [name for name in vocabulary.FRAMINGS if subjects != before.subjects or name != before.framing]
    likely = 2 if before.framing == "wide" else 1
    weights = [likely if name == "close-up" else 1 for name in framings]
    return random.choices(framings, weights=weights)[0]


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


def _short(tell: Callable[[], str], words: int) -> str:
    """The first of the wordings told that has at most so many words."""
    while len(vocabulary.split_words(caption := tell())) > words:
        pass
    return caption


def _setting(random: Random, cast: tuple[Character, ...], place: str, time: str, weather: str) -> str:
    several = len(cast) > 1
    times = list(vocabulary.TIMES[time])
    if weather != "clear":
        times = [told for told in times if vocabulary.CLEAR_SKY_WORDS.isdisjoint(told.split())]
    when = f"{random.choice(times)} {random.choice(vocabulary.WEATHER[weather])}"
    return _sentence(
        random.choice(vocabulary.SETTING_TEMPLATES).format(
            who=" and ".join(_introduction(random, character) for character in cast),
            place=random.choice(vocabulary.PLACES[place]),
            when=when.strip(),
            **(PLURAL if several else SINGULAR),
        )
    )


def _introduction(random: Random, character: Character) -> str:
    words = [_epithet(random), random.choice(vocabulary.COLOURS[character.colour])]
    words.append(random.choice(vocabulary.KINDS[character.kind]))
    told = " ".join(filter(None, words))
    if worn := random.choice(vocabulary.ACCESSORIES[character.accessory]):
        told += f" {random.choice(vocabulary.WEARING)} {worn}"
    return f"{'an' if told[0] in 'aeiou' else 'a'} {told}"


def _prompt(random: Random, cast: tuple[Character, ...], shot: WorldShot) -> str:
    several = int(len(shot.subjects) > 1)
    wording = random.choice(vocabulary.ACTIONS[shot.action])
    feeling = random.choice(vocabulary.FEELINGS[shot.feeling])
    before = feeling if feeling and not several and random.random() < 0.5 else ""
    after = _manner(random, shot.feeling, feeling) if feeling and not before else ""
    if held := random.choice(vocabulary.PROPS[shot.prop]):
        after += f", {random.choice(vocabulary.HOLDING)} {held}"
    who = " and the ".join(_mention(random, cast[index], before) for index in shot.subjects)
    opener = random.choice(vocabulary.OPENERS) if random.random() < 0.15 else ""
    told = random.choice(vocabulary.PROMPT_TEMPLATES).format(
        who=who,
        does=f"{wording[several]}{after}",
        doing=f"{wording[2]}{after}",
        framing=random.choice(vocabulary.FRAMINGS[shot.framing]),
        opener=opener,
    )
    moved = random.choice(vocabulary.CAMERAS[shot.camera])
    return _sentence(f"{told} {moved}." if moved else told)


def _manner(random: Random, feeling: str, adjective: str) -> str:
    """A feeling told behind the action."""
    looks = [f", {told.format(feeling=adjective)}" for told in vocabulary.LOOKING]
    return random.choice((*looks, *(f" {told}" for told in vocabulary.MANNERS[feeling])))


def _mention(random: Random, character: Character, feeling: str) -> str:
    colour = random.choice(vocabulary.COLOURS[character.colour]) if random.random() < 0.5 else ""
    kind = random.choice(vocabulary.KINDS[character.kind])
    return " ".join(filter(None, (feeling or _epithet(random), colour, kind)))


def _epithet(random: Random) -> str:
    return random.choice(vocabulary.EPITHETS) if random.random() < 0.12 else ""


def _sentence(text: str) -> str:
    """One space between words, and capital letters at the beginnings of sentences."""
    text = " ".join(text.split())
    return ". ".join(part[0].upper() + part[1:] for part in text.split(". "))
