"""Which frames of a story can be asked for, and how shots are drawn."""

import pytest
import torch

from shotstream.data.films.filters import split_run
from shotstream.data.shot_pool import ShotPool, remembered_positions
from shotstream.streaming.context_frames import select_frames

pytestmark = pytest.mark.unit


def test_every_frame_that_selection_asks_for_is_there_whatever_the_lengths():
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        count = int(torch.randint(1, 6, (), generator=generator))
        lengths = torch.randint(1, 90, (count,), generator=generator).tolist()
        positions = remembered_positions(lengths, 6)
        for told in range(1, count + 1):
            for budget in range(1, 7):
                for shot, frame in select_frames(lengths[:told], budget):
                    assert frame in positions[shot]
        assert all(own == sorted(set(own)) and own[0] >= 0 for own in positions)
        assert all(own[-1] < length for own, length in zip(positions, lengths, strict=True))


def test_shots_of_a_batch_are_equally_long_and_all_equally_likely():
    pool = ShotPool([(0, 0, 3), (0, 1, 9), (1, 0, 9), (1, 1, 9), (2, 0, 6)])
    generator, seen = torch.Generator().manual_seed(0), []
    for _ in range(3000):
        pairs = pool.draw(2, generator, alike=True)
        assert {(0, 0): 3, (2, 0): 6}.get(pairs[0], 9) == {(0, 0): 3, (2, 0): 6}.get(pairs[1], 9)
        seen += pairs
    for pair in set(seen):
        assert seen.count(pair) / len(seen) == pytest.approx(0.2, abs=0.03)
    with pytest.raises(ValueError, match="no story has a second shot"):
        ShotPool([]).draw(1, generator, alike=True)


def test_runs_are_shared_evenly():
    assert split_run(1, 2, 5) == []
    assert split_run(1, 1, 5) == [1]
    assert split_run(5, 2, 5) == [5]
    assert split_run(6, 2, 5) == [3, 3]
    assert split_run(11, 2, 5) == [4, 4, 3]
    for length in range(2, 60):
        sizes = split_run(length, 2, 5)
        assert sum(sizes) == length
        assert min(sizes) >= 2
        assert max(sizes) <= 5
