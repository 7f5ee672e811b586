"""Colours of the cast: bodies, what they wear, and the marks of their patterns."""

from __future__ import annotations

from shotstream.world.pen import Colour, mix

COLOURS: dict[str, Colour] = {
    "red": (226, 44, 48),
    "orange": (252, 138, 20),
    "yellow": (255, 216, 40),
    "green": (38, 160, 74),
    "blue": (46, 100, 236),
    "purple": (142, 68, 204),
    "pink": (255, 146, 196),
    "white": (250, 249, 246),
}
ACCESSORY_COLOURS: dict[str, Colour] = {
    "white": (252, 252, 252),
    "black": (52, 48, 62),
    "pink": (255, 120, 190),
    "turquoise": (60, 222, 214),
}
CREAM: Colour = (255, 242, 216)
TAN: Colour = (238, 190, 136)
DARK: Colour = (30, 26, 36)
WHITE: Colour = (255, 255, 255)
ROSE: Colour = (240, 110, 140)
GLOW: Colour = (130, 255, 240)


def limb_tone(colour: str) -> Colour:
    """Arms, legs and tails: a little darker than the body, so that they stand out before it."""
    return mix(COLOURS[colour], DARK, 0.1 if colour == "white" else 0.14)


def pale_mark(colour: str) -> Colour:
    """Belly, spots and muzzle."""
    return TAN if colour == "white" else CREAM


def dark_mark(colour: str) -> Colour:
    """Stripes and patch."""
    return mix(COLOURS[colour], DARK, 0.5 if colour == "white" else 0.6)


def inner_ear(colour: str) -> Colour:
    """The inside of ears."""
    return (255, 176, 190) if colour == "white" else mix(COLOURS[colour], WHITE, 0.6)
