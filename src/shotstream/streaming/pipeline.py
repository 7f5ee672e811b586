"""The networks of a model as one diffusers pipeline, and the ways to have it tell a story."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as functional
from diffusers import DiffusionPipeline
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from shotstream.diffusion.schedule import FlowSchedule
from shotstream.models.autoencoder import VideoAutoencoder, as_video_autoencoder
from shotstream.models.autoencoder_taew import TinyWanDecoder
from shotstream.models.cache import DualCache
from shotstream.models.captions import Captions
from shotstream.models.text import CaptionEncoder
from shotstream.models.transformer import CausalWanTransformer3DModel
from shotstream.story import Story
from shotstream.streaming.chunk import Chunk
from shotstream.streaming.loading import ModelError, align_weights, check_weights, locate_model, shorten
from shotstream.streaming.memory import Selection, select_frames
from shotstream.streaming.output import StoryOutput, gather
from shotstream.streaming.rollout import ShotRollout
from shotstream.streaming.session import StorySession
from shotstream.streaming.tempo import Tempo


class ShotStreamPipeline(DiffusionPipeline):
    """Tells stories shot by shot.

    >>> pipe = ShotStreamPipeline.from_pretrained("mini")
    >>> for chunk in pipe.stream(Story.read("story.yaml")):
    ...     show(chunk.frames)

    Args:
        transformer: The causal student.
        vae: ``AutoencoderKLWan`` or ``TinyVideoAutoencoder``.
        text_encoder: umT5, or mini's small CLIP text encoder.
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
    _exclude_from_cpu_offload = ["live_decoder"]  # noqa: RUF012 (small, and needed with every chunk)

    def __init__(
        self,
        transformer: CausalWanTransformer3DModel,
        vae: nn.Module,
        text_encoder: PreTrainedModel,
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
        self._check_parts()

    # ---- loading and saving ----

    @classmethod
    def from_pretrained(cls, name: str | Path = "mini", **settings: Any) -> Self:
        """Load a model.

        Args:
            name: "mini" (the model that comes with the package), a folder, or a name on the hub.
            **settings: As for any diffusers pipeline (``dtype``, ``variant``, ``revision``, ...).

        Raises:
            ModelError: If it is not there, or its weights do not fit or are not numbers; in one sentence.
        """
        place = locate_model(name)
        try:
            defaults = {"use_safetensors": True, "dtype": torch.float32}
            pipeline = super().from_pretrained(place, **{**defaults, **settings})
        except ModelError:
            raise
        except Exception as error:  # diffusers, transformers, safetensors and the hub each raise their own
            raise ModelError(
                f"the model {str(name)!r} cannot be loaded: {shorten(error)}; "
                "check the folder or name, or fetch or export the model again"
            ) from error
        check_weights(place, pipeline.components)
        align_weights(pipeline.components)
        return pipeline

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

    def new_rollout(self, cache: DualCache, captions: Captions, shot_index: int) -> ShotRollout:
        """Make what rolls out one shot, chunk by chunk."""
        return ShotRollout(self.transformer, self.scheduler, cache, captions, shot_index)

    def caption(self, setting: str, index: int, prompt: str) -> str:
        """What the text encoder reads for shot `index` (from 0)."""
        return self.config["caption_template"].format(setting=setting, index=index, prompt=prompt)

    def embed(self, caption: str) -> Tensor:
        """Embed a caption, padded with zeros to the model's text length: ``[1, 1, L, D]``."""
        embedding = self._caption_encoder.encode([caption], self._execution_device)  # [1, L, D]
        missing = self.transformer.config["text_length"] - embedding.shape[1]
        return functional.pad(embedding, (0, 0, 0, missing)).to(self.transformer.dtype).unsqueeze(0)

    def unknown_words(self, text: str) -> dict[str, list[str]]:
        """Words of `text` that the model does not know, each with the nearest it knows; they do no harm."""
        return self._caption_encoder.unknown_words(text)

    def cut_off(self, caption: str) -> str:
        """The end of a caption that the model does not read, because it has no room for it."""
        return self._caption_encoder.cut_off(caption)

    @property
    def _caption_encoder(self) -> CaptionEncoder:
        return CaptionEncoder(self.tokenizer, self.text_encoder, self.transformer.config["text_length"])

    def _stream(self, session: StorySession, story: Story, shots: tuple[int, int] | None) -> Iterator[Chunk]:
        first, last = shots or (0, len(story.shots) - 1)
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
        width = self.text_encoder.config.hidden_size
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
        if config["text_dim"] != width:
            raise ModelError(
                f"the transformer reads captions of width {config['text_dim']}, the text encoder makes "
                f"{width}; take both from one model"
            )
