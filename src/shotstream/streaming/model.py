"""What a model is to the sessions that tell stories with it: its networks, its sizes, its caches."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from shotstream.diffusion.schedule import FlowSchedule
from shotstream.loading.captioned import CaptionedPipeline
from shotstream.loading.folders import ModelError, align_weights
from shotstream.models.autoencoder import VideoAutoencoder
from shotstream.models.autoencoder_taew import TinyWanDecoder
from shotstream.models.autoencoder_wan import as_video_autoencoder
from shotstream.models.cache import DualCache
from shotstream.models.captions import Captions
from shotstream.models.transformer import CausalWanTransformer3DModel
from shotstream.prompts.prompt_form import PromptForm, read_prompt_form
from shotstream.streaming.adapters import Adapters, AdapterUse
from shotstream.streaming.memory_rules import SPREAD
from shotstream.streaming.rollout import ShotRollout, never
from shotstream.streaming.timing import ShotTiming, check_picture_size

MOST_PICTURE_BYTES = 4 * 2**30
"""A running shot keeps its frames until the cut; this bounds them (2 minutes at 480x832, 16 fps: 2.3e9)."""


class PromptWarning(UserWarning):
    """A prompt has words that the model does not know, or is too long to be read; it is told all the same."""


_OTHER_LAYERS = (
    "the transformer's layers were changed (by adapters of PEFT or quantisation, say) after its blocks were "
    "compiled, so blocks run uncompiled, more slowly. Prepare the pipeline again; LoRAs of load_lora_weights "
    "need no such layers"
)


class StoryModel(CaptionedPipeline):
    """The networks of a model as a diffusers pipeline, and what sessions ask of them.

    Sessions know this class only. `ShotStreamPipeline` adds loading, and whole stories.

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
        memory_rule: The rule by which its stories remember frames, a name of `MEMORY_RULES`.
        prompt_form: The form of its prompts, see `PromptForm`; None if it reads plain text.
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
        memory_rule: str = SPREAD,
        prompt_form: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        align_weights({"transformer": transformer, "vae": vae, "text_encoder": text_encoder})
        self.register_modules(
            transformer=transformer,
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            scheduler=scheduler,
            live_decoder=live_decoder,
        )
        self.register_to_config(fps=fps, height=height, width=width, caption_template=caption_template)
        self.register_to_config(memory_rule=memory_rule, prompt_form=prompt_form and dict(prompt_form))
        self.form: PromptForm | None = None
        """The form of its prompts; None if it reads plain text."""
        if prompt_form is not None:
            try:
                self.form = read_prompt_form(prompt_form)
            except ValueError as error:
                raise ModelError(str(error)) from error
        self.cache_dtype: torch.dtype | None = None
        """Number format of keys and values in new sessions; None for the transformer's."""
        self.compiled_for: tuple[int, int, torch.dtype | None] | None = None
        """What `speed.prepare` compiled blocks for: picture height and width, format of keys and values."""
        self.compiled_layers: list[type[nn.Module]] = []
        """Kinds of the layers that it compiled; see `layer_kinds`."""
        self.active_adapters: tuple[AdapterUse, ...] = ()
        """LoRAs of shots that name none; see `ShotStreamPipeline.set_adapters`."""
        self.still_worker = ThreadPoolExecutor(1, thread_name_prefix="shotstream-stills")
        """The thread that encodes stills for all sessions; it starts when needed and ends with the pipeline.

        One serves all, because cuDNN plans the convolutions anew in every thread.
        """
        self.full_frame_worker = ThreadPoolExecutor(1, thread_name_prefix="shotstream-decode")
        """The thread that makes full frames where others are shown live, likewise for all sessions."""
        self._by_layers = False
        """Whether layers are being offloaded one by one right now."""
        self._interrupt = False
        """Set by a callback to end the call after the running chunk, as in diffusers."""
        self._warned_of: set[tuple[int, int, torch.dtype | None]] = set()
        self._wrapped: tuple[nn.Module, VideoAutoencoder] | None = None
        self._check_parts()

    def register_modules(self, **components: Any) -> None:
        """Register components, those of this package under its own name, so that a saved folder loads."""
        super().register_modules(**components)
        for name in components:
            library, class_name = self.config[name]
            if library is not None and library.startswith("shotstream."):
                self.register_to_config(**{name: ("shotstream", class_name)})

    # ---- sizes ----

    @property
    def autoencoder(self) -> VideoAutoencoder:
        """The vae behind the project's interface, always the same object for one vae."""
        if self._wrapped is None or self._wrapped[0] is not self.vae:
            self._wrapped = (self.vae, as_video_autoencoder(self.vae))
        return self._wrapped[1]

    @property
    def adapters(self) -> Adapters:
        """The LoRAs that are loaded for the transformer."""
        return Adapters.of(self.transformer)

    @property
    def timing(self) -> ShotTiming:
        """Seconds, frames and chunks of this model."""
        frames = self.transformer.config["chunk_frames"]
        return ShotTiming(self.config["fps"], self.autoencoder.temporal_ratio, frames)

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

    def shot_chunks(
        self, seconds: float | None, chunks: int | None, size: tuple[int, int], *, after: int = 0
    ) -> int:
        """Length in chunks of a shot, or of what is added to `after` chunks.

        Args:
            seconds: Wanted length, rounded up to whole chunks.
            chunks: Wanted length in chunks; without both, as long as trained.
            size: Picture height and width in pixels.
            after: Chunks that the shot has already.

        Raises:
            ValueError: If it is impossible.
        """
        timing = self.timing
        if seconds is not None and chunks is not None:
            raise ValueError("give the length of a shot either in seconds or in chunks")
        if seconds is not None:
            chunks = timing.chunks(seconds, after=after)
        if chunks is None:
            chunks = int(self.transformer.config["window_chunks"])
        if chunks < 1:
            raise ValueError(f"a shot of {chunks} chunks shows nothing; give at least 1")
        total = after + chunks
        most = MOST_PICTURE_BYTES // (size[0] * size[1] * 3)
        if timing.frames(total) > most:
            raise ValueError(
                f"a shot of {timing.seconds(total):.0f} seconds is too long to be kept until its cut; "
                f"cut after {most / timing.fps:.0f} seconds at most"
            )
        return chunks

    def new_cache(self, height: int, width: int) -> DualCache:
        """Allocate keys and values for pictures of a size in pixels.

        Warns once for each size, and format of keys and values, that compiled blocks are not compiled for.
        """
        wanted = (height, width, self.cache_dtype)
        if self.compiled_for not in (None, wanted) and wanted not in self._warned_of:
            self._warned_of.add(wanted)
            warnings.warn(self._not_compiled(height, width), RuntimeWarning, stacklevel=2)
        if self.compiled_for and self.compiled_layers != self.layer_kinds():
            self.compiled_layers = self.layer_kinds()
            warnings.warn(_OTHER_LAYERS, RuntimeWarning, stacklevel=2)
        return self.transformer.new_cache(
            batch=1,
            tokens_per_frame=self.tokens_per_frame(height, width),
            dtype=self.cache_dtype,
            device=self._execution_device,
        )

    def layer_kinds(self) -> list[type[nn.Module]]:
        """Kinds of all layers of the transformer's blocks: compiled code is of these alone."""
        return [type(layer) for layer in self.transformer.blocks.modules()]

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

    def new_rollout(
        self,
        cache: DualCache,
        captions: Captions,
        shot_index: int,
        rewind_chunks: int = 0,
        is_stopped: Callable[[], bool] = never,
    ) -> ShotRollout:
        """Make what rolls out one shot, chunk by chunk; see `ShotRollout`."""
        network, schedule = self.transformer, self.scheduler
        return ShotRollout(network, schedule, cache, captions, shot_index, rewind_chunks, is_stopped)

    def caption(self, setting: str, index: int, prompt: str) -> str:
        """What the text encoder reads for shot `index` (from 0)."""
        return self.config["caption_template"].format(setting=setting, index=index, prompt=prompt)

    def picture_size(self, height: int | None, width: int | None) -> tuple[int, int]:
        """Check a picture size; None takes the trained one.

        Raises:
            ValueError: If the model cannot make pictures of that size.
        """
        picture_height = int(self.config["height"]) if height is None else height
        picture_width = int(self.config["width"]) if width is None else width
        _, rows, columns = self.transformer.config["patch_size"]
        ratio = self.autoencoder.spatial_ratio
        check_picture_size(picture_height, picture_width, ratio * rows, ratio * columns)
        return picture_height, picture_width

    # ---- offloading ----

    @property
    def _exclude_from_cpu_offload(self) -> list[str]:
        """The live decoder is small, and needed with every chunk."""
        stays = ["live_decoder", "vae"] if self._by_layers else ["live_decoder"]
        return [*super()._exclude_from_cpu_offload, *stays]

    def enable_sequential_cpu_offload(self, *args: Any, **kwargs: Any) -> None:
        """Have each layer on the GPU only while it runs, as for any pipeline.

        The autoencoder stays there: its decoder carries state from chunk to chunk.
        """
        self._by_layers = True
        try:
            with self._text_encoder_left_alone():
                super().enable_sequential_cpu_offload(*args, **kwargs)
        finally:
            self._by_layers = False

    def enable_group_offload(
        self,
        onload_device: torch.device,
        *args: Any,
        exclude_modules: str | list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Have groups of layers on the GPU only while they run, as for any pipeline.

        The autoencoders stay there, as with `enable_sequential_cpu_offload`.
        """
        excluded = [exclude_modules] if isinstance(exclude_modules, str) else exclude_modules or []
        excluded = [*excluded, "vae", "live_decoder"]
        with self._text_encoder_left_alone():
            super().enable_group_offload(onload_device, *args, exclude_modules=excluded, **kwargs)

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
        self._check_text_cleaning()
        if self.text_encoder is not None:
            self._check_text_width(self.text_encoder.config.hidden_size)


def check_prompt(model: StoryModel, setting: str, prompt: str, shot: int) -> None:
    """Warn of what the model does not know of a prompt, or leaves out, on behalf of the caller's caller.

    Args:
        model: Reads it.
        setting: Goes with it.
        prompt: The prompt.
        shot: Number of its shot, from 0.

    Raises:
        ValueError: If it is empty.
    """
    if not prompt.strip():
        raise ValueError("the prompt is empty; say what is to be seen")
    where = f"shot {shot + 1}"
    report_unknown_words(model, where, prompt)
    cut_off = model.cut_off(model.caption(setting, shot, prompt))
    if cut_off:
        sentence = f"{where}: setting and prompt are too long for the model, which leaves out: {cut_off}"
        warnings.warn(sentence, PromptWarning, stacklevel=3)


def report_unknown_words(model: StoryModel, where: str, text: str) -> None:
    """Warn of words that the model does not know; `where` they stand is said first."""
    unknown = model.unknown_words(text)
    if unknown:
        words = [f"{word} (near: {', '.join(near)})" if near else word for word, near in unknown.items()]
        sentence = f"{where}: the model does not know these words: {', '.join(words)}"
        warnings.warn(sentence, PromptWarning, stacklevel=4)
