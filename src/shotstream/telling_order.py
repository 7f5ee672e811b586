"""The order in which the takes of a story file are told, once shots of it were moved."""

from __future__ import annotations

from collections.abc import Collection, Mapping

TakeKey = tuple[int, int]
"""(shot, take), by their numbers."""


def telling_order(made_from: Mapping[TakeKey, Collection[TakeKey]]) -> list[TakeKey]:
    """Order takes so that each comes after those that it was made from, and its number after the lower ones.

    Args:
        made_from: For every take those that it was made from, which are among them too.

    Returns:
        All takes; of those that could be told next, the one with the lowest numbers always is.

    Raises:
        ValueError: If there is no such order.
    """
    told: list[TakeKey] = []
    left = sorted(made_from)
    while left:
        shots = {shot for shot, _ in told}
        ready = (take for take in left if (not take[0] or take[0] - 1 in shots))
        following = next((take for take in ready if not set(made_from[take]) - set(told)), None)
        if following is None:
            names = ", ".join(f"number {shot}, take {take}" for shot, take in left)
            raise ValueError(f"these takes wait for one another: {names}; let one of them remember less")
        told.append(following)
        left.remove(following)
    return told
