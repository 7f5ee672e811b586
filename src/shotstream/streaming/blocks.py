"""A story as blocks of a diffusers modular pipeline.

Prompts are encoded; then every chunk goes through context, denoise and decode. The blocks call what sessions
call (`ShotGenerator`), so a modular pipeline makes the frames of `ShotStreamPipeline`. Any block may be
replaced, to choose context frames otherwise for instance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import ModularPipelineBlocks, SequentialPipelineBlocks
from diffusers.modular_pipelines import LoopSequentialPipelineBlocks
from diffusers.modular_pipelines.modular_pipeline_utils import (
    ComponentSpec,
    ConfigSpec,
    InputParam,
    OutputParam,
)
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from shotstream.diffusion.schedule import FlowSchedule
from shotstream.models.text import CaptionEncoder
from shotstream.models.transformer import CausalWanTransformer3DModel
from shotstream.story import Story
from shotstream.streaming.calling import OUTPUT_TYPES, seed_of, story_of
from shotstream.streaming.context_frames import ContextFrames
from shotstream.streaming.memory_rules import SPREAD, find_rule
from shotstream.streaming.model import StoryModel
from shotstream.streaming.output import gather
from shotstream.streaming.shot_generator import ShotGenerator
from shotstream.streaming.take import TakeRecord
from shotstream.streaming.timing import ShotTiming

_CONFIGS = [
    ConfigSpec("fps", 16.0, "Frames per second that the model was trained at."),
    ConfigSpec("height", 480, "Height of the pictures that it was trained on."),
    ConfigSpec("width", 832, "Their width."),
    ConfigSpec(
        "caption_template", "{setting}shot{index}:{prompt}", "What the text encoder reads for a shot."
    ),
    ConfigSpec("memory_rule", SPREAD, "The rule by which frames are remembered."),
    ConfigSpec("prompt_form", None, "The form of its prompts; None for plain text."),
]
_TEXT = [ComponentSpec("text_encoder", PreTrainedModel), ComponentSpec("tokenizer", PreTrainedTokenizerBase)]
_TRANSFORMER = ComponentSpec("transformer", CausalWanTransformer3DModel)
_NETWORKS = [
    _TRANSFORMER,
    ComponentSpec("vae", nn.Module),
    ComponentSpec("scheduler", FlowSchedule),
    _TEXT[1],
]


class EncodedModel(StoryModel):
    """A model whose captions were embedded before."""

    embeddings: dict[str, Tensor]
    """Embeddings ``[L, D]`` by caption."""

    def _embed_all(self, captions: Sequence[str]) -> list[Tensor]:
        return [self.embeddings[caption] for caption in captions]


class EncodePromptStep(ModularPipelineBlocks):
    """Prompts to embeddings."""

    model_name = "shotstream"

    @property
    def description(self) -> str:
        """What the block does."""
        return "Embeds the caption of every shot: the setting, the shot's number and its prompt"

    @property
    def expected_components(self) -> list[ComponentSpec]:
        """Parts of a model that it uses."""
        return [*_TEXT, _TRANSFORMER]

    @property
    def expected_configs(self) -> list[ConfigSpec]:
        """Settings of a model that it uses."""
        return _CONFIGS

    @property
    def inputs(self) -> list[InputParam]:
        """What a caller gives."""
        return [
            InputParam(
                "prompt", required=True, description="A text, a list of texts (a shot each), or a Story."
            ),
            InputParam(
                "setting", type_hint=str, default="", description="Who and where: goes with every shot."
            ),
            InputParam("prompt_embeds", description="Embeddings [L, D] of every shot, if they are known."),
        ]

    @property
    def intermediate_outputs(self) -> list[OutputParam]:
        """What later blocks are given."""
        return [
            OutputParam("prompt_embeds", type_hint=list, description="Embeddings [L, D], one for each shot.")
        ]

    @torch.no_grad()
    def __call__(self, components: Any, state: Any) -> tuple[Any, Any]:
        """Do it."""
        block: Any = self.get_block_state(state)
        length = components.transformer.config["text_length"]
        encoder = CaptionEncoder(components.tokenizer, components.text_encoder, length)
        captions = captions_of(components, block.prompt, block.setting)
        if block.prompt_embeds is None:
            block.prompt_embeds = [encoder.encode([caption])[0] for caption in captions]
        self.set_block_state(state, block)
        return components, state


class _ChunkStep(ModularPipelineBlocks):
    """A part of the loop over chunks; the running shot is `take` there, and `shots` makes its chunks."""

    model_name = "shotstream"


class ContextStep(_ChunkStep):
    """What the next chunk is made from."""

    @property
    def description(self) -> str:
        """What the block does."""
        return (
            "Before a shot's first chunk: chooses context frames and fills the global cache from them. "
            "Before each other one: puts the chunk before into the local cache (the clean pass)"
        )

    @property
    def expected_components(self) -> list[ComponentSpec]:
        """Parts of a model that it uses."""
        return _NETWORKS

    @torch.no_grad()
    def __call__(self, components: Any, block: Any) -> tuple[Any, Any]:
        """Do it."""
        remembered = (
            []
            if block.take.rollout
            else block.context.choose(block.take.record.shot, block.take.record.prompt)
        )
        block.shots.prepare(block.take, block.setting, remembered)
        return components, block


class DenoiseChunkStep(_ChunkStep):
    """A chunk from noise."""

    @property
    def description(self) -> str:
        """What the block does."""
        return "Makes the clean latents of the next chunk in the student's few steps"

    @property
    def expected_components(self) -> list[ComponentSpec]:
        """Parts of a model that it uses."""
        return [_TRANSFORMER, _NETWORKS[2]]

    @torch.no_grad()
    def __call__(self, components: Any, block: Any) -> tuple[Any, Any]:
        """Do it."""
        block.latents = block.shots.denoise(block.take)  # [1, F, C, h, w]
        return components, block


class DecodeChunkStep(_ChunkStep):
    """A chunk's frames."""

    @property
    def description(self) -> str:
        """What the block does."""
        return "Decodes the chunk; the decoder's state is carried along the shot"

    @property
    def expected_components(self) -> list[ComponentSpec]:
        """Parts of a model that it uses."""
        return [_NETWORKS[1]]

    @property
    def intermediate_outputs(self) -> list[OutputParam]:
        """What later blocks are given."""
        return [OutputParam("chunks", type_hint=list, description="Every chunk of the story, in order.")]

    @torch.no_grad()
    def __call__(self, components: Any, block: Any) -> tuple[Any, Any]:
        """Do it."""
        chunk = block.shots.show(block.take, block.latents)
        block.take.add(chunk)
        block.chunks.append(chunk)
        return components, block


class ChunkLoopStep(LoopSequentialPipelineBlocks):
    """All chunks of all shots."""

    model_name = "shotstream"
    block_classes = [ContextStep, DenoiseChunkStep, DecodeChunkStep]  # noqa: RUF012
    block_names = ["context", "denoise", "decode"]  # noqa: RUF012

    @property
    def description(self) -> str:
        """What the block does."""
        return "Makes every shot chunk by chunk; a shot that is over is remembered by those after it"

    @property
    def loop_expected_components(self) -> list[ComponentSpec]:
        """Parts of a model that it uses."""
        return _NETWORKS

    @property
    def loop_expected_configs(self) -> list[ConfigSpec]:
        """Settings of a model that it uses."""
        return _CONFIGS

    @property
    def loop_inputs(self) -> list[InputParam]:
        """What a caller gives, and what blocks before give."""
        return [
            InputParam(
                "prompt", required=True, description="A text, a list of texts (a shot each), or a Story."
            ),
            InputParam("prompt_embeds", required=True, description="Embeddings [L, D], one for each shot."),
            InputParam(
                "setting", type_hint=str, default="", description="Who and where: goes with every shot."
            ),
            InputParam(
                "num_frames", description="Frames of every shot or of each, rounded up to whole chunks."
            ),
            InputParam("height", type_hint=int, description="Picture height in pixels."),
            InputParam("width", type_hint=int, description="Picture width in pixels."),
            InputParam("seed", type_hint=int, description="Seed of the story."),
            InputParam("generator", description="Its initial seed is used as the seed."),
        ]

    @torch.no_grad()
    def __call__(self, components: Any, state: Any) -> tuple[Any, Any]:
        """Do it."""
        block: Any = self.get_block_state(state)
        model = model_of(components)
        story = story_of(block.prompt, block.setting, block.num_frames, model.timing)
        captions = captions_of(components, block.prompt, block.setting)
        model.embeddings = dict(zip(captions, block.prompt_embeds, strict=True))
        size = model.picture_size(block.height or story.height, block.width or story.width)
        seed = seed_of(block.generator) if block.seed is None else block.seed
        seed = story.seed if seed is None else seed
        block.setting, block.chunks = story.setting, []
        block.shots = ShotGenerator(model, *size)
        rule = find_rule(components.config.memory_rule, story.setting)
        block.context = ContextFrames(model.transformer.config["context_frames"], rule=rule)
        for number, shot in enumerate(story.shots):
            length = model.shot_chunks(shot.seconds, shot.chunks, size)
            record = TakeRecord(number, 0, seed if shot.seed is None else shot.seed, [(0, shot.prompt)])
            block.take = block.shots.open(record, length)
            for _ in range(length):
                components, block = self.loop_step(components, block)
            block.context.remember(number, 0, block.take.prompts, block.take.picture)
        block.shots.close()
        self.set_block_state(state, block)
        return components, state


class OutputStep(ModularPipelineBlocks):
    """The frames in the form that was asked for."""

    model_name = "shotstream"

    @property
    def description(self) -> str:
        """What the block does."""
        return "Puts the chunks together as frames"

    @property
    def inputs(self) -> list[InputParam]:
        """What a caller gives, and what blocks before give."""
        return [
            InputParam("chunks", required=True, description="Every chunk of the story, in order."),
            InputParam("output_type", type_hint=str, default="np", description=", ".join(OUTPUT_TYPES)),
        ]

    @property
    def intermediate_outputs(self) -> list[OutputParam]:
        """What the pipeline returns."""
        return [OutputParam("videos", description="The frames of the whole story, as a batch of one.")]

    def __call__(self, components: Any, state: Any) -> tuple[Any, Any]:
        """Do it."""
        block: Any = self.get_block_state(state)
        block.videos = gather(block.chunks, block.output_type).frames
        self.set_block_state(state, block)
        return components, state


class ShotStreamBlocks(SequentialPipelineBlocks):
    """A whole story."""

    model_name = "shotstream"  # pyright: ignore[reportAssignmentType]
    block_classes = [EncodePromptStep, ChunkLoopStep, OutputStep]  # noqa: RUF012
    block_names = ["encode_prompt", "chunks", "output"]  # noqa: RUF012

    @property
    def description(self) -> str:
        """What the blocks do."""
        return "Tells a story shot by shot, each chunk by chunk"

    @property
    def outputs(self) -> list[OutputParam]:
        """What the pipeline returns."""
        return [OutputParam("videos", description="The frames of the whole story, as a batch of one.")]


def model_of(components: Any) -> EncodedModel:
    """Put a modular pipeline's parts together; captions come from its `embeddings`."""
    settings = {spec.name: getattr(components.config, spec.name) for spec in _CONFIGS}
    return EncodedModel(
        components.transformer, components.vae, None, components.tokenizer, components.scheduler, **settings
    )


def captions_of(components: Any, prompt: Story | str | Sequence[str], setting: str) -> list[str]:
    """What the text encoder reads for every shot.

    Raises:
        ValueError: If it is a story with takes, redirects, references or LoRAs: those need a session.
    """
    story = story_of(prompt, setting, None, ShotTiming(1, 1, 1))
    extra = story.outtakes or story.references or story.lora
    if extra or any(shot.model_fields_set - {"prompt", "seconds", "chunks", "seed"} for shot in story.shots):
        raise ValueError(
            "the modular pipeline tells shots with prompts, lengths and seeds; takes, redirects, pins, "
            "references and LoRAs of a story need ShotStreamPipeline"
        )
    template = components.config.caption_template
    return [
        template.format(setting=story.setting, index=number, prompt=shot.prompt)
        for number, shot in enumerate(story.shots)
    ]
