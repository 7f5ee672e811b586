"""What a story of the world can be about, and every word that its captions can use.

Captions are told in a closed vocabulary without hyphens, so that a word-level tokenizer made from `words()`
knows every caption. Hidden attributes (accessory colour, pattern, landmark, side) have no wording at all: no
caption may ever tell them.
"""

from __future__ import annotations

import hashlib
import re

KINDS = {
    "cat": ("cat", "kitten"),
    "rabbit": ("rabbit", "bunny"),
    "bear": ("bear",),
    "robot": ("robot",),
}
COLOURS = {
    "red": ("red", "scarlet"),
    "orange": ("orange",),
    "yellow": ("yellow",),
    "green": ("green",),
    "blue": ("blue",),
    "purple": ("purple", "violet"),
}
ACCESSORIES = {
    "top hat": ("a top hat", "a tall hat", "a hat"),
    "crown": ("a crown",),
    "scarf": ("a scarf", "a warm scarf"),
    "sunglasses": ("sunglasses", "big sunglasses", "glasses"),
}
PLACES = {
    "meadow": ("in a meadow", "on a grassy meadow", "in a flower field"),
    "beach": ("on a beach", "on a sandy beach", "by the sea"),
    "city": ("in a city", "in a town", "on a city street"),
    "forest": ("in a forest", "deep in the woods", "in the woods"),
    "snow": ("in the snow", "in a snowy land", "among snowy mountains"),
}
TIMES = {
    "day": ("on a sunny day", "by day", "in bright sunshine"),
    "sunset": ("at sunset", "in the evening", "at dusk"),
    "night": ("at night", "under the moon", "on a starry night"),
}

ACCESSORY_COLOURS = ("white", "black", "pink", "turquoise")
"""Hidden: never told by a caption."""
PATTERNS = ("belly", "stripes", "spots", "patch")
"""Hidden: the pattern on head and body."""
LANDMARKS = {
    "meadow": ("tree", "windmill"),
    "beach": ("palm", "lighthouse"),
    "city": ("clock tower", "brick house"),
    "forest": ("mushroom", "tent"),
    "snow": ("fir", "cabin"),
}
"""Hidden: what stands in the place, two variants each."""
SIDES = ("left", "right", "both")
"""Hidden: the side of the picture where the landmark stands."""

ACTIONS = {
    "stands": (
        ("stands still", "stand still", "standing still"),
        ("waits quietly", "wait quietly", "waiting quietly"),
        ("looks around", "look around", "looking around"),
    ),
    "walks": (
        ("walks along", "walk along", "walking along"),
        ("takes a walk", "take a walk", "taking a walk"),
        ("is walking", "are walking", "walking"),
    ),
    "waves": (
        ("waves hello", "wave hello", "waving hello"),
        ("waves", "wave", "waving"),
        ("says hello", "say hello", "saying hello"),
    ),
    "jumps": (
        ("jumps up and down", "jump up and down", "jumping up and down"),
        ("hops for joy", "hop for joy", "hopping for joy"),
        ("is jumping", "are jumping", "jumping"),
    ),
    "dances": (
        ("dances happily", "dance happily", "dancing happily"),
        ("does a dance", "do a dance", "doing a dance"),
        ("is dancing", "are dancing", "dancing"),
    ),
}
"""Action -> wordings: of one ("the cat ..."), of several, and as a participle ("... of the cat ...")."""
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

SETTING_TEMPLATES = (
    "{who} {is} {place} {time}.",
    "{time}, {who} {is} {place}.",
    "a story about {who}, {place} {time}.",
    "{place} {time} {lives} {who}.",
    "once there {was} {who} {place} {time}.",
)
GLUE = ("a", "an", "and", "the", "with", "wearing", "is", "are", "was", "were", "lives", "live")
"""What the sampler puts between the wordings."""
PROMPT_TEMPLATES = (
    "{framing}. the {who} {does}.",
    "{framing} of the {who} {doing}.",
    "the {who} {does}, {framing}.",
    "in a {framing}, the {who} {does}.",
    "a {framing} of the {who} {doing}.",
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
    tables = (KINDS, COLOURS, ACCESSORIES, PLACES, TIMES, FRAMINGS, CAMERAS)
    phrases = [phrase for table in tables for phrases in table.values() for phrase in phrases]
    phrases += [form for wordings in ACTIONS.values() for wording in wordings for form in wording]
    phrases += [re.sub(r"\{\w+\}", " ", template) for template in SETTING_TEMPLATES + PROMPT_TEMPLATES]
    phrases += GLUE
    return sorted({word for phrase in phrases for word in split_words(phrase)})
