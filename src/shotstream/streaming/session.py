"""A story being told: shots, cuts, retakes and branches, one chunk at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from shotstream.models.cache import DualCache
from shotstream.streaming.chunk import Chunk, to_pictures, to_pixels
from shotstream.streaming.memory import Memory, RememberedFrame, Selection, fit_picture, select_frames
from shotstream.streaming.noise import noise
from shotstream.streaming.rollout import ShotRollout
from shotstream.streaming.take import Take, TakeRecord, TakeState

if TYPE_CHECKING:
    from shotstream.streaming.pipeline import ShotStreamPipeline

MOST_PICTURE_BYTES = 4 * 2**30
"""A running shot keeps its frames until the cut; this bounds them (2 minutes at 480x832 and 16 fps: 2.3e9)."""


@dataclass(frozen=True)
class Snapshot:
    """A story at one moment, mid-shot too; see `StorySession.snapshot`."""

    setting: str
    seed: int
    script: list[TakeRecord]
    memory: Memory
    take: TakeState | None


class StorySession:
    """Tells a story shot by shot.

    States::

        no take --cut, retake--> open --next_chunk * --> complete --extend--> open
                                  any --cut, retake--> open (what was made of the former take stays)

    `redirect` and `extend` act on the take that is open or complete. Calls are made from one thread at a time.

    Noise is a function of (seed, shot, take, chunk, step), and everything else of what was made before: the same
    calls give the same bytes, however long the caller waits between them.

    Args:
        pipeline: The networks; sessions share them.
        setting: Who and where: goes with every prompt.
        seed: Seed of the story.
        height: Picture height in pixels.
        width: Picture width in pixels.
        history_shots: How many of the newest shots can be retaken or branched from.
        select: The rule by which remembered frames are chosen; pins come before it.
    """

    def __init__(
        self,
        pipeline: ShotStreamPipeline,
        setting: str = "",
        seed: int = 0,
        *,
        height: int,
        width: int,
        history_shots: int = 16,
        select: Selection = select_frames,
    ) -> None:
        self.pipeline = pipeline
        self.setting = setting
        self.seed = seed
        self.height = height
        self.width = width
        self.script: list[TakeRecord] = []
        """The shots so far, each as its newest take."""
        self.memory = Memory(pipeline.transformer.config["context_frames"], history_shots, select)
        self._autoencoder = pipeline.autoencoder
        self._latent_size = (height // self._autoencoder.spatial_ratio, width // self._autoencoder.spatial_ratio)
        self._cache = self._allocate_cache()
        self._take: Take | None = None
        self._embeddings: dict[str, Tensor] = {}  # of the captions that the running shot needs
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="shotstream-stills")
        self._stills: Future[None] | None = None

    # ---- telling ----

    def shoot(
        self,
        prompt: str,
        seconds: float | None = None,
        *,
        chunks: int | None = None,
        seed: int | None = None,
    ) -> Iterator[Chunk]:
        """Cut to a new shot and yield its chunks; see `cut`. A cut inside the loop goes on with the new shot."""
        self.cut(prompt, seconds, chunks=chunks, seed=seed)
        return self._remaining_chunks()

    def cut(
        self,
        prompt: str,
        seconds: float | None = None,
        *,
        chunks: int | None = None,
        seed: int | None = None,
    ) -> None:
        """Open the next shot. A running shot ends with the chunks it has; without any it leaves no trace.

        Args:
            prompt: What happens in the shot.
            seconds: Its length, rounded up to whole chunks; without it and `chunks`, as long as trained.
            chunks: Its length in chunks, instead of `seconds`.
            seed: Seed of this shot's noise; the story's if None.

        Raises:
            ValueError: If the prompt is empty or the length impossible.
        """
        _check_prompt(prompt)
        length = self._length(seconds, chunks)
        self._close_take()
        seed = self.seed if seed is None else seed
        self._open_take(TakeRecord(len(self.script), 0, seed, [(0, prompt)]), length)

    def next_chunk(self) -> Chunk | None:
        """Make the next chunk of the open take; None if it is complete or there is none."""
        take = self._take
        if take is None or take.complete:
            return None
        self._wait_for_stills()
        started = time.perf_counter()
        with torch.no_grad():
            rollout = self._ready_rollout(take)
            x0 = rollout.denoise(partial(self._noise, take.record))
            latents = x0.cpu()
            denoised = time.perf_counter()
            pictures = to_pictures(take.decoder.decode(x0.to(self.pipeline.vae.dtype))[0])
        decoded = time.perf_counter()
        chunk = self._take_in(take, x0, latents, pictures)
        chunk.seconds.update(
            denoise=denoised - started, decode=decoded - denoised, total=time.perf_counter() - started
        )
        return chunk

    def redirect(self, prompt: str) -> None:
        """Give the running shot another prompt from its next chunk on; frames already shown stay."""
        _check_prompt(prompt)
        self._running_take().record.direct(prompt)

    def extend(self, seconds: float | None = None, *, chunks: int | None = None) -> None:
        """Make the running shot longer, also after its end; the result is as if it had been asked for at once.

        Raises:
            ValueError: If there is no shot to extend, or the length is impossible.
        """
        take = self._running_take()
        if (seconds is None) == (chunks is None):
            raise ValueError("say by how much to extend the shot: give either seconds or chunks")
        take.length_chunks += self._length(seconds, chunks, after=take.length_chunks)

    def retake(self, shot: int, *, seed: int | None = None, prompt: str | None = None) -> Iterator[Chunk]:
        """Make a shot anew and yield its chunks; the other shots stay as they are.

        It is made from the earlier shots and pins as they stand now, and shots made later remember it.

        Args:
            shot: Its number, from 0.
            seed: Seed of the new take; the one of the former take if None (its noise differs all the same).
            prompt: What happens in it; None repeats what the former take was told, redirections included.

        Raises:
            ValueError: If there is no such shot, or its context is no longer kept.
        """
        if prompt is not None:
            _check_prompt(prompt)
        self._check_kept(shot)
        self._close_take()
        former = self.script[shot]
        record = TakeRecord(
            shot,
            former.take + 1,
            former.seed if seed is None else seed,
            list(former.prompts) if prompt is None else [(0, prompt)],
        )
        self._open_take(record, former.chunks)
        return self._remaining_chunks()

    # ---- memory ----

    def pin(self, shot: int, frame: int) -> RememberedFrame:
        """Make every later shot from this frame too: any of the running shot, or a remembered one.

        Args:
            shot: Number of the shot.
            frame: Number of the frame in the shot.

        Raises:
            ValueError: If the frame is not kept (the message names those that are), or all places are pinned.
        """
        take = self._take
        if take and take.record.shot == shot and 0 <= frame < len(take.pictures):
            pinned = RememberedFrame(take.pictures[frame].copy(), shot, frame, take.prompts[frame])
        else:
            pinned = self.memory.find(shot, frame)
        self.memory.pin(pinned)
        return pinned

    def unpin(self, shot: int, frame: int) -> None:
        """Leave a pinned frame, or a reference by its own numbers, to the rule again."""
        self.memory.unpin((shot, frame))

    def reference(self, image: Image.Image | np.ndarray, prompt: str | None = None) -> RememberedFrame:
        """Make every later shot from a picture that the user brings.

        It is scaled and cropped to the picture size and pinned as if the story had opened with it: it carries shot
        index 0, and negative frame numbers tell references apart.

        Args:
            image: A PIL image or uint8 ``[H, W, 3]``.
            prompt: What is in it; None lets it go by the prompt of the shot that it serves.

        Raises:
            ValueError: If the picture cannot be used, or all places are pinned.
        """
        number = min([0, *(pin.frame for pin in self.memory.pins)]) - 1
        reference = RememberedFrame(fit_picture(image, self.height, self.width), 0, number, prompt)
        self.memory.pin(reference)
        return reference

    # ---- other tellings ----

    def branch(self, at: int | None = None, *, seed: int | None = None) -> StorySession:
        """Start another telling that shares this story up to and including shot `at`.

        Args:
            at: Number of the last shared shot; the newest if None.
            seed: Seed of the other telling; the same if None, so that equal prompts give equal frames.

        Raises:
            ValueError: If there is no such shot, or its memory is no longer kept.
        """
        at = len(self.script) - 1 if at is None else at
        self._check_kept(at)
        self._remember_take()
        branch = StorySession(
            self.pipeline, self.setting, self.seed if seed is None else seed, height=self.height, width=self.width
        )
        branch.memory = self.memory.branch(at + 1)
        branch.script = deepcopy(self.script[: at + 1])
        return branch

    def snapshot(self) -> Snapshot:
        """Copy the state of the story, mid-shot too. It stays valid however the story goes on."""
        return Snapshot(
            self.setting,
            self.seed,
            deepcopy(self.script),
            self.memory.branch(len(self.memory.shot_frames)),
            TakeState.of(self._take) if self._take else None,
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot of this session, or of one of the same model and size: it goes on bit for bit."""
        self._wait_for_stills()
        self.setting, self.seed = snapshot.setting, snapshot.seed
        self.script = deepcopy(snapshot.script)
        self.memory = snapshot.memory.branch(len(snapshot.memory.shot_frames))
        self._take = self._restored_take(snapshot.take) if snapshot.take else None

    # ---- the open take ----

    def _open_take(self, record: TakeRecord, length_chunks: int) -> None:
        self._take = Take(record, length_chunks, self._autoencoder.open_decoder())

    def _close_take(self) -> None:
        self._remember_take()
        self._take = None

    def _remember_take(self) -> None:
        """Let memory have what the open take has made."""
        take = self._take
        if take and take.pictures:
            self.memory.remember(take.record.shot, take.pictures, take.prompts)

    def _running_take(self) -> Take:
        if self._take is None:
            raise ValueError("no shot is running; open one with cut() first")
        return self._take

    def _remaining_chunks(self) -> Iterator[Chunk]:
        while (chunk := self.next_chunk()) is not None:
            yield chunk

    def _take_in(self, take: Take, x0: Tensor, latents: Tensor, pictures: np.ndarray) -> Chunk:
        """Note a new chunk; at the shot's end, remember it and encode ahead what the next shot will ask for."""
        record, first_frame = take.record, len(take.pictures)
        prompt = record.prompt_at(record.chunks)
        pictures.flags.writeable = False  # the caller sees the very frames that are remembered
        take.uncommitted = x0
        take.pictures += list(pictures)
        take.prompts += [prompt] * len(pictures)
        record.chunks += 1
        self.script[record.shot : record.shot + 1] = [record]
        if take.complete:
            self._remember_take()
            self._request_stills(self.memory.choose(len(self.script)))
        return Chunk(
            frames=pictures,
            shot=record.shot,
            take=record.take,
            index=record.chunks - 1,
            first_frame=first_frame,
            last=take.complete,
            prompt=prompt,
            fps=self.pipeline.tempo.fps,
            latents=latents,
        )

    # ---- checks ----

    def _length(self, seconds: float | None, chunks: int | None, after: int = 0) -> int:
        """Length in chunks of a shot, or of what is added to `after` chunks."""
        tempo = self.pipeline.tempo
        if seconds is not None and chunks is not None:
            raise ValueError("give the length of a shot either in seconds or in chunks")
        if seconds is not None:
            chunks = tempo.chunks(seconds, after=after)
        if chunks is None:
            chunks = self.pipeline.transformer.config["window_chunks"]
        if chunks < 1:
            raise ValueError(f"a shot of {chunks} chunks shows nothing; give at least 1")
        total = after + chunks
        most = MOST_PICTURE_BYTES // (self.height * self.width * 3)
        if tempo.frames(total) > most:
            raise ValueError(
                f"a shot of {tempo.seconds(total):.0f} seconds is too long to be kept until its cut; "
                f"cut after {most / tempo.fps:.0f} seconds at most"
            )
        return chunks

    def _check_kept(self, shot: int) -> None:
        if not 0 <= shot < len(self.script):
            raise ValueError(f"there is no shot {shot}; the story has {len(self.script)}, numbered from 0")
        if shot < self.memory.oldest_retake:
            raise ValueError(
                f"shot {shot} is too far back: only shots from {self.memory.oldest_retake} on are kept for "
                f"retakes and branches (history_shots={self.memory.history_shots})"
            )


def _check_prompt(prompt: str) -> None:
    if not prompt.strip():
        raise ValueError("the prompt is empty; say what is to be seen")
