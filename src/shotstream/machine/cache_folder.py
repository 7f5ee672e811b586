"""Where this machine keeps what can be made again."""

from __future__ import annotations

import os
from pathlib import Path


def find_cache_folder(asked: str | Path | None = None) -> Path | None:
    """Find the folder.

    Args:
        asked: A folder, or "off". If None it is what ``SHOTSTREAM_CACHE`` says, or else ``shotstream`` in
            ``$XDG_CACHE_HOME`` or ``~/.cache``.

    Returns:
        The folder, which need not exist yet; None if nothing is to be kept on disk.
    """
    usual = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "shotstream")
    place = asked or os.environ.get("SHOTSTREAM_CACHE") or usual
    return None if str(place) == "off" else Path(place).expanduser()
