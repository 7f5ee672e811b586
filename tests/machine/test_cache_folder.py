from __future__ import annotations

import pytest

from shotstream.machine.cache_folder import find_cache_folder

pytestmark = pytest.mark.unit


def test_where_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("SHOTSTREAM_CACHE", raising=False)
    assert find_cache_folder() == tmp_path / "shotstream"
    monkeypatch.setenv("SHOTSTREAM_CACHE", str(tmp_path / "mine"))
    assert find_cache_folder() == tmp_path / "mine"
    assert find_cache_folder(tmp_path / "asked") == tmp_path / "asked"
    monkeypatch.setenv("SHOTSTREAM_CACHE", "off")
    assert find_cache_folder() is None
    assert find_cache_folder("off") is None
