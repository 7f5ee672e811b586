"""Text as people paste it: blanks of every kind, and characters that nobody sees."""

from __future__ import annotations

import re

_UNSEEN = re.compile("[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]")
_JOINERS = re.compile("(?<![^\u0000-\u024f])[\u200c\u200d]+")
_BLANKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_LINE_ENDS = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


def drop_unseen(text: str) -> str:
    """Leave out characters that take no room: zero-width blanks, soft hyphens, marks of byte and text order.

    Joiners stay where they change what is seen: in emoji and in scripts other than the Latin one.
    """
    return _JOINERS.sub("", _UNSEEN.sub("", text))


def one_line(text: str, *, keep_start: bool = False, keep_end: bool = False) -> str:
    """Return the text without characters that nobody sees, and with one blank for every run of blanks.

    Line breaks, control characters and halves of characters count as blanks.

    Args:
        text: The text.
        keep_start: Keep one blank at the start if blanks without a line break are there.
        keep_end: Likewise at the end.
    """
    seen = drop_unseen(text)
    line = _BLANKS.sub(" ", seen).strip()
    if not line:
        return ""
    start, end = (_BLANKS.match(side) for side in (seen, seen[::-1]))
    return _edge(start) * keep_start + line + _edge(end) * keep_end


def _edge(blanks: re.Match[str] | None) -> str:
    return " " if blanks and not _LINE_ENDS.search(blanks[0]) else ""
