"""A picture stays as long as a story uses it, and no longer."""

from __future__ import annotations

import numpy as np
import pytest

from shotstream.serving.storage.stored import StoreError
from tests.serving.storage.numbered_story import begin, command

pytestmark = pytest.mark.unit


def bring(store, value: int) -> str:
    return store.add_picture(np.full((3, 4, 3), value, np.uint8))


def test_a_picture_goes_with_the_last_story_that_uses_it(store):
    shared, own, unused = (bring(store, value) for value in range(3))
    first, second = begin(store), begin(store)
    for story, uploads in ((first, [shared, own]), (second, [shared])):
        for upload in uploads:
            store.append_command(story, command(f"with {upload}", "reference", upload=upload))
    assert store.pictures() == dict.fromkeys(sorted([shared, own, unused]), True) | {unused: False}
    store.delete(first)
    assert store.pictures()[own], "it can be brought back"
    store.forget(first)
    assert store.pictures() == {shared: True, unused: False}
    store.delete(second)
    store.forget(second)
    assert store.pictures() == {unused: False}


def test_a_picture_that_no_story_uses_can_be_removed(store):
    used, unused = bring(store, 0), bring(store, 1)
    story = begin(store)
    store.append_command(story, command("with it", "reference", upload=used))
    with pytest.raises(StoreError, match="a story uses the picture"):
        store.remove_picture(used)
    store.remove_picture(unused)
    assert store.pictures() == {used: True}
    for name in (unused, "../library.db", "nobody"):
        with pytest.raises(LookupError, match="no picture"):
            store.remove_picture(name)


def test_a_name_in_a_prompt_keeps_no_picture(store):
    upload, story = bring(store, 0), begin(store)
    store.append_command(story, command("shoot", "shoot", prompt=f"runs {upload}"))
    assert store.pictures() == {upload: False}
