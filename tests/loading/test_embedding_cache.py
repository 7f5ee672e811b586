from __future__ import annotations

import os
import stat
import time
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shotstream.loading.embedding_cache import EmbeddingCache, embedding_key

pytestmark = pytest.mark.unit

FACTS = st.tuples(
    st.text(max_size=5), st.integers(1, 600), st.sampled_from(["cpu", "cuda"]), st.text(max_size=9)
)


def caption(value: float, tokens: int = 3) -> torch.Tensor:
    return torch.full((tokens, 4), value, dtype=torch.bfloat16)


@settings(max_examples=200, deadline=None)
@given(first=FACTS, second=FACTS)
def test_keys_are_equal_only_for_equal_facts(first, second):
    assert (embedding_key(*first) == embedding_key(*second)) == (first == second)


def test_neighbouring_facts_do_not_run_into_one_another():
    assert embedding_key("ab", "c") != embedding_key("a", "bc") != embedding_key("abc")


@pytest.mark.parametrize("on_disk", [True, False])
def test_what_is_written_is_read(tmp_path, on_disk):
    cache = EmbeddingCache(tmp_path / "captions" if on_disk else None)
    assert cache.read("a") is None
    cache.write("a", caption(1.5))
    cache.write("b", caption(2.5, tokens=7))
    cache.write("a", caption(3.5))
    assert torch.equal(cache.read("a"), caption(3.5))
    assert torch.equal(cache.read("b"), caption(2.5, tokens=7))


def test_only_the_owner_may_look_and_nothing_half_written_stays(tmp_path):
    cache = EmbeddingCache(tmp_path / "captions")
    cache.write("a", caption(1.0))
    assert stat.S_IMODE((tmp_path / "captions").stat().st_mode) == 0o700
    assert [path.name for path in (tmp_path / "captions").iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("damage", ["cut", "emptied", "zeros", "other"])
def test_a_damaged_entry_is_absent_and_written_again(tmp_path, damage):
    cache = EmbeddingCache(tmp_path)
    cache.write("a", caption(1.0))
    path = tmp_path / "a.safetensors"
    whole = path.read_bytes()
    changed = {"cut": whole[:-5], "emptied": b"", "zeros": whole[:-8] + bytes(8), "other": b"not numbers" * 9}
    path.write_bytes(changed[damage])
    assert cache.read("a") is None
    cache.write("a", caption(1.0))
    assert torch.equal(cache.read("a"), caption(1.0))


def test_what_was_not_used_for_longest_is_dropped(tmp_path):
    cache = EmbeddingCache(tmp_path)
    for age, name in enumerate("abc"):
        cache.write(name, caption(1.0))
        os.utime(tmp_path / f"{name}.safetensors", (100 + age, 100 + age))
    assert cache.read("a") is not None  # used just now: b is the oldest
    size = (tmp_path / "a.safetensors").stat().st_size
    small = EmbeddingCache(tmp_path, limit_bytes=3 * size)
    small.write("d", caption(1.0))
    assert {path.stem for path in tmp_path.iterdir()} == {"a", "c", "d"}


def test_an_entry_that_another_process_just_removed_does_no_harm(tmp_path):
    (tmp_path / "gone.safetensors").symlink_to(tmp_path / "nowhere")  # is listed, and cannot be looked at
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        EmbeddingCache(tmp_path).write("a", caption(1.0))
    assert torch.equal(EmbeddingCache(tmp_path).read("a"), caption(1.0))


def test_what_was_left_half_written_long_ago_is_removed(tmp_path):
    for name, age_hours in (("old", 25), ("young", 23)):
        part = tmp_path / f"{name}.123.part"
        part.write_bytes(b"half")
        os.utime(part, (time.time() - age_hours * 3600,) * 2)
    EmbeddingCache(tmp_path).write("a", caption(1.0))
    assert {path.name for path in tmp_path.iterdir()} == {"young.123.part", "a.safetensors"}


def test_a_folder_that_cannot_be_written_is_told_and_does_no_harm(tmp_path):
    (tmp_path / "captions").write_text("in the way")
    cache = EmbeddingCache(tmp_path / "captions")
    with pytest.warns(UserWarning, match="cannot be kept in .*; set SHOTSTREAM_CACHE"):
        cache.write("a", caption(1.0))
    assert torch.equal(cache.read("a"), caption(1.0))  # as long as the program runs


def test_memory_keeps_the_newest():
    cache = EmbeddingCache(None)
    for number in range(300):
        cache.write(str(number), caption(number))
    assert cache.read("0") is None
    assert torch.equal(cache.read("299"), caption(299))
