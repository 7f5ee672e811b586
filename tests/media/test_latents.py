from __future__ import annotations

import numpy as np
import pytest

from shotstream.media.latents import LatentFolder

pytestmark = pytest.mark.unit


def chunk(number: int) -> np.ndarray:
    return np.random.default_rng(number).standard_normal((1, 3, 4, 2, 2)).astype(np.float32)


def test_chunks_come_back_bit_for_bit_in_their_order(tmp_path):
    folder = LatentFolder(tmp_path / "latents")
    for number in range(12):
        folder.keep(0, number, chunk(number))
    folder.keep(1, 0, chunk(50))
    assert [np.array_equal(told, chunk(n)) for n, told in enumerate(folder.read(0))] == [True] * 12
    assert len(folder.read(1)) == 1
    assert folder.read(2) == []


def test_what_is_lost_or_damaged_ends_what_is_known(tmp_path):
    folder = LatentFolder(tmp_path)
    for number in range(4):
        folder.keep(0, number, chunk(number))
    (tmp_path / "0001-0004.safetensors").write_bytes(b"damaged")
    assert len(folder.read(0)) == 3
    (tmp_path / "0001-0002.safetensors").unlink()
    assert len(folder.read(0)) == 1
    folder.keep(0, 3, chunk(3))
    folder.keep(0, 1, chunk(1))
    assert len(folder.read(0)) == 4


def test_only_its_own_files_are_removed(tmp_path):
    folder = LatentFolder(tmp_path / "latents")
    folder.remove()
    folder.keep(0, 0, chunk(0))
    other = folder.folder / "style.safetensors"
    other.write_bytes(b"somebody's")
    folder.remove()
    assert list(folder.folder.iterdir()) == [other]
    other.unlink()
    folder.remove()
    assert not folder.folder.exists()
