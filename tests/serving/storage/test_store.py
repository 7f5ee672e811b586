"""What is journalled is read back, by whoever reads and whoever else writes."""

from __future__ import annotations

import multiprocessing
import re
import threading

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import NoStory, StoredCommand, StoreError
from tests.serving.storage.numbered_story import (
    MADE_WITH,
    ONE_SHOT,
    begin,
    card,
    check,
    chunk,
    command,
    journal,
    latents,
)

pytestmark = pytest.mark.system


def test_a_story_reads_back_as_it_was_journalled(store):
    story, entries = begin(store), len(ONE_SHOT) + 3
    for number in range(entries):
        journal(store, story, number)
    told = store.load(story)
    assert check(told) == entries
    assert (told.setting, told.seed, told.made_with) == ("a fox", 7, MADE_WITH)
    assert [len(told.commands), len(told.chunks)] == [8, 6]
    assert [chunk.last for chunk in told.chunks] == [False] * 4 + [True, False]
    assert re.fullmatch("[a-z0-9]{12}", story)


def test_a_story_has_the_title_that_it_was_given_last(store):
    story, other = begin(store, title="The fox"), begin(store)
    assert [store.summary(one).title for one in (story, other)] == ["The fox", ""]
    before = store.summary(story)
    store.rename(story, "Лиса и фонарь — 狐🦊")
    now = store.summary(story)
    assert (now.title, store.load(story).title) == ("Лиса и фонарь — 狐🦊",) * 2
    assert now.changed_seconds > before.changed_seconds
    event = store.history(story)[-1]
    assert (event["type"], event["title"]) == ("rename", now.title)
    assert [one.id for one in store.stories()] == [story, other]
    store.rename(story, "")
    assert store.summary(story).title == store.summary(other).title == ""


def test_a_chunk_keeps_its_facts(store):
    story = begin(store)
    made = chunk(3, 2, 1, seed=2**63 - 1, prompt="läuft — 走る", first_frame=13, last=True)
    kept = store.append_chunk(story, made)
    assert (kept.shot, kept.take, kept.chunk, kept.seed) == (3, 1, 2, 2**63 - 1)
    assert (kept.prompt, kept.first_frame, kept.frames, kept.last) == ("läuft — 走る", 13, 8, True)
    assert torch.equal(kept.latents(), made.latents)
    assert store.load(story).chunks == store.take_chunks(story, 3, 1) == [kept]


def test_the_newest_chunk_sent_again_changes_nothing(store):
    story = begin(store)
    kept = store.append_chunk(story, chunk(latents=latents(1)), [card(0, 1)])
    before = store.snapshot(story)
    assert store.append_chunk(story, chunk(latents=latents(1)), [card(0, 2)]) == kept
    assert store.load(story).entries == [kept]
    assert store.snapshot(story) == before
    assert list(kept.path.parent.iterdir()) == [kept.path]


def test_a_command_whose_id_is_taken_is_refused_and_changes_nothing(store):
    story, other = begin(store), begin(store)
    store.append_command(story, command("a", "cut"))
    with pytest.raises(StoreError, match="refused"):
        store.append_command(story, command("a", "stop"), [card(0)])
    assert store.load(story).entries == [command("a", "cut")]
    assert store.snapshot(story).shots == []
    store.append_command(other, command("a", "stop"))


@pytest.mark.parametrize("story", ["nobody", "../../etc", "x' OR 1=1"])
def test_a_story_that_is_not_there_is_named(store, story):
    for call in (
        lambda: store.load(story),
        lambda: store.snapshot(story),
        lambda: store.take_chunks(story, 0, 0),
        lambda: store.rename(story, "a title"),
        lambda: store.delete(story),
        lambda: store.undelete(story),
        lambda: store.forget(story),
        lambda: store.append_command(story, command("a")),
        lambda: store.append_chunk(story, chunk()),
        lambda: store.note(story, [card(0)]),
        lambda: begin(store, parent=(story, 0)),
    ):
        with pytest.raises(NoStory, match=re.escape(repr(story)[1:-1])):
            call()
    assert not (store.folder / "stories").exists()
    assert store.stories() == []


@pytest.mark.parametrize("wrong", [latents(0).double(), latents(0)[0], torch.cat([latents(0)] * 2)])
def test_only_latents_of_a_chunk_are_taken(store, wrong):
    with pytest.raises(ValueError, match=r"float32 \[1, F, C, h, w\]"):
        store.append_chunk(begin(store), chunk(latents=wrong))


@pytest.mark.parametrize("damage", ["gone", "half", "empty"])
def test_damaged_latents_are_named_with_a_remedy(store, damage):
    kept = store.append_chunk(begin(store), chunk())
    data = kept.path.read_bytes()
    kept.path.write_bytes(data[: len(data) // 2] if damage == "half" else b"")
    if damage == "gone":
        kept.path.unlink()
    with pytest.raises(StoreError, match=r"chunk 1 of shot 1, take 1 .*take the shot again"):
        kept.latents()


def try_to_open(library, answer) -> None:
    try:
        Store(library)
    except StoreError as error:
        answer.send(str(error))


def test_a_library_is_open_in_one_process_at_a_time(tmp_path):
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.serving.storage.numbered_story"])
    here, there = processes.Pipe(duplex=False)
    with Store(tmp_path):
        process = processes.Process(target=try_to_open, args=(tmp_path, there))
        process.start()
        process.join()
        assert here.poll()
        assert "open in another process; end that" in here.recv()
    Store(tmp_path).close()


def test_readers_see_whole_entries_while_a_writer_writes(store):
    story, seen = begin(store), [0]

    def read() -> None:
        while seen[-1] < 40:
            seen.append(check(store.load(story)))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(40):
        journal(store, story, number)
    reader.join(timeout=10)
    assert seen[-1] == 40
    assert seen == sorted(seen)


def test_threads_that_write_wait_for_each_other(store):
    stories = [begin(store) for _ in range(3)]

    def write(story: str) -> None:
        for number in range(12):
            journal(store, story, number)

    threads = [threading.Thread(target=write, args=(story,)) for story in stories]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [check(store.load(story)) for story in stories] == [12, 12, 12]


words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
prompts = words.filter(lambda text: text.split())
asked = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("shoot"), "prompt": prompts},
        optional={
            "seconds": st.floats(0.01, 3600),
            "seed": st.integers(0, 2**53 - 1),
            "after": st.booleans(),
        },
    ),
    st.fixed_dictionaries({"type": st.just("edit"), "prompt": prompts, "shot": st.integers(0, 2**32 - 1)}),
    st.fixed_dictionaries({"type": st.just("unpin"), "shot": st.just(0), "frame": st.integers(-(2**31), -1)}),
    st.fixed_dictionaries({"type": st.sampled_from(["cut", "hold", "undo"]), "note": st.none() | words}),
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(asked | st.none(), max_size=8))
def test_any_telling_reads_back_in_order(store, live):
    story, expected = begin(store), []
    for number, fields in enumerate(live):
        if fields is None:
            expected.append(store.append_chunk(story, chunk(number, latents=latents(number))))
        else:
            expected.append(command(str(number), **fields))
            store.append_command(story, expected[-1])
    told = store.load(story)
    assert told.entries == expected
    assert told.commands == [entry for entry in expected if isinstance(entry, StoredCommand)]
