"""What a story of the world can be about, and every word that its captions can use.

Captions are told in a closed vocabulary without hyphens, so that a word-level tokenizer made from `words()`
knows every caption. The tables are the one source that sampler, drawing, judge and word labels read. Hidden
attributes (accessory colour, pattern, landmark, side) have no wording at all: no caption may ever tell them.
"""

from __future__ import annotations

import hashlib
import re

NONE = "none"
"""The accessory of a character that wears none, its colour, and what an empty hand holds."""
CALM = "calm"
"""The feeling that no caption tells."""

KINDS = {
    "cat": ("cat", "kitten"),
    "rabbit": ("rabbit", "bunny"),
    "bear": ("bear", "teddy"),
    "robot": ("robot",),
    "fox": ("fox",),
    "owl": ("owl",),
}
COLOURS = {
    "red": ("red", "scarlet"),
    "orange": ("orange",),
    "yellow": ("yellow", "golden"),
    "green": ("green",),
    "blue": ("blue",),
    "purple": ("purple", "violet"),
    "pink": ("pink",),
    "white": ("white",),
}
ACCESSORIES = {
    NONE: ("",),
    "top hat": ("a top hat", "a tall hat", "a hat"),
    "crown": ("a crown", "a shiny crown"),
    "scarf": ("a scarf", "a warm scarf"),
    "sunglasses": ("sunglasses", "big sunglasses", "glasses"),
    "bow": ("a bow", "a big bow", "a ribbon"),
}
"""Wordings end with the noun; of a character without accessory nothing is said."""
PLACES = {
    "meadow": ("in a meadow", "on a grassy meadow", "in a field", "in the meadow"),
    "beach": ("on a beach", "on a sandy beach", "by the sea", "at the beach"),
    "city": ("in a city", "in a town", "on a city street", "in the city"),
    "forest": ("in a forest", "deep in the woods", "in the woods", "in the forest"),
    "snow": ("in the snow", "in a snowy land", "among snowy mountains"),
    "castle": ("in a castle", "in a castle courtyard", "at the castle"),
}
TIMES = {
    "day": ("on a sunny day", "by day", "in bright sunshine", "during the day"),
    "sunset": ("at sunset", "in the evening", "at dusk"),
    "night": ("at night", "under the moon", "on a starry night", "late at night"),
}
WEATHER = {
    "clear": ("", "", "", "under a clear sky"),
    "rain": ("in the rain", "while it rains", "as rain falls"),
    "snowfall": ("while it snows", "as snow falls", "under falling snow"),
}
CLEAR_SKY_WORDS = frozenset({"sunny", "sunshine", "moon", "starry"})
"""A wording of the time with one of these is not said when it rains or snows."""

ACCESSORY_COLOURS = ("white", "black", "pink", "turquoise")
"""Hidden: never told by a caption, and never the colour of the character itself."""
PATTERNS = ("belly", "stripes", "spots", "patch")
"""Hidden: the pattern on head and body."""
LANDMARKS = {
    "meadow": ("tree", "windmill"),
    "beach": ("palm", "lighthouse"),
    "city": ("clock tower", "brick house"),
    "forest": ("mushroom", "tent"),
    "snow": ("fir", "cabin"),
    "castle": ("fountain", "banner"),
}
"""Hidden: what stands in the place, two variants each."""
SIDES = ("left", "right", "both")
"""Hidden: the side of the picture where the landmark stands."""

ACTIONS = {
    "stands": (
        ("stands still", "stand still", "standing still"),
        ("stands there", "stand there", "standing there"),
        ("waits quietly", "wait quietly", "waiting quietly"),
        ("looks around", "look around", "looking around"),
    ),
    "walks": (
        ("walks along", "walk along", "walking along"),
        ("takes a walk", "take a walk", "taking a walk"),
        ("walks", "walk", "walking"),
        ("is walking", "are walking", "strolling"),
    ),
    "waves": (
        ("waves hello", "wave hello", "waving hello"),
        ("waves", "wave", "waving"),
        ("says hello", "say hello", "saying hello"),
    ),
    "jumps": (
        ("jumps up and down", "jump up and down", "jumping up and down"),
        ("hops around", "hop around", "hopping around"),
        ("jumps", "jump", "jumping"),
        ("is jumping", "are jumping", "jumping"),
    ),
    "dances": (
        ("dances", "dance", "dancing"),
        ("dances around", "dance around", "dancing around"),
        ("does a dance", "do a dance", "doing a dance"),
        ("is dancing", "are dancing", "dancing"),
    ),
    "sits": (
        ("sits down", "sit down", "sitting down"),
        ("sits", "sit", "sitting"),
        ("is sitting", "are sitting", "sitting on the ground"),
        ("sits on the ground", "sit on the ground", "sitting on the ground"),
    ),
    "sleeps": (
        ("sleeps", "sleep", "sleeping"),
        ("is asleep", "are asleep", "fast asleep"),
        ("takes a nap", "take a nap", "taking a nap"),
        ("falls asleep", "fall asleep", "falling asleep"),
    ),
}
"""Action -> wordings: of one ("the cat ..."), of several, and as a participle ("... of the cat ...")."""
FEELINGS = {
    CALM: ("",),
    "happy": ("happy", "cheerful", "glad"),
    "sad": ("sad", "unhappy"),
    "surprised": ("surprised", "amazed", "astonished"),
}
"""Feeling -> adjectives, of all who are seen in the shot."""
MANNERS = {
    "happy": ("happily", "with a smile", "for joy"),
    "sad": ("sadly", "in tears"),
    "surprised": ("in surprise",),
}
"""Feeling -> how something is done."""
PROPS = {
    NONE: ("",),
    "balloon": ("a balloon",),
    "flower": ("a flower",),
    "umbrella": ("an umbrella",),
}
"""What the hand that does not wave holds, in this shot only."""
FRAMINGS = {
    "wide": ("wide shot", "wide view", "long shot"),
    "medium": ("medium shot", "middle shot"),
    "close-up": ("close up", "close shot", "close view"),
}
CAMERAS = {
    "still": ("",),
    "pan": ("the camera pans slowly", "slow pan"),
    "push-in": ("the camera pushes in", "the camera moves closer", "slow push in"),
}

WEARING = ("with", "wearing", "who wears")
HOLDING = ("holding", "carrying", "with")
LOOKING = ("looking {feeling}", "feeling {feeling}")
"""Feelings told behind the action, of any number of characters."""
EPITHETS = ("little", "cute", "friendly", "brave", "small", "funny", "young")
"""Adjectives that change nothing."""
OPENERS = ("then", "now", "suddenly", "next", "later", "meanwhile", "here", "again")
"""Beginnings of a prompt that change nothing."""
SETTING_TEMPLATES = (
    "{who} {is} {place} {when}.",
    "{when}, {who} {is} {place}.",
    "a story about {who}, {place} {when}.",
    "{place} {when} {lives} {who}.",
    "once there {was} {who} {place} {when}.",
    "{who}, {place} {when}.",
)
GLUE = ("a", "an", "and", "the", "is", "are", "was", "were", "lives", "live")
"""What the sampler puts between the wordings."""
PROMPT_TEMPLATES = (
    "{framing}. {opener} the {who} {does}.",
    "{framing} of the {who} {doing}.",
    "{opener} the {who} {does}, {framing}.",
    "in a {framing}, the {who} {does}.",
    "a {framing} of the {who} {doing}.",
    "{framing}, the {who} {doing}.",
)


def is_held_out(kind: str, colour: str, accessory: str, place: str) -> bool:
    """Whether this combination is kept from training for ever (a stable tenth of all of them)."""
    digest = hashlib.sha256(f"{kind}|{colour}|{accessory}|{place}".encode()).digest()
    return digest[0] % 10 == 0


def split_words(caption: str) -> list[str]:
    """The lower-case words of a caption, without punctuation."""
    return re.findall(r"[a-z]+", caption.lower())


def words() -> list[str]:
    """Every word, in lower case, that a setting or a prompt can contain, sorted."""
    tables = (
        KINDS,
        COLOURS,
        ACCESSORIES,
        PLACES,
        TIMES,
        WEATHER,
        FEELINGS,
        MANNERS,
        PROPS,
        FRAMINGS,
        CAMERAS,
    )
    phrases = [phrase for table in tables for phrases in table.values() for phrase in phrases]
    phrases += [form for wordings in ACTIONS.values() for wording in wordings for form in wording]
    templates = (*SETTING_TEMPLATES, *PROMPT_TEMPLATES, *LOOKING)
    phrases += [re.sub(r"\{\w+\}", " ", template) for template in templates]
    phrases += [*GLUE, *WEARING, *HOLDING, *EPITHETS, *OPENERS]
    return sorted({word for phrase in phrases for word in split_words(phrase)})
