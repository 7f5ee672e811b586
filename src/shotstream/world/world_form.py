"""The form of prompts of models that learn the drawn world: its words, and what people say instead."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from shotstream.prompts.prompt_form import Kind, PromptForm, Role, Slot, Wording, split_words
from shotstream.world import vocabulary

_Instead = Mapping[str, tuple[str, str]]
"""Value -> what means the same, and what comes near, as lists with commas."""

_KINDS: _Instead = {
    "cat": ("cats, kitty, pussycat, tomcat", "tiger, lion, leopard, panther, lynx, hamster, mouse"),
    "rabbit": ("hare", "kangaroo, squirrel, guinea pig, sheep, lamb, goat"),
    "bear": ("teddy bear, grizzly, cub", "panda, koala, gorilla, monkey, elephant, hippo, cow, horse, pig"),
    "robot": ("bot, android, droid, machine, automaton, cyborg", "astronaut, knight, alien, man, boy, hero"),
    "fox": ("vixen", "dog, puppy, wolf, coyote, raccoon, deer, hound"),
    "owl": ("owlet", "bird, eagle, parrot, duck, chicken, penguin, crow, hawk, dragon, woman, girl, wizard"),
}
_COLOURS: _Instead = {
    "red": ("crimson, ruby, cherry", "maroon"),
    "orange": ("ginger, amber, tangerine", "brown, copper, rusty"),
    "yellow": ("gold, lemon, blonde", "beige, tan"),
    "green": ("emerald, lime, olive", "teal"),
    "blue": ("azure, navy, cobalt", "turquoise, cyan, teal"),
    "purple": ("lilac, lavender, mauve", "magenta, indigo"),
    "pink": ("rosy, fuchsia", "magenta, salmon"),
    "white": ("snowy white, ivory, pale", "grey, gray, silver, black, cream"),
}
_ACCESSORIES: _Instead = {
    "top hat": ("hat, cylinder", "cap, helmet, beret, cowboy hat, hood"),
    "crown": ("crown, tiara, diadem", "halo, wreath"),
    "scarf": ("scarf, shawl", "cape, cloak, tie, coat, jacket, dress"),
    "sunglasses": ("shades, spectacles, goggles", "mask, monocle"),
    "bow": ("bow, bow tie, bowtie, ribbon", "necklace, bell, collar"),
}
_PLACES: _Instead = {
    "meadow": ("meadow, field, in the grass, on grass, pasture, lawn", "garden, park, farm, hill, prairie"),
    "beach": (
        "beach, sea, seaside, shore, coast, ocean",
        "island, lake, river, desert, harbour, harbor, boat",
    ),
    "city": ("city, town, street, downtown, square, village", "house, shop, school, room, kitchen, office"),
    "forest": ("forest, woods, wood, woodland, trees", "jungle, swamp, cave"),
    "snow": ("snow, in winter, on ice, snowy mountains, mountains, glacier", "arctic, north pole, sledge"),
    "castle": ("castle, palace, courtyard, fortress, tower", "temple, ruin, church, throne"),
}
_TIMES: _Instead = {
    "day": ("daytime, noon, midday, in the sun, sunny, sunshine, daylight", "morning, dawn, sunrise"),
    "sunset": ("sunset, evening, dusk, twilight, sundown", "golden hour"),
    "night": ("night, nighttime, midnight, moonlight, starlight, in the dark, under the stars", "darkness"),
}
_WEATHER: _Instead = {
    "clear": ("clear sky, cloudless", ""),
    "rain": ("rain, raining, rainy, in rain, drizzle, shower", "storm, thunder, cloudy, windy, fog, mist"),
    "snowfall": ("snowing, snowfall, snowflakes, falling snow", "blizzard, hail"),
}
_ACTIONS: _Instead = {
    "stands": (
        "stood, wait, pause, watch, look around, gaze, stare, look up, is still, listen, glance",
        "think, read, paint, cook, eat, drink, sing, play, fish",
    ),
    "walks": (
        "run, ran, jog, stroll, wander, hike, march, go for a walk, went, rush, hurry, race, sprint, trot, "
        "come in, enter, leave, arrive, walk away, chase, flee, explore, sneak, tiptoe",
        "ride, drive, fly, flew, climb, swim, swam, crawl, skate, ski, travel",
    ),
    "waves": (
        "greet, say goodbye, wave goodbye, say hi, beckon, salute, welcome, call, hello",
        "point, clap, talk, speak, laugh, hug, shake hands",
    ),
    "jumps": ("leap, leapt, hop, bounce, skip, spring", "fall, fell, throw, catch, kick"),
    "dances": (
        "twirl, whirl, spin, groove, boogie, waltz, pirouette, dance",
        "sing, cheer, celebrate, party",
    ),
    "sits": ("sat, sit down, take a seat, rest, squat, kneel, crouch", "lean, ride, fish"),
    "sleeps": ("slept, snooze, nap, doze, slumber, dream, lie down, asleep, fall asleep", "yawn, relax"),
}
_FEELINGS: _Instead = {
    "happy": (
        "happily, joyful, joyfully, joy, delighted, merry, merrily, smiling, smile, cheerfully, "
        "gladly, pleased",
        "excited, proud, proudly, laughing, funny, in love, wild, wildly",
    ),
    "sad": (
        "sadly, crying, cry, unhappily, tears, sorrowful, gloomy, weeping",
        "tired, lonely, hurt, afraid",
    ),
    "surprised": ("astonishment, shocked, startled, surprise, amazement, baffled", "scared, angry, curious"),
}
_PROPS: _Instead = {
    "balloon": ("balloon", "kite, ball, lantern, lamp"),
    "flower": ("flower, rose, tulip, daisy, bouquet, flowers", "apple, leaf, present, gift, book, letter"),
    "umbrella": ("umbrella, parasol", "stick, sword, wand, torch, flag"),
}
_FRAMINGS: _Instead = {
    "wide": (
        "from far away, far away, far off, from afar, from a distance, at a distance, in the distance, "
        "establishing shot, full shot, whole scene, panorama, zoomed out, wide angle, long view",
        "aerial view, birds eye view, drone shot",
    ),
    "medium": ("half shot, waist up, from the waist up, mid shot, midshot", "over the shoulder, two shot"),
    "close-up": (
        "closeup, from close by, up close, from nearby, very near, near view, face shot, portrait, "
        "detail shot, zoomed in, head shot, headshot, of the face",
        "macro shot, eyes, face",
    ),
}
_CAMERAS: _Instead = {
    "pan": ("the camera pans, pan, camera turns, pans across, panning", "tracking shot, the camera follows"),
    "push-in": (
        "zoom in, zooms in, the camera comes closer, the camera zooms in, dolly in, push in, moves in",
        "zoom out, the camera pulls back, dolly out",
    ),
}


_UNSAID = "clear"
"""The weather that captions tell seldom."""


def world_form(known: Collection[str] | None = None) -> PromptForm:
    """The form of prompts of a model of the drawn world.

    Args:
        known: Words that the model knows; None for all of the world. Values that it does not know are not in
            the form.
    """
    words = set(vocabulary.words() if known is None else known)
    tables: tuple[tuple[str, Kind, Role, str, Mapping[str, Any], _Instead], ...] = (
        ("who", "who", "figure", "the hero", vocabulary.KINDS, _KINDS),
        ("colour", "who", "look before", "the colour", vocabulary.COLOURS, _COLOURS),
        ("worn", "who", "look behind", "what is worn", vocabulary.ACCESSORIES, _ACCESSORIES),
        ("place", "where", "world", "the place", vocabulary.PLACES, _PLACES),
        ("time", "where", "world", "the time", vocabulary.TIMES, _TIMES),
        ("weather", "where", "world", "the weather", vocabulary.WEATHER, _WEATHER),
        ("action", "what", "shot", "the action", vocabulary.ACTIONS, _ACTIONS),
        ("feeling", "how", "shot", "the feeling", _feelings(), _FEELINGS),
        ("prop", "what", "shot", "what is held", vocabulary.PROPS, _PROPS),
        ("framing", "how", "shot", "the framing", vocabulary.FRAMINGS, _FRAMINGS),
        ("camera", "how", "shot", "the camera", vocabulary.CAMERAS, _CAMERAS),
    )
    return PromptForm(
        slots=tuple(_slot(*table, words) for table in tables),
        prompt="{framing} of {figures} {action}[ {feeling}][, holding {prop}].[ {camera}.]",
        setting="{figures} {is}[ {place}][ {time}][ {weather}].",
        mention="the[ {colour}] {who}",
        introduction="a[ {colour}] {who}[ wearing {worn}]",
        defaults={"framing": "medium", "action": "stands"},
        other_words=tuple(sorted(words & _other_words())),
        examples=(
            "Wide shot of the blue robot dancing happily.",
            "Close up of the cat looking around. The camera pans slowly.",
            "Medium shot of the red fox and the owl waving hello.",
            "Medium shot of the rabbit sitting down, holding a balloon.",
        ),
    )


def _feelings() -> Mapping[str, Sequence[str]]:
    """Feelings as manners, which stand behind the action, and as adjectives."""
    return {
        name: (*vocabulary.MANNERS[name], *wordings)
        for name, wordings in vocabulary.FEELINGS.items()
        if name in vocabulary.MANNERS
    }


def _slot(
    name: str,
    kind: Kind,
    role: Role,
    called: str,
    table: Mapping[str, Any],
    instead: _Instead,
    known: Collection[str],
) -> Slot:
    """A slot of what the model knows of a table of the world."""
    values: dict[str, Wording] = {}
    for value, wordings in table.items():
        ways = [(way,) if isinstance(way, str) else way for way in wordings]
        forms = [way[0] for way in ways] + [form for way in ways for form in way[1:]]
        words = tuple(dict.fromkeys(form for form in forms if form and _is_known(form, known)))
        if not words or value not in instead:
            continue
        says = [way[-1] for way in ways if way[-1] in words] or list(words)
        calm = [told for told in says if vocabulary.CLEAR_SKY_WORDS.isdisjoint(told.split())]
        say = "" if value == _UNSAID else (calm or says)[0]
        also, near = (tuple(part.split(", ")) if part else () for part in instead[value])
        values[value] = Wording(say=say, words=words, also=also, near=near)
    return Slot(name=name, kind=kind, role=role, called=called, values=values)


def _is_known(told: str, known: Collection[str]) -> bool:
    return set(split_words(told)) <= set(known)


def _other_words() -> set[str]:
    """Words of the world that no value has."""
    texts = (
        *vocabulary.GLUE,
        *vocabulary.WEARING,
        *vocabulary.HOLDING,
        *vocabulary.EPITHETS,
        *vocabulary.OPENERS,
        *vocabulary.LOOKING,
        *vocabulary.SETTING_TEMPLATES,
        *vocabulary.PROMPT_TEMPLATES,
    )
    return {word for text in texts for word in split_words(re.sub(r"\{\w+\}", " ", text))}
