"""What a viewer of a live story was shown."""

from __future__ import annotations

from tests.serving.conftest import Studio


def places(studio: Studio, live) -> list[tuple]:
    return [place[:4] for place in studio.viewer(live).film()]
