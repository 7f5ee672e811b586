"""A story being told: shots, cuts, retakes and branches, one chunk at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from copy import deepcopy

import numpy as np
from PIL import Image
from torch import Tensor

from shotstream.streaming.attention_shares import attention_shares
from shotstream.streaming.chunk import Chunk, FullFramesError
from shotstream.streaming.context_frames import (
    ContextFrame,
    ContextFrames,
    Selection,
    fit_picture,
    select_frames,
)
from shotstream.streaming.memory_rules import find_rule
from shotstream.streaming.model import StoryModel, check_prompt, report_unknown_words
from shotstream.streaming.noise import NoiseSource, noise
from shotstream.streaming.rollout import ChunkStopped, StepObserver, never
from shotstream.streaming.shot_generator import ShotGenerator
from shotstream.streaming.take import SessionSnapshot, Take, TakeRecord, TakeState, shared_shots


class StorySession:
    """Tells a story shot by shot.

    States::

        no take --cut, retake--> open --next_chunk * --> complete --extend--> open
                                  any --cut, retake--> open (what was made of the former take stays)

    `redirect` and `extend` act on the take that is open or complete. One thread at a time makes the calls.

    Noise is a function of (seed, shot, take, chunk, step), and everything else of what was made before: the
    same calls give the same bytes, however long the caller waits between them.

    Args:
        pipeline: The networks; sessions share them.
        setting: Who and where: goes with every prompt.
        seed: Seed of the story.
        height: Picture height in pixels.
        width: Picture width in pixels.
        history_shots: How many of the newest shots can be retaken or branched from.
        select: The rule by which remembered frames are chosen; pins come before it.
        memory_rule: Another rule, by words (a name of `MEMORY_RULES`); None for the model's own.
        decoder: "full", or "tiny" to show what the model's tiny decoder makes. Context frames come from the
            full decoder either way: it works in the background, and calls that need its frames (a cut, a pin,
            a branch) wait. If it fails, the first such call raises `FullFramesError` and changes nothing; the
            next one goes on with the frames that were shown instead.
        rewind_chunks: How many chunks a shot can be gone back by `rewind` and then go on. Each costs memory
            for a state of the shown decoder (`decoder_state` of `VramSizes`).
        noise_source: Where the noise of every step comes from.
        works_ahead: Whether a GPU begins a chunk before the frames of the one before are there. A redirection
            or a cut then waits for passes that are of no use: it is for stories told as they are written.
    """

    def __init__(
        self,
        pipeline: StoryModel,
        setting: str = "",
        seed: int = 0,
        *,
        height: int,
        width: int,
        history_shots: int = 16,
        select: Selection = select_frames,
        memory_rule: str | None = None,
        decoder: str = "full",
        rewind_chunks: int = 0,
        noise_source: NoiseSource = noise,
        works_ahead: bool = False,
    ) -> None:
        self.pipeline = pipeline
        self.setting = setting
        self.seed = seed
        self.height = height
        self.width = width
        self.decoder = decoder
        self.script: list[TakeRecord] = []
        """The shots so far, each as the take that stands for it: the newest, or one that was chosen."""
        self.takes: dict[tuple[int, int], TakeRecord] = {}
        """Every take that was made, by (shot, take)."""
        self._memory_rule = memory_rule or pipeline.config["memory_rule"]
        rule = find_rule(self._memory_rule, setting)
        budget = pipeline.transformer.config["context_frames"]
        self.context = ContextFrames(budget, history_shots, select, rule)
        self.rewind_chunks = rewind_chunks
        self._generator = ShotGenerator(
            pipeline, height, width, decoder, rewind_chunks, noise_source, works_ahead
        )
        self._take: Take | None = None
        report_unknown_words(pipeline, "the setting", setting)

    def change_setting(self, setting: str) -> None:
        """Say anew who and where, while nothing is told yet.

        Raises:
            ValueError: If a shot was begun: the setting goes with every shot.
        """
        if self.takes or self._take is not None:
            raise ValueError("the setting goes with every shot, and a shot has begun; begin another story")
        self.setting = setting
        self.context.rule = find_rule(self._memory_rule, setting)
        report_unknown_words(self.pipeline, "the setting", setting)

    # ---- telling ----

    def shoot(
        self,
        prompt: str,
        seconds: float | None = None,
        *,
        chunks: int | None = None,
        seed: int | None = None,
        lora: Sequence[str] | None = None,
    ) -> Iterator[Chunk]:
        """Cut to a new shot and yield its chunks; a cut inside the loop goes on with the next. See `cut`."""
        self.cut(prompt, seconds, chunks=chunks, seed=seed, lora=lora)
        return iter(self.next_chunk, None)

    def cut(
        self,
        prompt: str,
        seconds: float | None = None,
        *,
        chunks: int | None = None,
        seed: int | None = None,
        take: int = 0,
        lora: Sequence[str] | None = None,
    ) -> None:
        """Open the next shot. A running shot ends with the chunks it has; without any it leaves no trace.

        Args:
            prompt: What happens in the shot.
            seconds: Its length, rounded up to whole chunks; without it and `chunks`, as long as trained.
            chunks: Its length in chunks, instead of `seconds`.
            seed: Seed of this shot's noise; the story's if None.
            take: Number of the take, above 0 where a shot of this number was made before and dropped.
            lora: LoRAs that it is made with, ``NAME`` or ``NAME:SCALE``; those the model is set to if None.

        Raises:
            ValueError: If the prompt is empty, the length impossible or a LoRA not loaded.
        """
        check_prompt(self.pipeline, self.setting, prompt, self.context.place_in_film(len(self.script)))
        adapters = self.pipeline.active_adapters if lora is None else self.pipeline.adapters.choose(lora)
        length = self.length_chunks(seconds, chunks)
        self._close_take()
        seed = self.seed if seed is None else seed
        record = TakeRecord(len(self.script), take, seed, [(0, prompt)], adapters=adapters)
        self._take = self._generator.open(record, length)

    def end_shot(self) -> None:
        """End the running shot with the chunks it has; without any it leaves no trace.

        Raises:
            FullFramesError: Once, if full frames of it could not be made; the shot goes on.
        """
        self._close_take()

    attention = attention_shares

    @property
    def running(self) -> Take | None:
        """The open take, to be read; None if no shot is open."""
        return self._take

    def observe(self, on_step: StepObserver | None) -> None:
        """Show every denoising step from now on to `on_step`; None shows them to nobody."""
        self._generator.on_step = on_step

    def check_shot(
        self, prompt: str, seconds: float | None = None, chunks: int | None = None, *, shot: int | None = None
    ) -> int:
        """See whether `cut` would take this, and warn of words that the model does not know.

        Args:
            prompt: As for `cut`, like `seconds` and `chunks`.
            shot: Its number, from 0; the next one if None.

        Returns:
            Its length in chunks.

        Raises:
            ValueError: If the prompt is empty or the length impossible.
        """
        place = self.context.place_in_film(len(self.script) if shot is None else shot)
        check_prompt(self.pipeline, self.setting, prompt, place)
        return self.length_chunks(seconds, chunks)

    def next_chunk(
        self, known: Tensor | None = None, *, is_stopped: Callable[[], bool] = never
    ) -> Chunk | None:
        """Make the next chunk of the open take; None if it is complete or there is none.

        A chunk that failed, or was stopped, can be asked for again.

        Args:
            known: Its clean latents ``[1, F, C, h, w]``, if it was made before. Nothing is denoised then, and
                all else goes as it went: a session that is told the same again, with the latents of its
                chunks, stands where the first one stood, bit for bit.
            is_stopped: Asked before every pass and before decoding: whether the chunk is no longer wanted.

        Raises:
            ChunkStopped: If so.
            ValueError: If latents are of another shape than this model makes.
        """
        started = time.perf_counter()
        if known is not None and known.shape != self._generator.chunk_shape:
            raise ValueError(
                f"latents of shape {tuple(known.shape)} are no chunk of this story, whose chunks have "
                f"{self._generator.chunk_shape}; give those that this model made at this picture size"
            )
        take = self._take
        if take is None:
            return None
        if take.complete:
            self._foresee_next()
            return None
        assert take.recalled is None, "a take that was over goes on"
        if take.is_cut_short:
            raise ValueError(
                f"more of shot {take.record.shot + 1} was taken back than it can go on from "
                f"(rewind_chunks={self.rewind_chunks}); cut to the next shot"
            )
        remembered = [] if take.rollout else self.context.choose(take.record.shot, take.record.prompt)
        if take.rollout is None:
            take.record.made_from = self.context.made_from(take.record.shot, take.record.prompt)
        self._generator.is_stopped = is_stopped
        try:
            self._generator.prepare(take, self.setting, remembered)
            x0 = self._generator.denoise(take, known)
        finally:
            self._generator.is_stopped = never
        if is_stopped():
            raise ChunkStopped
        chunk = self._generator.show(take, x0)
        take.add(chunk)
        self._note(take.record)
        if take.full:
            take.request_remembered(self.context, self.pipeline.timing, self.rewind_chunks)
        if chunk.last and not take.pending:
            self._foresee_next()
        elif self._generator.encodes_ahead:
            frames = self.pipeline.timing.frames(take.length_chunks)
            self._generator.stills.request(take.foresee(self.context, frames))
        seconds = time.perf_counter() - started
        chunk.seconds.update(denoise=seconds - chunk.seconds["decode"], total=seconds)
        return chunk

    def recall_chunk(self, picture: Callable[[int], np.ndarray]) -> None:
        """Take in the next chunk of the open take as it was made before, without making anything.

        That is enough for a take that is over: all that later shots need of it are its context
        frames. So all of its chunks are taken in this way, or none.

        Args:
            picture: Gives any frame of the take by its number, uint8 ``[H, W, 3]``, in full quality; see
                `decode`.
        """
        take = self._running_take()
        assert not take.complete
        assert take.rollout is None
        if not take.record.chunks:
            take.record.made_from = self.context.made_from(take.record.shot, take.record.prompt)
        take.recall(take.record.frame_prompts(self.pipeline.timing, take.record.chunks), picture)
        self._note(take.record)

    def decode(self, latents: Iterable[Tensor]) -> Iterator[np.ndarray]:
        """Make the frames of a take once more, as they were remembered, a chunk at a time.

        Args:
            latents: The clean latents ``[1, F, C, h, w]`` of its chunks from the first one on.

        Yields:
            The frames in full quality, uint8 ``[H, W, 3]`` each.
        """
        return self._generator.decode(latents)

    def redirect(self, prompt: str) -> None:
        """Give the running shot another prompt from its next chunk on; frames already shown stay.

        After a shot's last chunk that means what `extend` adds.
        """
        take = self._running_take()
        place = self.context.place_in_film(take.record.shot)
        check_prompt(self.pipeline, self.setting, prompt, place)
        take.record.direct(prompt)

    def rewind(self, chunks: int) -> None:
        """Take back the newest chunks of the running shot, as if they had never been made.

        What follows is the same, bit for bit, as if it had been asked for then: a redirection begins with the
        first chunk that was taken back, a cut ends the shot before it. A shot that simply goes on is made
        from its window as it is after a redirection to the same prompt.

        Args:
            chunks: How many; one at least is left. After more than `rewind_chunks` the shot can only end.

        Raises:
            ValueError: If so many cannot be taken back: they were not made, or before the running prompt was
                given, or they are pinned or in a branch.
        """
        take = self._running_take()
        most = self.rewindable_chunks
        if not 0 <= chunks <= most:
            raise ValueError(
                f"{chunks} chunks of shot {take.record.shot + 1} cannot be taken back, {most} at most: one "
                "is left, and so is what was made before the last redirection, or is pinned or in a branch"
            )
        if chunks:
            self._generator.rewind(take, chunks)

    @property
    def rewindable_chunks(self) -> int:
        """How many chunks of the running shot can be taken back, see `rewind`."""
        return self._take.rewindable_chunks(self.context, self.pipeline.timing) if self._take else 0

    def extend(self, seconds: float | None = None, *, chunks: int | None = None) -> None:
        """Make the running shot longer, also after its end, as if that had been asked for at once.

        Raises:
            ValueError: If there is no shot to extend, or the length is impossible.
        """
        take = self._running_take()
        if (seconds is None) == (chunks is None):
            raise ValueError("say by how much to extend the shot: give either seconds or chunks")
        take.length_chunks += self.length_chunks(seconds, chunks, after=take.length_chunks)

    def retake(
        self,
        shot: int,
        *,
        seed: int | None = None,
        prompt: str | None = None,
        take: int | None = None,
        chunks: int | None = None,
        lora: Sequence[str] | None = None,
    ) -> Iterator[Chunk]:
        """Make a shot anew and yield its chunks; the other shots stay as they are.

        It is made from the earlier shots and pins as they stand now, and shots made later remember it.

        Args:
            shot: Its number, from 0.
            seed: Seed of the new take; the one of the former take if None (its noise differs all the same).
            prompt: What happens in it; None repeats what the former take was told, redirections included.
            take: Number of the new take; None for the one after the newest.
            chunks: Its length in chunks; the former take's if None.
            lora: LoRAs that it is made with, ``NAME`` or ``NAME:SCALE``; the former take's if None.

        Raises:
            ValueError: If there is no such shot, its context is no longer kept, the length is impossible, or
                a LoRA is not loaded.
        """
        if prompt is not None:
            check_prompt(self.pipeline, self.setting, prompt, self.context.place_in_film(shot))
        self.context.check_kept(shot, len(self.script))
        former = self.script[shot]
        adapters = former.adapters if lora is None else self.pipeline.adapters.choose(lora)
        running = self._take if self._take and self._take.record is former else None
        length = running.length_chunks if running else former.chunks
        if chunks is not None:
            length = self.length_chunks(None, chunks)
        newest = max([former.take, *(number for place, number in self.takes if place == shot)])
        self._close_take()
        record = TakeRecord(
            shot,
            newest + 1 if take is None else take,
            former.seed if seed is None else seed,
            list(former.prompts) if prompt is None else [(0, prompt)],
            adapters=adapters,
        )
        self._take = self._generator.open(record, length)
        return iter(self.next_chunk, None)

    def choose(self, record: TakeRecord, picture: Callable[[int], np.ndarray]) -> None:
        """Let a former take stand for its shot again: later shots remember it instead.

        Args:
            record: The take, as `script` had it once.
            picture: Gives any of its frames by number, uint8 ``[H, W, 3]``, in full quality; see `decode`.

        Raises:
            ValueError: If there is no such shot, or its context is no longer kept.
        """
        self.context.check_kept(record.shot, len(self.script))
        context, timing = self.context.copy(), self.pipeline.timing
        prompts = [prompt for chunk in range(record.chunks) for prompt in record.frame_prompts(timing, chunk)]
        context.remember(record.shot, record.take, prompts, picture)
        if self._take and self._take.record is self.script[record.shot]:
            self._take.close()
            self._take = None
        self.context = context
        self._note(deepcopy(record))

    def leave_out(self, shot: int) -> None:
        """Let later shots be made as if this one were not there; `choose` or a retake bring it back.

        Raises:
            ValueError: If there is no such shot, or its context is no longer kept.
        """
        self.context.check_kept(shot, len(self.script))
        if self._take and self._take.record is self.script[shot]:
            self._close_take()
        self.context.leave_out(shot)

    @property
    def order(self) -> list[int]:
        """The shots of `script` as the film has them, by number; see `move`."""
        return sorted(range(len(self.script)), key=self.context.place)

    def earlier(self, shot: int) -> list[TakeRecord]:
        """The shots of the film before this one."""
        return [self.script[number] for number in self.context.earlier(shot)]

    def move(self, shot: int, place: int) -> None:
        """Let a shot have another place in the film; see `ContextFrames.move`. No picture changes."""
        if self._take and self._take.was_over:
            self._remember_take()
        self.context.move(shot, place)

    # ---- context frames ----

    def pin(self, shot: int, frame: int) -> ContextFrame:
        """Make every later shot from this frame too: any of the running shot, or a remembered one.

        Args:
            shot: Number of the shot.
            frame: Number of the frame in the shot.

        Raises:
            ValueError: If the frame is not kept (the message names those that are), or all places are pinned.
        """
        take = self._take
        if take and take.record.shot == shot and 0 <= frame < len(take.prompts):
            number, prompt = take.record.take, take.prompts[frame]
            pinned = ContextFrame(take.picture(frame).copy(), shot, number, frame, prompt)
        else:
            pinned = self.context.find(shot, frame)
        self.context.pin(pinned)
        return pinned

    def unpin(self, shot: int, frame: int) -> None:
        """Leave a pinned frame, or a reference by its own numbers, to the rule again."""
        self.context.unpin((shot, frame))

    def reference(self, image: Image.Image | np.ndarray, prompt: str | None = None) -> ContextFrame:
        """Make every later shot from a picture that the user brings.

        It is scaled and cropped to the picture size and pinned as if the story had opened with it: it carries
        shot index 0, and negative frame numbers tell references apart.

        Args:
            image: A PIL image or uint8 ``[H, W, 3]``.
            prompt: What is in it; None lets it go by the prompt of the shot that it serves.

        Raises:
            ValueError: If the picture cannot be used, or all places are pinned.
        """
        return self.context.add_reference(fit_picture(image, self.height, self.width), prompt)

    # ---- other tellings ----

    def branch(self, at: int | None = None, *, seed: int | None = None) -> StorySession:
        """Start another telling that shares this story up to and including shot `at`.

        Args:
            at: Number of the last shared shot; the newest if None.
            seed: Seed of the other telling; the same if None, so that equal prompts give equal frames.

        Raises:
            ValueError: If there is no such shot, or its context is no longer kept.
        """
        at = self.order[-1] if at is None and self.script else at or 0
        self.context.check_kept(at, len(self.script))
        shots = shared_shots(self.context.shared_with(at), self.takes)
        if self._take and self._take.record.shot < shots:
            self._remember_take()
        branch = StorySession(
            self.pipeline,
            self.setting,
            self.seed if seed is None else seed,
            height=self.height,
            width=self.width,
            decoder=self.decoder,
            rewind_chunks=self.rewind_chunks,
            noise_source=self._generator.noise_source,
            works_ahead=self._generator.works_ahead,
        )
        branch.context = self.context.branch(at, shots)
        branch.script = deepcopy(self.script[:shots])
        branch.takes = {place: deepcopy(take) for place, take in self.takes.items() if place[0] < shots}
        return branch

    def snapshot(self) -> SessionSnapshot:
        """Copy the state of the story, mid-shot too. It stays valid however the story goes on."""
        return SessionSnapshot(
            (self.height, self.width),
            self.decoder,
            self.setting,
            self.seed,
            deepcopy(self.script),
            self.context.copy(),
            TakeState.of(self._take) if self._take else None,
            deepcopy(self.takes),
        )

    def restore(self, snapshot: SessionSnapshot) -> None:
        """Go on bit for bit from a snapshot of this session, or of one of the same model and size.

        Raises:
            ValueError: If it is of another picture size, or mid-shot and shown by another decoder.
        """
        snapshot.check_fits((self.height, self.width), self.decoder)
        with suppress(FullFramesError):  # who asks its chunks for full frames is told
            self._remember_take()
        self._close_take()
        take = self._generator.restore(snapshot.take, snapshot.setting) if snapshot.take else None
        self.setting, self.seed = snapshot.setting, snapshot.seed
        self.script, self.takes = deepcopy(snapshot.script), deepcopy(snapshot.takes)
        self.context = snapshot.context.copy()
        self._take = take
        if take and take.record.chunks:
            self._note(take.record)

    def close(self) -> None:
        """End the story and stop what goes on in the background, without waiting for it.

        What the running shot has is remembered, as it was shown where full frames were not made yet. Branches
        and snapshots can still be taken, but no shots be made. A session that is merely let go of makes the
        full frames of the chunks it handed out, and then ends by itself.
        """
        self._generator.close()
        if self._take:
            self._take.keep_shown()
        self._close_take()

    # ---- the open take ----

    def _note(self, record: TakeRecord) -> None:
        """Let a take stand for its shot."""
        self.script[record.shot : record.shot + 1] = [record]
        self.takes[record.shot, record.take] = record

    def _close_take(self) -> None:
        self._remember_take()
        if self._take:
            self._take.close()
        self._take = None

    def _remember_take(self) -> None:
        """Take the context frames that the open take has made so far."""
        take = self._take
        if take and len(take.prompts) > take.remembered_frames:
            record = take.record
            take.wait_for_remembered(self.context)
            self.context.remember(record.shot, record.take, take.prompts, take.picture, take.ahead)
            take.remembered_frames = len(take.prompts)

    def _foresee_next(self) -> None:
        """Begin to encode what the next shot will ask for, while the caller still watches this one."""
        self._remember_take()
        self._generator.stills.request(self.context.choose(len(self.script)))

    def foresee_cut(self, chunks: int) -> bool:
        """Do ahead what the next shot begins with if the running one ends after so many chunks.

        A cut does the same, and waits for it. Call it again until all is done: some of it goes on in the
        background, and some is done in a later call.

        Returns:
            Whether all that can be done is done.
        """
        take = self._take
        if take is None or take.recalled is not None or not 0 < chunks <= take.record.chunks:
            return True
        remembered = take.foresee(self.context, self.pipeline.timing.frames(chunks), take.request)
        places = self.context.places(len(self.script), remembered)
        return self._generator.foresee(take, self.setting, remembered, places) and not take.lacks_frames

    def _running_take(self) -> Take:
        if self._take is None:
            raise ValueError("no shot is running; open one with shoot() or cut() first")
        return self._take

    def length_chunks(self, seconds: float | None, chunks: int | None, *, after: int = 0) -> int:
        """Length in chunks of a shot, or of what is added to `after` chunks.

        Raises:
            ValueError: If it is impossible.
        """
        return self.pipeline.shot_chunks(seconds, chunks, (self.height, self.width), after=after)
