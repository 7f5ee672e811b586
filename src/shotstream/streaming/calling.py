"""The call of a pipeline as diffusers' users know it: prompts, numbers of frames, noise, callbacks.

Legend: C channels, F latent frames, h and w latent height and width.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from shotstream.story import Shot, Story
from shotstream.streaming.adapters import AdapterUse
from shotstream.streaming.noise import noise
from shotstream.streaming.scripted import ScriptedTake
from shotstream.streaming.timing import ShotTiming

OUTPUT_TYPES = ("np", "pt", "pil", "latent")
StepCallback = Callable[[Any, int, Tensor, dict[str, Tensor]], dict[str, Tensor] | None]
"""diffusers' ``callback_on_step_end``."""


def story_of(
    prompt: Story | str | Sequence[str],
    setting: str,
    num_frames: int | Sequence[int] | None,
    timing: ShotTiming,
) -> Story:
    """Make a story of what was asked for.

    Args:
        prompt: A story; or what happens in its only shot, or in each of its shots.
        setting: Who and where, if the prompt is no story.
        num_frames: Frames of every shot, or of each; rounded up to whole chunks, with a warning. None for the
            length that the model was trained at.
        timing: The model's.

    Raises:
        ValueError: If it is no story, or one that has its own setting and lengths.
    """
    if isinstance(prompt, Story):
        if setting or num_frames is not None:
            raise ValueError("a Story has its own setting and lengths; leave out setting and num_frames")
        return prompt
    prompts = [prompt] if isinstance(prompt, str) else prompt
    if not isinstance(prompts, list | tuple) or not all(isinstance(text, str) for text in prompts):
        raise ValueError(
            f"a {type(prompt).__name__} is no prompt; give a text, a list of texts (a shot each) or a Story"
        )
    lengths: Sequence[int | None]
    lengths = [num_frames] * len(prompts) if num_frames is None or isinstance(num_frames, int) else num_frames
    if len(lengths) != len(prompts):
        raise ValueError(f"num_frames has {len(lengths)} numbers for {len(prompts)} shots; give one for each")
    shots = []
    for text, length in zip(prompts, lengths, strict=True):
        shots.append(Shot(prompt=text, chunks=None if length is None else _chunks(length, timing)))
    return Story(setting=setting, shots=shots)


def _chunks(frames: int, timing: ShotTiming) -> int:
    if frames < 1:
        raise ValueError(f"num_frames is {frames}; a shot has at least 1 frame")
    chunks = timing.chunks(frames / timing.fps)
    if timing.frames(chunks) != frames:
        warnings.warn(
            f"this model makes shots in whole chunks, so {frames} frames become {timing.frames(chunks)}",
            stacklevel=5,  # who calls the pipeline, whose call is wrapped by torch.no_grad
        )
    return chunks


def seed_of(generator: torch.Generator | Sequence[torch.Generator] | None) -> int | None:
    """The seed that a generator stands for: its initial one, for a story keeps no random state.

    Raises:
        ValueError: If there are several generators.
    """
    if isinstance(generator, list | tuple):
        if len(generator) != 1:
            raise ValueError(f"{len(generator)} generators for one story; give one")
        generator = generator[0]
    return None if generator is None else generator.initial_seed()  # pyright: ignore[reportAttributeAccessIssue]


def scaled(
    active: tuple[AdapterUse, ...], attention_kwargs: Mapping[str, Any] | None
) -> tuple[AdapterUse, ...]:
    """The LoRAs that are used, as strong as ``attention_kwargs={"scale": ...}`` says.

    Raises:
        ValueError: If anything else is asked for.
    """
    asked = dict(attention_kwargs or {})
    scale = float(asked.pop("scale", 1.0))
    if asked:
        raise ValueError(
            f"attention_kwargs has {', '.join(sorted(asked))}, which this model's attention does not take; "
            "only 'scale', the strength of its LoRAs, can be given"
        )
    return tuple(use._replace(scale=use.scale * scale) for use in active)


class GivenNoise:
    """The noise that a film starts from, given as diffusers' ``latents``; later steps draw theirs as always.

    Args:
        latents: ``[1, C, F, h, w]``, the shots of the film one after the other.
        takes: The takes that are made, with the chunks of each.
        chunk_shape: Shape of a chunk's latents, ``(1, F, C, h, w)``.

    Raises:
        ValueError: If the latents are of another shape than the film has.
    """

    def __init__(
        self, latents: Tensor, takes: Sequence[tuple[ScriptedTake, int]], chunk_shape: tuple[int, ...]
    ) -> None:
        self._first: dict[tuple[int, int], int] = {}
        frames = 0
        for take, chunks in takes:
            if take.place is not None:
                self._first[take.number, take.shot.take] = frames
                frames += chunks * chunk_shape[1]
        expected = (1, chunk_shape[2], frames, *chunk_shape[3:])
        if latents.shape != expected:
            raise ValueError(f"latents have shape {tuple(latents.shape)}; this film starts from {expected}")
        self._latents = latents.float().transpose(1, 2)  # [1, F, C, h, w]

    def __call__(self, key: Sequence[int], shape: Sequence[int], *, device: torch.device) -> Tensor:
        """Return the noise of a step; see `NoiseSource`."""
        _, shot, take, chunk, step = key
        if step or (shot, take) not in self._first:
            return noise(key, shape, device=device)
        first = self._first[shot, take] + chunk * shape[1]
        return self._latents[:, first : first + shape[1]].to(device)


class StepReport:
    """Tells a progress bar and diffusers' ``callback_on_step_end`` of every denoising step of a story.

    Args:
        pipeline: The one that the callback is given.
        bar: The progress bar.
        callback: The callback.
    """

    def __init__(self, pipeline: Any, bar: Any, callback: StepCallback | None) -> None:
        self._pipeline = pipeline
        self._bar = bar
        self._callback = callback
        self._steps = 0

    def __call__(self, step: int, timestep: Tensor, x0: Tensor) -> Tensor | None:
        """Report a step; see `StepObserver`."""
        changed = None
        if self._callback is not None:
            shown = {"latents": x0.transpose(1, 2)}  # [1, C, F, h, w]
            answer = self._callback(self._pipeline, self._steps, timestep[0], shown) or {}
            latents = answer.get("latents", shown["latents"])
            changed = None if latents is shown["latents"] else latents.transpose(1, 2).to(x0)
        self._steps += 1
        self._bar.update()
        return changed
