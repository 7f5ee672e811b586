"""A telling made of nothing but numbers: what chunk N of it is, is known without asking the store."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from shotstream.serving.store import Store
from shotstream.serving.stored import ChunkMeta, StoredChunk, StoredCommand, StoredStory
from torch import Tensor

CHUNKS_PER_SHOT = 5


def latents(number: int) -> Tensor:
    return torch.randn(1, 2, 4, 4, 8, generator=torch.Generator().manual_seed(number))


def begin(store: Store, **others) -> str:
    return store.create_story("a fox", 7, "mini", (16, 32), **others)


def journal(store: Store, story: str, number: int) -> None:
    """Journal chunk `number`: every shot opens with a command, and every chunk has one before it."""
    shot, chunk = divmod(number, CHUNKS_PER_SHOT)
    commands = [
        StoredCommand(f"pin-{number}", {"type": "pin", "shot": 0, "frame": number}, (shot, 8 * chunk))
    ]
    if chunk == 0:
        commands.insert(0, StoredCommand(f"shoot-{shot}", {"type": "shoot", "prompt": "runs"}, (shot, 0)))
    meta = ChunkMeta(7, CHUNKS_PER_SHOT, "runs", 8 * chunk, 8)
    store.append_chunk(story, shot, 0, chunk, latents(number), meta, commands)


def check(told: StoredStory, least: int) -> int:
    """See that a story is this telling up to some chunk, and has at least so many; return how many."""
    for number, chunk in enumerate(told.chunks):
        assert (chunk.shot, chunk.chunk) == divmod(number, CHUNKS_PER_SHOT)
        assert torch.equal(chunk.latents(), latents(number))
    number = len(told.chunks)
    assert number >= least
    kinds = "".join("C" if isinstance(entry, StoredChunk) else entry.id[0] for entry in told.entries)
    one_shot = "sp" + "C" + "pC" * (CHUNKS_PER_SHOT - 1)
    assert kinds == (one_shot * (number // CHUNKS_PER_SHOT + 1))[: len(kinds)]
    assert kinds == "" or kinds[-1] == "C"
    assert told.entries_count == len(told.entries)
    return number


def write_for_ever(library: Path, receipts: Path) -> None:
    """Journal as fast as can be; a byte in `receipts` for every chunk whose call has returned."""
    torch.set_num_threads(1)
    receipt = os.open(receipts, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with Store(library) as store:
        store.sweep()
        story = store.stories()[0].id if store.stories() else begin(store)
        number = len(store.load(story).chunks)
        while True:
            journal(store, story, number)
            os.write(receipt, b".")
            number += 1
