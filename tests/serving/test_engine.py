from __future__ import annotations

import pytest

from shotstream.serving.protocol import Receipt
from tests.serving.conftest import Studio

pytestmark = pytest.mark.cpu


def test_a_shot_is_told(studio: Studio) -> None:
    telling = studio.begin()
    receipt = studio.send(telling, type="shoot", prompt="runs")
    assert isinstance(receipt, Receipt)
    studio.run()
    film = studio.viewer(telling).film()
    assert [place[:4] for place in film] == [(0, 0, 0, False), (0, 0, 1, False), (0, 0, 2, True)]
