from __future__ import annotations

import pytest

from shotstream.serving.protocol.refusal import Refusal
from shotstream.serving.quotas import QuotaKeeper, Quotas
from tests.serving.conftest import Studio

pytestmark = pytest.mark.unit


def test_more_stories_than_there_may_be_are_refused(studio: Studio) -> None:
    studio.begin()
    QuotaKeeper(studio.store, Quotas(stories=2)).check_story()
    with pytest.raises(Refusal, match="1 stories, the most there can be; delete some"):
        QuotaKeeper(studio.store, Quotas(stories=1)).check_story()


def test_more_branches_of_a_story_than_there_may_be_are_refused(studio: Studio) -> None:
    studio.engine._quotas = QuotaKeeper(studio.store, Quotas(branches=1))
    live = studio.begin()
    studio.send(live, type="shoot", prompt="runs", chunks=1)
    studio.run()
    assert studio.send(live, type="branch", shot=0).type == "receipt"
    refused = studio.send(live, type="branch", shot=0)
    assert (refused.type, refused.code) == ("refused", "limit")
    assert studio.send(live, type="shoot", prompt="sleeps", chunks=1).type == "receipt"


def test_more_pictures_than_there_may_be_are_refused(studio: Studio) -> None:
    QuotaKeeper(studio.store, Quotas(uploads=2)).check_upload()
    with pytest.raises(Refusal, match="1 pictures"):
        QuotaKeeper(studio.store, Quotas(uploads=1)).check_upload()


def test_a_library_that_is_large_enough_takes_no_more(studio: Studio) -> None:
    """What runs comes to its end, and what is said of it is taken."""
    keeper = studio.engine._quotas = QuotaKeeper(studio.store, Quotas(disk_bytes=2**20))
    live = studio.begin()
    studio.send(live, type="shoot", prompt="runs", chunks=2)
    (studio.store.folder / "large").write_bytes(bytes(2**20))
    keeper.measure()
    refused = studio.send(live, type="extend", chunks=1)
    assert (refused.type, refused.code) == ("refused", "limit")
    assert "GiB that it may take" in refused.message
    assert studio.send(live, type="redirect", prompt="sleeps").type == "receipt"
    studio.run()
    assert len(studio.viewer(live).chunks) == 2
    for check in (keeper.check_story, keeper.check_upload):
        with pytest.raises(Refusal, match="may take"):
            check()


def test_no_quota_looks_at_no_disk(studio: Studio) -> None:
    keeper = QuotaKeeper(studio.store, Quotas(disk_bytes=None))
    keeper.measure()
    keeper.check_disk()
    assert keeper._bytes == 0
