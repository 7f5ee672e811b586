"""The pipeline that users load and have tell whole stories."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from shotstream.loading.eight_bit import to_eight_bit
from shotstream.loading.folder_code import folder_code
from shotstream.loading.folders import check_configs, check_weights, load_errors, locate_model
from shotstream.loading.lora import Adapter
from shotstream.loading.text_source import TextSource, check_text_place
from shotstream.story import Story
from shotstream.streaming.best_take import TakeChoice
from shotstream.streaming.calling import (
    OUTPUT_TYPES,
    GivenNoise,
    StepCallback,
    StepReport,
    scaled,
    seed_of,
    story_of,
)
from shotstream.streaming.chunk import Chunk
from shotstream.streaming.context_frames import Selection, select_frames
from shotstream.streaming.model import StoryModel
from shotstream.streaming.noise import NoiseSource, noise
from shotstream.streaming.output import StoryOutput, gather
from shotstream.streaming.scripted import KnownLatents, ScriptedStory, takes_of
from shotstream.streaming.session import StorySession


class ShotStreamPipeline(StoryModel):
    """Tells stories shot by shot.

    >>> pipe = ShotStreamPipeline.from_pretrained("mini")
    >>> for chunk in pipe.stream(Story.read("story.yaml")):
    ...     show(chunk.frames)

    Its parts are described at `StoryModel`.
    """

    # ---- loading ----

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = "mini",
        *,
        text: str = "resident",
        cache: str | Path | None = None,
        **settings: Any,
    ) -> Self:
        """Load a model.

        Wan's text encoder is four times as big as all else, and a story needs it for moments. It can live:

        - ``resident``: with the other parts, wherever those are moved;
        - ``cpu``: on the CPU, also when the pipeline is moved; its embeddings travel;
        - ``int8``: with the other parts, in 8 bits: six tenths of the memory, and embeddings some 3 % off;
        - ``release``: on the disk; read when a caption is needed that is not in the cache, and freed again.

        The last and ``cpu`` encode on the CPU. On the same device all but ``int8`` make the same embeddings.

        Embeddings are kept in a cache folder if the text encoder is big or released (see
        `shotstream.loading.embedding_cache`). The cache does not notice weights that are changed in place.

        Args:
            name: "mini" (the model that comes with the package), a folder, or a name on the hub.
            text: Where the text encoder lives.
            cache: Folder for embeddings of captions, or "off"; if None, ``SHOTSTREAM_CACHE`` (the same) or
                ``~/.cache/shotstream``, for big and released text encoders.
            **settings: As for any diffusers pipeline (``dtype``, ``variant``, ``revision``, ...).

        Raises:
            ModelError: If it is not there, or its weights do not fit or are not numbers; in one sentence.
            ValueError: If a text encoder cannot live there.
        """
        place = check_text_place(text)
        if "torch_dtype" in settings:  # its name in older diffusers
            settings["dtype"] = settings.pop("torch_dtype")
        settings = {"use_safetensors": True, "dtype": torch.float32, **settings}
        if settings.keys() & {"text_encoder", "tokenizer"}:
            cache = "off"  # it would be keyed by the folder's
        if place == "release":
            settings["text_encoder"] = None
        folder = cls.fetch(name, **settings)
        check_configs(folder)
        with load_errors(name):
            pipeline = super().from_pretrained(str(folder), **settings)
        check_weights(str(folder), pipeline.components)
        if place == "int8":
            to_eight_bit(pipeline.text_encoder)
        with load_errors(name):
            source = TextSource.find(folder, place, cache, settings["dtype"], settings.get("variant"))
            if place == "release":
                pipeline._check_text_width(source.width)
        pipeline._text = source
        return pipeline

    @classmethod
    def fetch(cls, name: str | Path, **settings: Any) -> Path:
        """Return the folder of a model; one on the hub is downloaded, unless it has been before.

        Args:
            name: "mini" (the model that comes with the package), a folder, or a name on the hub.
            **settings: See `from_pretrained`.

        Raises:
            ModelError: If it is not there; in one sentence.
        """
        place = locate_model(name)
        if Path(place).is_dir():
            return Path(place)
        with load_errors(name):
            return Path(cls.download(place, **settings))

    @classmethod
    def from_single_file(
        cls,
        checkpoint: str | Path,
        wan: str | Path,
        *,
        pipeline: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> Self:
        """Load a released checkpoint of ShotStream.

        Args:
            checkpoint: The file.
            wan: Folder of Wan 2.1 T2V 1.3B, as its authors publish it or for diffusers: has the other parts.
            pipeline: Settings other than Wan 2.1's (``fps``, ``height``, ...).
            **settings: See `shotstream.loading.wan.assemble`.

        Raises:
            ValueError: In a sentence, if a file cannot be used.
        """
        from shotstream.loading.wan import assemble, find_parts

        return cls(**assemble(find_parts(Path(wan)), Path(checkpoint), **settings), **(pipeline or {}))

    # ---- LoRAs ----

    def load_lora_weights(self, path: str | Path | Adapter, adapter_name: str | None = None) -> str:
        """Load a LoRA; from the next shot on it is used at scale 1, beside those that are used already.

        Args:
            path: A file, or the folder of one; see `shotstream.loading.lora.read_lora`. Or what that
                returned.
            adapter_name: What it is to be called; None for the name of its file.

        Returns:
            Its name.

        Raises:
            ValueError: In a sentence, if it cannot be used, or the name is taken.
        """
        name = self.adapters.load(path if isinstance(path, Adapter) else Path(path), adapter_name)
        self.active_adapters = tuple(sorted([*self.active_adapters, *self.adapters.choose([name])]))
        return name

    def set_adapters(self, names: str | Sequence[str], scales: float | Sequence[float] = 1.0) -> None:
        """Say which LoRAs shots are made with that name none themselves, from the next shot on.

        A running shot goes on with its own.

        Args:
            names: Names of loaded LoRAs; an empty list for none.
            scales: How strong each is, or all are.

        Raises:
            ValueError: In a sentence, if one is not loaded, or there are not as many scales as names.
        """
        names = [names] if isinstance(names, str) else list(names)
        each = [float(scales)] * len(names) if isinstance(scales, int | float) else list(scales)
        if len(each) != len(names):
            raise ValueError(f"{len(each)} scales for {len(names)} LoRAs; give one for each, or one for all")
        choices = [f"{name}:{scale!r}" for name, scale in zip(names, each, strict=True)]
        self.active_adapters = self.adapters.choose(choices)

    def unload_lora_weights(self) -> None:
        """Forget all LoRAs; the weights are what they were, to the bit."""
        self.adapters.unload()
        self.active_adapters = ()

    def save_pretrained(self, save_directory: str | Path, **settings: Any) -> None:
        """Save the model without any LoRA; see `CaptionedPipeline.save_pretrained`.

        The folder also opens with plain diffusers, where this package is installed (docs/diffusers.md).

        Args:
            save_directory: The folder.
            **settings: As for any diffusers pipeline.

        Raises:
            ModelError: If its text encoder is not here as it was trained.
        """
        self.adapters.merge(())
        super().save_pretrained(save_directory, **settings)
        folder = Path(save_directory)
        index = json.loads((folder / self.config_name).read_text(encoding="utf-8"))
        for name, text in folder_code(index).items():
            (folder / name).write_text(text, encoding="utf-8")

    # ---- telling ----

    def stream(
        self,
        story: Story,
        *,
        seed: int | None = None,
        shots: tuple[int, int] | None = None,
        height: int | None = None,
        width: int | None = None,
        select: Selection = select_frames,
        memory_rule: str | None = None,
        decoder: str = "full",
        known: KnownLatents = lambda shot: (),
        choice: TakeChoice | None = None,
    ) -> Iterator[Chunk]:
        """Tell a story and yield its chunks as they are decoded.

        Args:
            story: The story.
            seed: Instead of the story's seed.
            shots: (first, last) shot to yield, from 0 and both included. Shots before are made too, because
                later ones remember them, but not yielded; shots after are not made.
            height: Picture height in pixels; the story's if None, or else the trained one.
            width: Picture width in pixels, likewise.
            select: The rule by which remembered frames are chosen, where the story does not say which.
            memory_rule: Another rule, by words (a name of `MEMORY_RULES`); None for the model's own.
            decoder: "full", or "tiny" for frames of the tiny decoder; see `Chunk.full_frames`.
            known: Gives the latents of a shot that were made before; they are not made again.
            choice: How the best of several takes is found for every shot; its chunks come when that is done.

        Raises:
            ValueError: If anything asked for is impossible.
        """
        self.check_inputs(story, shots, height, width)
        height, width = height or story.height, width or story.width
        seed = story.seed if seed is None else seed
        session = self.open(
            story.setting,
            seed,
            height,
            width,
            select=select,
            memory_rule=memory_rule,
            decoder=decoder,
            works_ahead=True,
        )
        first, last = shots or (0, len(story.shots) - 1)
        return self._stream(ScriptedStory(session, story, last, choice), first, known)

    @torch.no_grad()
    def __call__(
        self,
        prompt: Story | str | Sequence[str],
        *,
        setting: str = "",
        num_frames: int | Sequence[int] | None = None,
        height: int | None = None,
        width: int | None = None,
        seed: int | None = None,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        latents: Tensor | None = None,
        attention_kwargs: Mapping[str, Any] | None = None,
        output_type: str = "np",
        return_dict: bool = True,
        callback_on_step_end: StepCallback | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
    ) -> StoryOutput | tuple:
        """Tell a whole story: all that `stream` yields. The arguments are diffusers'.

        Args:
            prompt: A story; or what happens in its only shot, or a list of that for each shot.
            setting: Who and where, if the prompt is no `Story`: goes with every shot.
            num_frames: Frames of every shot, or of each; rounded up to whole chunks. Not for a `Story`.
            height: Picture height in pixels; the story's if None, or else the trained one.
            width: Picture width in pixels, likewise.
            seed: Instead of the story's seed.
            generator: Its initial seed is used as `seed`; nothing is drawn from it.
            latents: Noise that the film starts from, ``[1, C, F, h, w]``, its shots one after the other. The
                noise of later steps is drawn as always.
            attention_kwargs: ``{"scale": ...}`` makes the LoRAs of `set_adapters` so much stronger.
            output_type: "np" (float in [0, 1]), "pt" or "pil" as in diffusers; "latent" for clean latents.
            return_dict: Whether to return a `StoryOutput` or a tuple of the same.
            callback_on_step_end: Called as ``(pipeline, step, timestep, {"latents": ...})`` after every
                denoising step of every chunk. Steps are counted over the whole story; the latents
                ``[1, C, F, h, w]`` are the chunk's clean ones as predicted. Others that it returns take their
                place. If it sets ``pipeline._interrupt``, as in diffusers, the story ends after this chunk.
            callback_on_step_end_tensor_inputs: What the callback is given; there is "latents" only.

        Returns:
            The frames, of the whole story and of each shot.

        Raises:
            ValueError: If anything asked for is impossible.
        """
        if output_type not in OUTPUT_TYPES:
            raise ValueError(f"output_type {output_type!r} is unknown; use one of {', '.join(OUTPUT_TYPES)}")
        if unknown := set(callback_on_step_end_tensor_inputs) - {"latents"}:
            raise ValueError(f"a callback cannot be given {', '.join(sorted(unknown))}; only 'latents'")
        story = story_of(prompt, setting, num_frames, self.timing)
        self.check_inputs(story, None, height, width)
        seed = seed_of(generator) if seed is None else seed
        height, width = self.picture_size(height or story.height, width or story.width)
        lengths = [
            (take, self.shot_chunks(take.shot.seconds, take.shot.chunks, (height, width)))
            for take in takes_of(story)
        ]
        noise_source = noise
        if latents is not None:
            chunk = (1, self.timing.chunk_frames, *self.latent_shape(height, width))
            noise_source = GivenNoise(latents, lengths, chunk)
        session = self.open(
            story.setting, story.seed if seed is None else seed, height, width, noise_source=noise_source
        )
        steps = len(self.scheduler.student_steps()) * sum(length for _, length in lengths)
        chunks, active, self._interrupt = [], self.active_adapters, False
        try:
            self.active_adapters = scaled(active, attention_kwargs)
            with self.progress_bar(total=steps) as bar:  # pyright: ignore[reportCallIssue]
                session.observe(StepReport(self, bar, callback_on_step_end))
                for made in self._stream(ScriptedStory(session, story), 0, lambda shot: ()):
                    chunks.append(made)
                    if self._interrupt:
                        break
        finally:
            self.active_adapters = active
        self.maybe_free_model_hooks()
        output = gather(chunks, output_type)
        return output if return_dict else output.to_tuple()

    def open(
        self,
        setting: str = "",
        seed: int = 0,
        height: int | None = None,
        width: int | None = None,
        *,
        history_shots: int = 16,
        select: Selection = select_frames,
        memory_rule: str | None = None,
        decoder: str = "full",
        rewind_chunks: int = 0,
        noise_source: NoiseSource = noise,
        works_ahead: bool = False,
    ) -> StorySession:
        """Open a session, to tell a story shot by shot as it comes to mind.

        Args:
            setting: Who and where: goes with every shot.
            seed: Seed of the story.
            height: Picture height in pixels; the trained one if None.
            width: Picture width in pixels; the trained one if None.
            history_shots: How many of the newest shots can be retaken or branched from.
            select: The rule by which remembered frames are chosen.
            memory_rule: Another rule, by words (a name of `MEMORY_RULES`); None for the model's own.
            decoder: "full", or "tiny" to be shown what the model's tiny decoder makes.
            rewind_chunks: How many chunks a shot can be gone back; see `StorySession`.
            noise_source: Where the noise of every step comes from.
            works_ahead: Whether a GPU begins a chunk before the one before is shown; see `StorySession`.

        Raises:
            ValueError: If the model cannot make pictures of that size, or has no such decoder.
        """
        height, width = self.picture_size(height, width)
        return StorySession(
            self,
            setting,
            seed,
            height=height,
            width=width,
            history_shots=history_shots,
            select=select,
            memory_rule=memory_rule,
            decoder=decoder,
            rewind_chunks=rewind_chunks,
            noise_source=noise_source,
            works_ahead=works_ahead,
        )

    def check_inputs(
        self, story: Story, shots: tuple[int, int] | None, height: int | None, width: int | None
    ) -> None:
        """Complain in a sentence about what cannot be told.

        Raises:
            ValueError: With that sentence.
        """
        if not isinstance(story, Story):
            raise ValueError(f"a {type(story).__name__} is no story; give a Story, e.g. Story.read(path)")
        if shots is not None and not 0 <= shots[0] <= shots[1] < len(story.shots):
            raise ValueError(
                f"shots {shots[0]} to {shots[1]} are not all in the story; it has {len(story.shots)}, "
                "numbered from 0"
            )
        for _, mistake in story.lora_mistakes(self.adapters.names):
            raise ValueError(mistake)
        self.picture_size(height or story.height, width or story.width)

    def _stream(self, script: ScriptedStory, first: int, known: KnownLatents) -> Iterator[Chunk]:
        if self.text_encoder is None:
            self._embed_all(script.captions)
        for chunk in script.tell(known):
            if chunk.shot >= first:
                yield chunk
