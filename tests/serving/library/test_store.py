from __future__ import annotations

import multiprocessing
import re
import threading

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shotstream.serving.store import Store
from shotstream.serving.stored import ChunkMeta, Parent, StoredCommand, StoredShot, StoreError, Swept

from tests.serving.telling import CHUNKS_PER_SHOT, begin, check, journal, latents

pytestmark = pytest.mark.cpu

META = ChunkMeta(seed=2**63 - 1, length_chunks=2, prompt="runs", first_frame=0, frames=5)


def test_a_story_reads_back_as_it_was_journalled(store):
    story = begin(store)
    for number in range(CHUNKS_PER_SHOT + 2):
        journal(store, story, number)
    told = store.load(story)
    assert check(told, least=CHUNKS_PER_SHOT + 2) == CHUNKS_PER_SHOT + 2
    assert (told.setting, told.seed, told.model, told.size) == ("a fox", 7, "mini", (16, 32))
    assert told.commands[0] == StoredCommand("shoot-0", {"type": "shoot", "prompt": "runs"}, (0, 0))
    assert [(shot.shot, shot.state, shot.take) for shot in told.shots] == [(0, "done", 0), (1, "live", 0)]
    assert [(take.shot, take.take, take.length_chunks) for take in told.takes] == [(0, 0, 5), (1, 0, 5)]
    assert re.fullmatch("[a-z0-9]{12}", story)


def test_commands_keep_their_order_among_chunks_their_places_and_their_words(store):
    story = begin(store)
    first = StoredCommand("a", {"type": "shoot", "id": "a", "prompt": "läuft — 走る"}, (0, 0), "a note")
    second = StoredCommand("b", {"type": "pause", "id": "b"})
    store.append_chunk(story, 0, 0, 0, latents(0), META, [first])
    store.append_commands(story, [second])
    store.append_chunk(story, 0, 0, 1, latents(1), META)
    told = store.load(story)
    assert told.entries == [first, told.chunks[0], second, told.chunks[1]]
    assert told.commands == [first, second]
    assert told.takes[0].seed == 2**63 - 1


def test_sent_again_a_command_or_the_newest_chunk_changes_nothing(store):
    story = begin(store)
    command = StoredCommand("a", {"type": "shoot"}, (0, 0))
    for _ in range(2):
        store.append_chunk(story, 0, 0, 0, latents(0), META, [command])
    store.append_commands(story, [command, StoredCommand("b", {}), StoredCommand("b", {"late": True})])
    told = store.load(story)
    assert told.entries == [command, told.chunks[0], StoredCommand("b", {})]


def test_a_shot_that_is_deleted_and_shot_again_keeps_both_latents(store):
    """Undo brings the first one back, so its file must not be the second one's."""
    story = begin(store)
    store.append_chunk(story, 0, 0, 0, latents(0), META, [StoredCommand("a", {"type": "shoot"})])
    store.append_commands(
        story, [StoredCommand("b", {"type": "delete"})], [StoredShot(0, "runs", "deleted", 0)]
    )
    assert store.load(story).shots == [StoredShot(0, "runs", "deleted", 0)]
    store.append_chunk(story, 0, 0, 0, latents(1), META, [StoredCommand("c", {"type": "shoot"})])
    told = store.load(story)
    assert [torch.equal(chunk.latents(), latents(n)) for n, chunk in enumerate(told.chunks)] == [True, True]
    assert told.shots == [StoredShot(0, "runs", "live", 0)]


def test_the_card_of_a_shot_follows_its_takes(store):
    story = begin(store)
    store.append_commands(story, [], [StoredShot(0, "runs", "queued")])
    store.append_chunk(story, 0, 0, 0, latents(0), META)
    redirected = ChunkMeta(seed=1, length_chunks=2, prompt="sleeps", first_frame=5, frames=8)
    store.append_chunk(story, 0, 0, 1, latents(1), redirected)
    assert store.load(story).shots == [StoredShot(0, "runs", "done", 0)]
    store.append_chunk(story, 0, 1, 0, latents(2), redirected, cards=[StoredShot(1, "rests", "stale", 0)])
    told = store.load(story)
    assert told.shots == [StoredShot(0, "sleeps", "live", 1), StoredShot(1, "rests", "stale", 0)]
    assert [chunk.prompt for chunk in told.chunks] == ["runs", "sleeps", "sleeps"]


def test_a_branch_knows_where_in_its_parent_it_began(store):
    parent = begin(store)
    journal(store, parent, 0)
    branch = begin(store, parent=(parent, 0))
    journal(store, parent, 1)
    told = store.load(branch)
    assert told.parent == Parent(parent, 0, 3)
    assert (told.entries, store.load(parent).entries_count) == ([], 5)
    with pytest.raises(StoreError, match="no story 'nobody'"):
        begin(store, parent=("nobody", 0))


def test_states_are_kept_with_their_reasons(store):
    story = begin(store)
    store.set_state(story, "failed", "The disk is full.")
    store.set_state(story, "idle")
    told = store.load(story)
    assert (told.state, told.reason) == ("idle", None)
    assert [(event["state"], event["reason"]) for event in store.events(story)] == [
        ("failed", "The disk is full."),
        ("idle", None),
    ]
    assert told.created_seconds < store.events(story)[0]["moment_seconds"] <= told.changed_seconds


def test_a_deleted_story_comes_back_whole(store):
    first, second = begin(store), begin(store)
    journal(store, first, 0)
    assert [story.id for story in store.stories()] == [first, second]
    store.delete(first)
    assert [story.id for story in store.stories()] == [second]
    assert [story.id for story in store.stories(deleted=True)] == [first]
    assert store.sweep() == Swept([], [], [])
    store.undelete(first)
    assert check(store.load(first), least=1) == 1
    assert store.stories(deleted=True) == []


def test_a_story_is_forgotten_for_good_once_it_is_put_away_and_nothing_branches_off(store):
    story, other = begin(store), begin(store)
    for number in range(3):
        journal(store, story, number)
        journal(store, other, number)
    branch = begin(store, parent=(story, 0))
    with pytest.raises(StoreError, match="is in use; delete it first"):
        store.forget(story)
    store.delete(story)
    with pytest.raises(StoreError, match=f"{branch}.* branches off"):
        store.forget(story)
    assert check(store.load(story), least=3) == 3
    for gone in (branch, story):
        store.delete(gone)
        store.forget(gone)
        with pytest.raises(StoreError, match="no story"):
            store.load(gone)
    assert [folder.name for folder in (store.library / "stories").iterdir()] == [other]
    assert store.events(story) == []
    assert check(store.load(other), least=3) == 3


@pytest.mark.parametrize("story", ["nobody", "../../etc", "x' OR 1=1"])
def test_a_story_that_is_not_there_is_named(store, story):
    for call in (
        lambda: store.load(story),
        lambda: store.delete(story),
        lambda: store.forget(story),
        lambda: store.set_state(story, "idle"),
        lambda: store.append_commands(story, []),
        lambda: store.append_chunk(story, 0, 0, 0, latents(0), META),
    ):
        with pytest.raises(StoreError, match=re.escape(repr(story)[1:-1])):
            call()
    assert not (store.library / "stories").exists()


@pytest.mark.parametrize("wrong", [latents(0).double(), latents(0)[0], torch.cat([latents(0)] * 2)])
def test_only_latents_of_a_chunk_are_taken(store, wrong):
    with pytest.raises(ValueError, match=r"float32 \[1, F, C, h, w\]"):
        store.append_chunk(begin(store), 0, 0, 0, wrong, META)


def test_sweeping_removes_what_no_row_speaks_of_and_reports_what_is_gone(store):
    story = begin(store)
    for number in range(3):
        journal(store, story, number)
    kept = [chunk.path for chunk in store.load(story).chunks]
    stray = kept[0].with_name("9-0-0-99.safetensors")
    half = kept[0].with_name(".9-0-1-99.123.part.safetensors")
    stranger = store.library / "stories" / "abcdefghijkl" / "chunks" / "0-0-0-0.safetensors"
    stranger.parent.mkdir(parents=True)
    for file in (stray, half, stranger):
        file.touch()
    kept[1].unlink()
    swept = store.sweep()
    assert sorted(swept.removed) == sorted([stray, half])
    assert (swept.missing, swept.strangers) == ([kept[1]], [stranger.parents[1]])
    assert sorted(kept[0].parent.iterdir()) == [kept[0], kept[2]]
    assert stranger.exists()


@pytest.mark.parametrize("damage", ["gone", "half", "empty"])
def test_damaged_latents_are_named_with_a_remedy(store, damage):
    story = begin(store)
    journal(store, story, 0)
    [chunk] = store.load(story).chunks
    data = chunk.path.read_bytes()
    chunk.path.write_bytes(data[: len(data) // 2] if damage == "half" else b"")
    if damage == "gone":
        chunk.path.unlink()
    with pytest.raises(StoreError, match=r"shot 1, chunk 1 .*take the shot again"):
        chunk.latents()


def try_to_open(library, answer) -> None:
    try:
        Store(library)
    except StoreError as error:
        answer.send(str(error))


def test_a_library_is_open_in_one_process_at_a_time(tmp_path):
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.serving.telling"])
    here, there = processes.Pipe(duplex=False)
    with Store(tmp_path):
        process = processes.Process(target=try_to_open, args=(tmp_path, there))
        process.start()
        process.join()
        assert here.poll()
        assert "open in another process; close that one" in here.recv()
    Store(tmp_path).close()


def test_readers_see_whole_chunks_while_a_writer_writes(store):
    story = begin(store)
    seen = []

    def read() -> None:
        while not seen or seen[-1] < 30:
            seen.append(check(store.load(story), least=seen[-1] if seen else 0))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(30):
        journal(store, story, number)
    reader.join(timeout=10)
    assert seen[-1] == 30


def test_threads_that_write_wait_for_each_other(store):
    stories = [begin(store) for _ in range(3)]

    def write(story: str) -> None:
        for number in range(8):
            journal(store, story, number)

    threads = [threading.Thread(target=write, args=(story,)) for story in stories]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [check(store.load(story), least=8) for story in stories] == [8, 8, 8]


words = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=20)
commands = st.builds(
    StoredCommand,
    id=st.text("abc", min_size=1, max_size=2),
    body=st.dictionaries(words, st.one_of(words, st.integers(-(2**53), 2**53), st.none(), st.booleans())),
    applies_from=st.none() | st.tuples(st.integers(0, 200), st.integers(0, 2000)),
    note=st.none() | words,
)
steps = st.lists(st.tuples(st.lists(commands, max_size=3), st.booleans()), max_size=6)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_any_telling_reads_back_in_order(store, telling):
    story, expected, seen = begin(store), [], set()
    for number, (taken, with_chunk) in enumerate(telling):
        for command in taken:
            if command.id not in seen:
                seen.add(command.id)
                expected.append(command)
        if with_chunk:
            store.append_chunk(story, number, 0, 0, latents(number), META, taken)
            expected.append(number)
        else:
            store.append_commands(story, taken)
    told = store.load(story).entries
    assert [entry if isinstance(entry, StoredCommand) else entry.shot for entry in told] == expected
