"""The networks of a model as one diffusers pipeline, and the ways to have it tell a story."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from shotstream.diffusion.schedule import FlowSchedule
from shotstream.models.autoencoder import VideoAutoencoder, as_video_autoencoder
from shotstream.models.autoencoder_taew import TinyWanDecoder
from shotstream.models.cache import DualCache
from shotstream.models.captions import Captions
from shotstream.models.device import check_text_place
from shotstream.models.eight_bit import to_eight_bit
from shotstream.models.transformer import CausalWanTransformer3DModel
from shotstream.story import Story
from shotstream.streaming.captioned import CaptionedPipeline
from shotstream.streaming.chunk import Chunk
from shotstream.streaming.loading import ModelError, align_weights, check_weights, load_errors, locate_model
from shotstream.streaming.memory import Selection, select_frames
from shotstream.streaming.output import StoryOutput, gather
from shotstream.streaming.rollout import ShotRollout
from shotstream.streaming.session import StorySession
from shotstream.streaming.tempo import Tempo
from shotstream.streaming.text_source import TextSource


class ShotStreamPipeline(CaptionedPipeline):
    """Tells stories shot by shot.

    >>> pipe = ShotStreamPipeline.from_pretrained("mini")
    >>> for chunk in pipe.stream(Story.read("story.yaml")):
    ...     show(chunk.frames)

    Args:
        transformer: The causal student.
        vae: ``AutoencoderKLWan`` or ``TinyVideoAutoencoder``.
        text_encoder: umT5, or mini's small CLIP text encoder; None if it is read when needed.
        tokenizer: Its tokenizer.
        scheduler: The path between data and noise, and the student's steps on it.
        live_decoder: Decodes quickly and roughly, to be watched (``decoder="tiny"``); a model may lack it.
        fps: Frames per second that the model was trained at.
        height: Height of the pictures that it was trained on.
        width: Their width.
        caption_template: What the text encoder reads for a shot: ``{setting}``, ``{index}`` (from 0) and
            ``{prompt}`` are filled in.
    """

    model_cpu_offload_seq = "text_encoder->transformer->vae"
    _optional_components = ["live_decoder"]  # noqa: RUF012

    def __init__(
        self,
        transformer: CausalWanTransformer3DModel,
        vae: nn.Module,
        text_encoder: PreTrainedModel | None,
        tokenizer: PreTrainedTokenizerBase,
        scheduler: FlowSchedule,
        live_decoder: TinyWanDecoder | None = None,
        fps: float = 16.0,
        height: int = 480,
        width: int = 832,
        caption_template: str = "{setting}shot{index}:{prompt}",
    ) -> None:
        super().__init__()
        self.register_modules(
            transformer=transformer,
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            scheduler=scheduler,
            live_decoder=live_decoder,
        )
        self.register_to_config(fps=fps, height=height, width=width, caption_template=caption_template)
        self.cache_dtype: torch.dtype | None = None
        """Number format of keys and values in new sessions; None for the transformer's."""
        self.compiled_for: tuple[int, int, torch.dtype | None] | None = None
        """What `speed.prepare` compiled blocks for: picture height and width, format of keys and values."""
        self._warned_of: set[tuple[int, int, torch.dtype | None]] = set()
        self._check_parts()

    # ---- loading and saving ----

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
        `shotstream.models.embedding_cache`). Weights that are changed in place afterwards do not count there.

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
        settings = {"use_safetensors": True, "dtype": torch.float32, **settings}
        if settings.keys() & {"text_encoder", "tokenizer"}:
            cache = "off"  # it would be keyed by the folder's
        if place == "release":
            settings["text_encoder"] = None
        folder = cls.fetch(name, **settings)
        with load_errors(name):
            pipeline = super().from_pretrained(str(folder), **settings)
        align_weights(pipeline.components)
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
    def from_single_file(cls, checkpoint: str | Path, wan: str | Path, **settings: Any) -> ShotStreamPipeline:
        """Load a released checkpoint of ShotStream.

        Args:
            checkpoint: The file.
            wan: Folder of Wan 2.1 T2V 1.3B, as its authors publish it or for diffusers: has the other parts.
            **settings: See `shotstream.streaming.assembly.assemble`.

        Raises:
            ValueError: In a sentence, if a file cannot be used.
        """
        from shotstream.streaming.assembly import assemble, find_parts

        return assemble(find_parts(Path(wan)), Path(checkpoint), **settings)

    def register_modules(self, **components: Any) -> None:
        """Register components, those of this package under its own name, so that a saved folder loads."""
        super().register_modules(**components)
        for name in components:
            library, class_name = self.config[name]
            if library is not None and library.startswith("shotstream."):
                self.register_to_config(**{name: ("shotstream", class_name)})

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
        decoder: str = "full",
    ) -> Iterator[Chunk]:
        """Tell a story and yield its chunks as they are decoded.

        Args:
            story: The story.
            seed: Instead of the story's seed.
            shots: (first, last) shot to yield, from 0 and both included. Shots before are made too, because
                later ones remember them, but not yielded; shots after are not made.
            height: Picture height in pixels; the trained one if None.
            width: Picture width in pixels; the trained one if None.
            select: The rule by which remembered frames are chosen.
            decoder: "full", or "tiny" for frames of the tiny decoder; see `Chunk.full_frames`.

        Raises:
            ValueError: If anything asked for is impossible.
        """
        self.check_inputs(story, shots, height, width)
        seed = story.seed if seed is None else seed
        session = self.open(story.setting, seed, height, width, select=select, decoder=decoder)
        return self._stream(session, story, shots)

    @torch.no_grad()
    def __call__(
        self,
        story: Story,
        *,
        seed: int | None = None,
        height: int | None = None,
        width: int | None = None,
        generator: torch.Generator | None = None,
        output_type: str = "np",
        callback_on_step_end: Callable[[Any, int, int, dict], Any] | None = None,
    ) -> StoryOutput:
        """Tell a whole story: all that `stream` yields.

        Args:
            story: The story.
            seed: Instead of the story's seed.
            height: Picture height in pixels; the trained one if None.
            width: Picture width in pixels; the trained one if None.
            generator: Its initial seed is used as `seed`.
            output_type: "np" (float in [0, 1]), "pt" or "pil", as in diffusers.
            callback_on_step_end: Called as ``(pipeline, n, 0, {"latents": ...})`` after the n-th chunk, which
                is the step of a story.

        Returns:
            The frames, of the whole story and of each shot.

        Raises:
            ValueError: If anything asked for is impossible.
        """
        if output_type not in ("np", "pt", "pil"):
            raise ValueError(f"output_type {output_type!r} is unknown; use 'np', 'pt' or 'pil'")
        if generator is not None and seed is None:
            seed = generator.initial_seed()
        chunks = []
        for number, chunk in enumerate(self.stream(story, seed=seed, height=height, width=width)):
            chunks.append(chunk)
            if callback_on_step_end is not None:
                callback_on_step_end(self, number, 0, {"latents": chunk.latents})
        return gather(chunks, output_type)

    def open(
        self,
        setting: str = "",
        seed: int = 0,
        height: int | None = None,
        width: int | None = None,
        *,
        history_shots: int = 16,
        select: Selection = select_frames,
        decoder: str = "full",
    ) -> StorySession:
        """Open a session, to tell a story shot by shot as it comes to mind.

        Args:
            setting: Who and where: goes with every shot.
            seed: Seed of the story.
            height: Picture height in pixels; the trained one if None.
            width: Picture width in pixels; the trained one if None.
            history_shots: How many of the newest shots can be retaken or branched from.
            select: The rule by which remembered frames are chosen.
            decoder: "full", or "tiny" to be shown what the model's tiny decoder makes.

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
            decoder=decoder,
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
        self.picture_size(height, width)

    # ---- what sessions need ----

    @property
    def autoencoder(self) -> VideoAutoencoder:
        """The vae behind the project's interface."""
        return as_video_autoencoder(self.vae)

    @property
    def tempo(self) -> Tempo:
        """Seconds, frames and chunks of this model."""
        frames = self.transformer.config["chunk_frames"]
        return Tempo(self.config["fps"], self.autoencoder.temporal_ratio, frames)

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Channels, height and width ``(C, h, w)`` of a latent frame of pictures of a size in pixels."""
        autoencoder = self.autoencoder
        ratio = autoencoder.spatial_ratio
        return autoencoder.latent_channels, height // ratio, width // ratio

    def tokens_per_frame(self, height: int, width: int) -> int:
        """Tokens N of a latent frame of pictures of a size in pixels."""
        _, rows, columns = self.transformer.config["patch_size"]
        _, latent_height, latent_width = self.latent_shape(height, width)
        return (latent_height // rows) * (latent_width // columns)

    def new_cache(self, height: int, width: int) -> DualCache:
        """Allocate keys and values for pictures of a size in pixels.

        Warns once for each size, and format of keys and values, that compiled blocks are not compiled for.
        """
        wanted = (height, width, self.cache_dtype)
        if self.compiled_for not in (None, wanted) and wanted not in self._warned_of:
            self._warned_of.add(wanted)
            warnings.warn(self._not_compiled(height, width), RuntimeWarning, stacklevel=2)
        return DualCache.for_transformer(
            self.transformer,
            batch=1,
            tokens_per_frame=self.tokens_per_frame(height, width),
            dtype=self.cache_dtype,
            device=self._execution_device,
        )

    def _not_compiled(self, height: int, width: int) -> str:
        """Say what is compiled, and that this is not."""
        assert self.compiled_for is not None
        compiled_height, compiled_width, cache_dtype = self.compiled_for
        keys = (
            "keys and values as the transformer's"
            if cache_dtype is None
            else f"{cache_dtype} keys and values"
        )
        return (
            f"blocks are compiled for {compiled_height}x{compiled_width} pixels and {keys}; pictures of "
            f"{height}x{width} run uncompiled here, more slowly. Prepare the pipeline for what will be told"
        )

    def new_rollout(self, cache: DualCache, captions: Captions, shot_index: int) -> ShotRollout:
        """Make what rolls out one shot, chunk by chunk."""
        return ShotRollout(self.transformer, self.scheduler, cache, captions, shot_index)

    def caption(self, setting: str, index: int, prompt: str) -> str:
        """What the text encoder reads for shot `index` (from 0)."""
        return self.config["caption_template"].format(setting=setting, index=index, prompt=prompt)

    def _stream(self, session: StorySession, story: Story, shots: tuple[int, int] | None) -> Iterator[Chunk]:
        first, last = shots or (0, len(story.shots) - 1)
        if self.text_encoder is None:
            told = enumerate(story.shots[: last + 1])
            self._embed_all([self.caption(story.setting, number, shot.prompt) for number, shot in told])
        for number, shot in enumerate(story.shots[: last + 1]):
            for chunk in session.shoot(shot.prompt, shot.seconds, chunks=shot.chunks, seed=shot.seed):
                if number >= first:
                    yield chunk

    def picture_size(self, height: int | None, width: int | None) -> tuple[int, int]:
        """Check a picture size; None takes the trained one.

        Raises:
            ValueError: If the model cannot make pictures of that size.
        """
        picture_height = int(self.config["height"]) if height is None else height
        picture_width = int(self.config["width"]) if width is None else width
        _, rows, columns = self.transformer.config["patch_size"]
        ratio = self.autoencoder.spatial_ratio
        fits = picture_height % (ratio * rows) == 0 and picture_width % (ratio * columns) == 0
        if not fits or min(picture_height, picture_width) < 1:
            raise ValueError(
                f"pictures of {picture_height}x{picture_width} cannot be made; the height must be a "
                f"multiple of {ratio * rows} and the width of {ratio * columns}"
            )
        return picture_height, picture_width

    @property
    def _exclude_from_cpu_offload(self) -> list[str]:
        """The live decoder is small, and needed with every chunk."""
        return [*super()._exclude_from_cpu_offload, "live_decoder"]

    def _check_parts(self) -> None:
        """Parts of different models cannot be put together.

        Raises:
            ModelError: If these are.
        """
        if not isinstance(self.transformer, CausalWanTransformer3DModel):
            raise ModelError(
                f"the transformer is a {type(self.transformer).__name__}, which cannot stream; "
                "use a CausalWanTransformer3DModel"
            )
        config, autoencoder = self.transformer.config, self.autoencoder
        if config["in_channels"] != autoencoder.latent_channels:
            raise ModelError(
                f"the transformer reads {config['in_channels']} latent channels, the autoencoder makes "
                f"{autoencoder.latent_channels}; take both from one model"
            )
        live = self.live_decoder
        if live is not None and live.config["latent_channels"] != autoencoder.latent_channels:
            raise ModelError(
                f"the live decoder reads {live.config['latent_channels']} latent channels, the autoencoder "
                f"makes {autoencoder.latent_channels}; take the tiny decoder of the same autoencoder"
            )
        if self.text_encoder is not None:
            self._check_text_width(self.text_encoder.config.hidden_size)
