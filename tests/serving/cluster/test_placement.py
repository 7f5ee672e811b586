"""Where stories are placed, and what is said to who waits."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from shotstream.serving.cluster.placement import Placement, wait_seconds
from shotstream.serving.protocol.refusal import Refusal
from shotstream.serving.storage.leases import ReplicaEntry, ReplicaFigures
from shotstream.serving.storage.store import Store

pytestmark = pytest.mark.system


@pytest.fixture
def leases(tmp_path):
    with Store(tmp_path / "library") as store:
        yield store.leases


def add(leases, name, places, **figures):
    leases.add(name, "127.0.0.1:1", ReplicaFigures(places=places, **figures))


def test_a_new_story_goes_where_most_room_is(leases):
    add(leases, "full", 1)
    leases.assign("a" * 12, "full")
    add(leases, "small", 1)
    add(leases, "large", 3)

    async def places():
        placement = Placement(leases, patience_seconds=0.1)
        return [(await placement.new_place()).name for _ in range(4)]

    assert sorted(asyncio.run(places())) == ["large", "large", "large", "small"]


def test_a_story_stays_where_it_is_told(leases):
    add(leases, "one", 5)
    add(leases, "two", 1)
    leases.assign("a" * 12, "two")

    async def places():
        placement = Placement(leases, patience_seconds=0.1)
        return [(await placement.of_story(name * 12)).name for name in "aab"]

    assert asyncio.run(places()) == ["two", "two", "one"]
    assert leases.owner("b" * 12).name == "one"


def test_a_story_waits_for_another_replica_when_its_own_is_drained(leases):
    add(leases, "one", 1)
    leases.assign("a" * 12, "one")
    leases.drain("one")

    async def place():
        found = asyncio.create_task(Placement(leases, patience_seconds=5).of_story("a" * 12))
        await asyncio.sleep(0)
        add(leases, "two", 1)
        leases.drop("one")
        return (await found).name

    assert asyncio.run(place()) == "two"


def test_who_waits_is_served_in_order_and_told_for_how_long(leases):
    add(leases, "one", 1, playing_seconds=40.0)
    leases.assign("a" * 12, "one")

    async def wait():
        placement = Placement(leases, patience_seconds=5)
        served = []

        async def want(number):
            await placement.new_place()
            served.append(number)
            leases.assign(str(number) * 12, "one")

        waiting = [asyncio.create_task(want(number)) for number in range(2)]
        while placement.waiting < 2:
            await asyncio.sleep(0.01)
        said = await placement.forecast(placement.waiting)
        leases.release("a" * 12, "one")
        await asyncio.wait_for(waiting[0], 4)
        leases.release("0" * 12, "one")
        await asyncio.wait_for(waiting[1], 4)
        return served, said

    served, said = asyncio.run(wait())
    assert served == [0, 1]
    assert said.startswith("all 1 places are taken and 2 wait before you; a place is free in about 120 sec")


def test_a_place_goes_to_who_asked_first_however_long_the_look_takes(leases, monkeypatch):
    add(leases, "one", 1)
    placement, free, looks = Placement(leases, patience_seconds=0.3), Placement._free, []

    async def slow_at_first(self):
        looks.append(len(looks))
        await asyncio.sleep(0.2 if len(looks) == 1 else 0)
        return await free(self)

    monkeypatch.setattr(Placement, "_free", slow_at_first)
    served = []

    async def want(number):
        await placement.new_place()
        served.append(number)
        leases.assign(str(number) * 12, "one")

    async def both():
        return await asyncio.gather(want(0), want(1), return_exceptions=True)

    assert isinstance(asyncio.run(both())[1], Refusal)
    assert served == [0]
    assert len(looks) < 6, "a second or two a second, not as fast as it can"


def test_who_waited_in_vain_is_refused_with_what_is_known(leases):
    add(leases, "one", 1)
    leases.assign("a" * 12, "one")

    async def want():
        await Placement(leases, patience_seconds=0.05).new_place()

    with pytest.raises(Refusal, match="all 1 places are taken and 0 wait before you; nobody has left yet"):
        asyncio.run(want())


def test_the_wait_is_the_places_that_become_free_in_the_mean_time_of_a_story():
    one = ReplicaEntry("one", "", False, time.time(), ReplicaFigures(places=4, playing_seconds=60.0))
    two = replace(one, name="two", figures=ReplicaFigures(places=2, playing_seconds=60.0))
    assert wait_seconds([one], 0) == 15
    assert wait_seconds([one, two], 2) == 30
    assert wait_seconds([replace(one, figures=ReplicaFigures(places=4))], 0) is None
    silent = replace(one, beat_seconds=time.time() - 60)
    assert (one.room, silent.room) == (4, 0)
