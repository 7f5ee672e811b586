"""A story made of nothing but numbers: what entry N of it is, is known without asking the store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shotstream.serving.delivery.clips import pack_clip
from shotstream.serving.protocol.commands import FramePlace
from shotstream.serving.protocol.events import Receipt, ShotCard, ShotChanged, Snapshot
from shotstream.serving.protocol.messages import read_command
from shotstream.serving.storage.store import Store
from shotstream.serving.storage.stored import MadeWith, StoredChunk, StoredCommand, StoredStory
from shotstream.streaming.chunk import Chunk

MADE_WITH = MadeWith("mini", 16, 32, 8.0)
ONE_SHOT = "spc" + "pc" * 4
"""It is shot, pinned, has a chunk, is pinned again, ..."""
FRAMES = 8
"""Of every chunk."""


def latents(number: int) -> Tensor:
    return torch.randn(1, 2, 4, 4, 8, generator=torch.Generator().manual_seed(number))


def begin(store: Store, **others) -> str:
    return store.create_story("a fox", 7, MADE_WITH, **others)


def chunk(shot: int = 0, index: int = 0, take: int = 0, **others) -> Chunk:
    facts: dict[str, Any] = {
        "frames": np.zeros((FRAMES, 2, 2, 3), np.uint8),
        "seed": 7,
        "first_frame": FRAMES * index,
        "last": False,
        "prompt": "runs",
        "fps": 8.0,
        "latents": latents(0),
    }
    return Chunk(shot=shot, index=index, take=take, **(facts | others))


def command(id: str, type: str = "pause", *, note: str | None = None, **fields) -> StoredCommand:
    receipt = Receipt(id=id, applies_from=FramePlace(shot=0, frame=FRAMES), note=note)
    return StoredCommand(read_command({"id": id, "type": type, **fields}), receipt)


def card(shot: int, chunks: int = 0, **others) -> ShotChanged:
    facts: dict[str, Any] = {"prompt": "runs", "prompts": [(0, "runs")], "length_seconds": 5.0, "seed": 7}
    facts |= {"take": 0, "takes": 1, "state": "live", "chunks": chunks, "frames": FRAMES * chunks}
    return ShotChanged(number=shot, **(facts | others))


def journal(store: Store, story: str, number: int) -> None:
    """Journal entry `number`, with the card that it leads to."""
    shot, place = divmod(number, len(ONE_SHOT))
    index = ONE_SHOT[:place].count("c")
    if ONE_SHOT[place] == "c":
        made = chunk(shot, index, last=index == 4, latents=latents(number))
        store.append_chunk(story, made, [card(shot, index + 1)])
    elif ONE_SHOT[place] == "p":
        store.append_command(
            story, command(f"pin {number}", "pin", shot=0, frame=number), [card(shot, index)]
        )
    else:
        store.append_command(story, command(f"shoot {number}", "shoot", prompt="runs"), [card(shot)])


def clip() -> bytes:
    """The file of a chunk's clip."""
    return pack_clip([b"a frame"] * FRAMES)


def tell(store: Store, entries: int, **others) -> str:
    """A story of so many entries, with the clips of its chunks; return its id."""
    story = begin(store, **others)
    for number in range(entries):
        journal(store, story, number)
    for made in store.load(story).chunks:
        store.keep_clip(story, made, clip())
    return story


def check(told: StoredStory) -> int:
    """See that a story is this one up to some entry; return how many it has."""
    for number, entry in enumerate(told.entries):
        shot, place = divmod(number, len(ONE_SHOT))
        if isinstance(entry, StoredChunk):
            assert ONE_SHOT[place] == "c"
            assert (entry.shot, entry.chunk) == (shot, ONE_SHOT[:place].count("c"))
            assert torch.equal(entry.latents(), latents(number))
        else:
            kind = {"s": "shoot", "p": "pin"}[ONE_SHOT[place]]
            assert entry.command.id == entry.receipt.id == f"{kind} {number}"
    return len(told.entries)


def check_board(board: Snapshot, entries: int) -> None:
    """See that the storyboard is the one that so many entries lead to."""
    shots, rest = divmod(entries, len(ONE_SHOT))
    made = [5] * shots + [ONE_SHOT[:rest].count("c")] * (rest > 0)
    expected = [card(shot, chunks).model_dump(exclude={"type"}) for shot, chunks in enumerate(made)]
    assert board.shots == [ShotCard(**fields) for fields in expected]


def write_for_ever(library: Path, receipts: Path) -> None:
    """Journal as fast as can be; a byte in `receipts` for every entry whose call has returned."""
    torch.set_num_threads(1)
    receipt = os.open(receipts, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with Store(library) as store:
        store.sweep()
        story = store.stories()[0].id if store.stories() else begin(store)
        number = len(store.load(story).entries)
        while True:
            journal(store, story, number)
            os.write(receipt, b".")
            number += 1
