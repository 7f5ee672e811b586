"""Recipes: every setting of a training life, from the drawn world to the student, in one YAML file.

Sections are the stages; overrides are dotted (``teacher.loop.steps=200``). Unknown names are refused.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from shotstream.data.mixture import Mixture
from shotstream.media.faults import say_fault
from shotstream.media.syntax_mistakes import explain_yaml
from shotstream.shipped import find_file, shipped_names


class RecipeError(ValueError):
    """A recipe or an override that cannot be used; the message names every mistake."""


class Section(BaseModel):
    """Base of all settings: frozen, no unknown names. A section inside that is given in part keeps the rest
    of its default, which may be another than that of its kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _keep_defaults(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        kept = dict(given)
        for name, field in cls.model_fields.items():
            if isinstance(kept.get(name), dict) and isinstance(field.default, BaseModel):
                kept[name] = _merged(field.default.model_dump(exclude_unset=True), kept[name])
        return kept


def _merged(default: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    merged = default | given
    for name in default.keys() & given.keys():
        if isinstance(default[name], dict) and isinstance(given[name], dict):
            merged[name] = _merged(default[name], given[name])
    return merged


class WorldData(Section):
    """What is drawn for training."""

    height: PositiveInt = 64
    width: PositiveInt = 96
    fps: PositiveFloat = 12
    shot_frames: PositiveInt = 33
    """1 + 4k frames; the trained length of a shot."""
    shots: PositiveInt = 5
    """Shots of a story."""
    stories: PositiveInt = 1000
    """Training stories."""
    drawn_stories: PositiveInt = 1000
    """How many of them are kept as frames on disk, for the autoencoder; the rest only as latents."""
    validation_stories: PositiveInt = 24
    """Held-out stories, drawn after them."""
    context_frames: PositiveInt = 6
    """The memory budget across shots (paper: 6)."""


class Optimiser(Section):
    """AdamW, or Muon for the matrices of the transformer's blocks, or for the kernels of a network of
    convolutions, with AdamW for the rest.

    Not for the text encoder: its attention has no scale, and steps of Muon's size keep it from settling.
    """

    name: Literal["adamw", "muon"] = "adamw"
    lr: PositiveFloat = 1e-3
    muon_lr: PositiveFloat = 2e-2
    """Learning rate of the matrices when `name` is muon."""
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    gradient_clip: PositiveFloat = 1.0
    warmup_steps: int = 100
    decay_fraction: float = Field(default=0.25, ge=0, le=1)
    """Last fraction of the steps, over which the learning rate falls (linearly, to a twentieth)."""


class Loop(Section):
    """How long, how much at a time, how often something is written."""

    steps: PositiveInt = 1000
    batch: PositiveInt = 8
    """Samples of an optimiser step, those of all processes and accumulated passes together."""
    accumulate: PositiveInt = 1
    """Passes, one after the other, that a process makes of its part of a batch; more take less memory."""
    checkpoint_activations: bool = False
    """Whether the transformer's blocks are run again for the gradient instead of keeping what they computed:
    a third slower, for much less memory."""
    seed: int = 0
    ema: float = Field(default=0.995, ge=0, lt=1)
    """Decay of the moving average of the weights; the average is what is exported."""
    loss_limit: PositiveFloat = 100.0
    """A loss above it stops the run: all losses here are of order 1, and one that grows (a critic that loses
    sight of its student) does not come back."""
    precision: Literal["auto", "float32", "bfloat16"] = "float32"
    """Number format of the passes; weights stay in float32. auto: bfloat16 where the device has it."""
    seconds: PositiveFloat | None = None
    """Most seconds of the run, which then ends by the clock, its learning rate as well; a run that is gone on
    with has them anew. None: only steps count."""
    log_every: PositiveInt = 20
    checkpoint_every: PositiveInt = 250
    sample_every: PositiveInt = 500


DroppedText = Literal["empty-prompt", "zeros"]
"""What stands in the place of captions that are left out: the embedding of the empty prompt, or zeros."""


class StageSettings(Section):
    """What every stage has."""

    optimiser: Optimiser = Optimiser()
    loop: Loop = Loop()

    @property
    def batches(self) -> tuple[int, ...]:
        """Sizes of the batches of a run."""
        return (self.loop.batch,)

    @property
    def limits(self) -> tuple[tuple[int, float | None], ...]:
        """Steps and most seconds of the run's lessons, in their order."""
        return ((self.loop.steps, self.loop.seconds),)


class DecoderSettings(StageSettings):
    """The decoder goes on learning while the encoder, and so all latents, stay as they are."""

    clip_frames: PositiveInt = 17
    """1 + 4k frames of a training clip."""
    latent_noise: float = 0.2
    """The decoder learns on latents with noise up to this fraction of their deviation."""
    edge_weight: float = 0.5
    """Weight of the difference of neighbouring pixels in the loss."""
    motion_weight: float = 0.0
    """Weight of the difference of a picture and the next in the loss."""
    moving_weight: float = 0.0
    """How much more pixels count that change from a picture to the next: they are few, and smear first."""
    shuffle_probability: float = Field(default=0.0, ge=0, le=1)
    """How often the latents of a clip are decoded in random order, so that the decoder believes a latent more
    than what came before. A student's latents jump where a chunk begins; a decoder that never saw a jump
    shows both moments at once. After a jump it learns to show the second frame of a latent twice."""
    spread_weight: float = 0.0
    """Weight of how far the deviations of the latents' channels are from 1. Nothing else holds their size,
    and Muon's steps, whose size is fixed, let it grow without end."""
    crop: tuple[int, int] | None = None
    """Height and width of the part of the pictures that is learnt from, multiples of 16; None for all."""
    of_base: bool = False
    """Whether the decoder that a base brings goes on learning; otherwise it stays as it is."""
    half_size_probability: float = Field(default=0.0, ge=0, le=1)
    """How often latents at half the size are decoded to pictures at half the size, which makes latents that
    are easier to generate (EQ-VAE, arXiv 2502.09509)."""


class AutoencoderSettings(DecoderSettings):
    """Stage 0: the light autoencoder, both halves."""

    layout: Literal["convolutions", "shuffles", "wan"] = "convolutions"
    """Of the light autoencoder; "wan" is Wan's own, which the base brings and no stage trains."""
    latent_channels: PositiveInt = 16
    encoder_widths: tuple[int, ...] = (32, 64, 128)
    decoder_widths: tuple[int, ...] = (128, 96, 48, 32)
    encoder_blocks: PositiveInt = 1
    decoder_blocks: PositiveInt = 2


class AdversarySettings(Section):
    """A discriminator, which keeps a network from drawing what it is not sure of as a blur."""

    weight: float = 0.2
    """Of seeming drawn, in the other network's loss."""
    first: int = Field(default=120, ge=0)
    """Steps in which the discriminator alone learns; then it and the other network take turns."""
    gradient_penalty: float = 1e-3
    """Weight of the squared gradient of its scores, at every eighth of its steps, there eightfold."""
    optimiser: Optimiser = Optimiser(lr=2e-4, betas=(0.0, 0.99), weight_decay=0.0)


class PictureSettings(StageSettings):
    """Stages that learn from drawn pictures what the student's latents mean."""

    stories: PositiveInt = 160
    """Drawn stories that the student tells for it."""
    crop: tuple[int, int] = (64, 80)
    """Height and width in pixels of what is learnt from, multiples of 16; at most a picture."""
    again_weight: float = 1.0
    """Weight of the student's latents of drawn shots: their pictures may lie two pixels elsewhere."""
    own_weight: float = 1.0
    """Weight of the student's own shots: at a quarter of the size nothing of them changes."""
    adversary: AdversarySettings = AdversarySettings()
    learnt_part: float = Field(default=0.7, ge=0, le=1)
    """How far the weights that are exported go from those before to those learnt. Those learnt sprinkle
    grains where they are not sure; part of the way, few are left."""

    @model_validator(mode="after")
    def _whole_latents(self) -> Self:
        if any(size % 16 for size in self.crop):
            raise ValueError(f"crop: {self.crop}; give multiples of 16")
        return self


class StudentPicturesSettings(PictureSettings):
    """The student's last step learns from the pictures that the decoder draws of it."""

    crop: tuple[int, int] = (80, 112)
    energy_weight: float = 1.0
    """Weight of edges and motion in patches: as in the drawn shot. Its own shots shall not have more edges
    than before."""
    latent_weight: float = 0.05
    """Weight of the squared distance to the latents that were noised."""
    remembered: float = Field(default=0.8, ge=0, le=1)
    """How often shots remember earlier ones; else they are the first of their stories."""
    optimiser: Optimiser = Optimiser(
        lr=1e-4, betas=(0.0, 0.99), weight_decay=0.0, warmup_steps=20, decay_fraction=0.3
    )
    loop: Loop = Loop(batch=4, loss_limit=1e5)  # the discriminator's penalty begins high
    adversary: AdversarySettings = AdversarySettings(weight=0.25, optimiser=Optimiser(warmup_steps=20))
    learnt_part: float = Field(default=0.6, ge=0, le=1)


class StudentDecoderSettings(PictureSettings):
    """The decoder learns to draw what the student means, whose latents are less exact than the encoder's."""

    latent_noise: float = 0.2
    """True latents get noise up to this fraction of their deviation."""
    edge_weight: float = 0.5
    motion_weight: float = 0.5
    moving_weight: float = 2.0
    """As for the decoder."""
    jump_probability: float = Field(default=0.5, ge=0, le=1)
    """How often true latents come after one of another moment; see `decoder.shuffle_probability`."""


class CaptionsSettings(StageSettings):
    """The caption encoder learns who wears what; its sizes are `teacher.network`'s."""

    shots: PositiveInt = 5
    """Of a story; captions of later shots are worded otherwise than the first one's."""
    optimiser: Optimiser = Optimiser(lr=1e-3, decay_fraction=0.5)
    loop: Loop = Loop(steps=1500, batch=64, ema=0.99)


class Network(Section):
    """Sizes of the transformer, and of the caption encoder that is trained before it."""

    layers: PositiveInt = 6
    heads: PositiveInt = 3
    head_size: PositiveInt = 64
    feed_forward: PositiveInt = 768
    chunk_frames: PositiveInt = 3
    spatial_embedding: bool = True
    text_width: PositiveInt = 128
    text_layers: PositiveInt = 3
    text_heads: PositiveInt = 4
    text_length: PositiveInt = 64
    """Caption length in tokens; longer captions are cut."""
    pad_context: bool = False
    """Whether a shot without memory has zero frames as context, as the released weights were trained."""


class Lesson(Section):
    """A part of the teacher's run, with batches of its own."""

    steps: PositiveInt
    batch: PositiveInt
    seconds: PositiveFloat | None = None
    """Most seconds of the lesson, as `loop.seconds`."""
    mixture: Mixture = Mixture()


class TeacherSettings(StageSettings):
    """Stage 1: bidirectional next-shot generator (paper section 3.2)."""

    network: Network = Network()
    trained: Literal["all", "self-attention"] = "all"
    """What of the transformer learns; a part only where it starts from a `base`."""
    shift: PositiveFloat = 3.0
    """Shift of the schedule: 8 for Wan; small pictures want less."""
    curriculum: dict[str, Lesson] = {}
    """Lessons in their order, which take the place of `loop.steps` and `loop.batch`; none: one lesson of
    `mixture`. Stills first: they teach captions in a tenth of the time that whole shots take."""
    mixture: Mixture = Mixture()
    drop_text: float = Field(default=0.1, ge=0, le=1)
    """How often the captions of a sample are left out, for guidance (paper: 0.1)."""
    dropped_text: DroppedText = "empty-prompt"
    weight_timesteps: bool = False
    """Whether the loss carries the Gaussian weight of the paper; small models do better without, because it
    all but drops the noisiest steps, where they decide who is in the picture."""

    @property
    def lessons(self) -> tuple[Lesson, ...]:
        """The lessons in their order."""
        loop = self.loop
        alone = Lesson(steps=loop.steps, batch=loop.batch, seconds=loop.seconds, mixture=self.mixture)
        return tuple(self.curriculum.values()) or (alone,)

    @property
    def batches(self) -> tuple[int, ...]:
        """Sizes of the batches of a run."""
        return tuple(lesson.batch for lesson in self.lessons)

    @property
    def limits(self) -> tuple[tuple[int, float | None], ...]:
        """Steps and most seconds of the run's lessons, in their order."""
        return tuple((lesson.steps, lesson.seconds) for lesson in self.lessons)


class CausalInitSettings(StageSettings):
    """Stage 2: the student learns x0 from states of the teacher's ODE under the block-causal mask."""

    pairs: PositiveInt = 1000
    """ODE trajectories of the teacher that are recorded first."""
    ode_steps: PositiveInt = 16
    guidance: float = 3.0
    clean_fraction: float = Field(default=0.3, ge=0, le=1)
    """Fraction of the chunks that are shown clean, as in the local cache; those teach nothing themselves."""
    clean_last: bool = False
    """Whether the last chunk of a shot is shown clean as often as others; nothing follows it that would read
    it."""
    drop_text: float = Field(default=0.0, ge=0, le=1)
    """How often the captions of a sample are left out while the student learns; the teacher is recorded with
    all."""
    dropped_text: DroppedText = "empty-prompt"
    mixture: Mixture = Mixture()
    """What is recorded."""
    optimiser: Optimiser = Optimiser(lr=3e-4)
    loop: Loop = Loop(steps=600)


class SelfForcingSettings(StageSettings):
    """Stages 3 and 4: distribution matching on the student's own rollouts (paper section 3.3)."""

    guidance: float = 3.0
    """Of the teacher, ``uncond + guidance (cond - uncond)``: one more than the paper counts."""
    guidance_rescale: float = Field(default=0.0, ge=0, le=1)
    """How far the deviation of guided predictions is brought back to that of unguided ones (paper: 0)."""
    critic_updates: PositiveInt = 5
    """Steps of the critic for each of the student's; the loop's steps count both."""
    timestep_range: tuple[float, float] = (20, 980)
    mixture: Mixture = Mixture()
    """What stage 3 rolls out; stage 4 tells whole stories."""
    drop_context: float = Field(default=0.0, ge=0, le=1)
    """How often the shots of a step are made without context, as first shots are, whatever they were to
    remember."""
    lora_rank: PositiveInt | None = None
    """Adapters of this rank on the student's blocks learn (paper: 256, in stage 4); None: everything does."""
    critic_lora_rank: PositiveInt | None = None
    """The same of the critic."""
    optimiser: Optimiser = Optimiser(lr=1e-4, betas=(0.0, 0.999))
    critic_optimiser: Optimiser = Optimiser(lr=2e-4, betas=(0.0, 0.999))
    loop: Loop = Loop(steps=1200)


class InterShotSettings(SelfForcingSettings):
    """Stage 4."""

    start: Literal["causal-init", "intra-shot"] = "intra-shot"
    """The stage whose student it starts from."""


class JudgeSettings(StageSettings):
    """The judge that reads attributes back from frames."""

    height: PositiveInt = 96
    width: PositiveInt = 144
    """Pixels that it looks at; pictures of another size are resized."""
    frame_step: PositiveInt = 2
    """It looks at one frame of so many."""
    widths: tuple[int, int, int, int] = (32, 64, 128, 128)
    features: PositiveInt = 256
    autoencoded_fraction: float = Field(default=0.5, ge=0, le=1)
    """Fraction of a batch that goes through the autoencoder first."""
    shift_pixels: int = Field(default=3, ge=0)
    """Shots are moved by up to so many pixels in each direction."""
    still_probability: float = Field(default=0.3, ge=0, le=1)
    """How often a batch is of single frames."""
    spoilt_probability: float = Field(default=0.3, ge=0, le=1)
    """How often a shot is spoilt: melted, blurred, mixed with another, cut off."""
    fresh: bool = False
    """Whether shots are drawn anew in every step, instead of taken from the stories on disk: the judge then
    sees no story twice, and learns no combination by heart."""
    remade_fraction: float = Field(default=0, ge=0, le=1)
    """Fraction of a batch that the base's student remakes from noise; needs `fresh` and a `base`."""
    short_probability: float = Field(default=0, ge=0, le=1)
    """How often a batch is of short shots, which cost less; in them nobody is asked for an action."""
    short_frames: PositiveInt = 9
    """Frames of a short shot, 1 + 4k."""
    start: Path | None = None
    """Folder of a judge with these sizes to go on from; None: from nothing."""

    @model_validator(mode="after")
    def _remade_from_fresh(self) -> JudgeSettings:
        if self.remade_fraction and not self.fresh:
            raise ValueError("remade_fraction needs captions, which only fresh shots have; set fresh: true.")
        if self.autoencoded_fraction + self.remade_fraction > 1:
            raise ValueError("autoencoded_fraction and remade_fraction together are more than the batch.")
        return self


class Recipe(Section):
    """A whole training life. `name` is also the name of the run folder."""

    name: str
    caption_template: str = "{setting} {prompt}"
    """How setting, shot index and prompt make a caption."""
    student_timesteps: tuple[int, ...] = (1000, 750, 500, 250)
    """Nominal steps of the few-step student, before the shift."""
    negative_prompt: str = ""
    """What guidance leads away from."""
    data: str = "drawn"
    """"drawn", or a folder of shards that `shotstream data prepare` made of films for the model `base`."""
    earlier: Path | None = None
    """A run folder whose stages and data are taken where this run has none of its own: for trying another
    setting of a late stage (name=other earlier=runs/mini ...)."""
    base: str | None = None
    """A model (shipped name, folder or "owner/name" on the hub) from whose transformer training starts; its
    autoencoder (but for `decoder.of_base`) and text encoder stay as they are. None: everything is made from
    nothing."""
    world: WorldData = WorldData()
    captions: CaptionsSettings = CaptionsSettings()
    autoencoder: AutoencoderSettings = AutoencoderSettings()
    decoder: DecoderSettings = DecoderSettings()
    teacher: TeacherSettings = TeacherSettings()
    causal_init: CausalInitSettings = CausalInitSettings()
    intra_shot: SelfForcingSettings = SelfForcingSettings()
    inter_shot: InterShotSettings = InterShotSettings()
    student_pictures: StudentPicturesSettings = StudentPicturesSettings()
    student_decoder: StudentDecoderSettings = StudentDecoderSettings()
    judge: JudgeSettings = JudgeSettings()

    @property
    def films(self) -> Path | None:
        """The folder of shards made of films; None where stories are drawn."""
        return None if self.data == "drawn" else Path(self.data)

    @model_validator(mode="after")
    def _rolls_out_shots(self) -> Self:
        for name in ("causal_init", "intra_shot", "inter_shot"):
            if getattr(self, name).mixture.target != "shot":
                raise ValueError(f"{name}.mixture.target: 'still'; only the teacher learns from stills")
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        """Refuse what would only be found out hours later."""
        world, entries = self.world, self.causal_init.ode_steps
        if self.base is None and (self.films is not None or self.teacher.trained != "all"):
            raise ValueError(
                "base: none is given, but films (data) and teacher.trained=self-attention start from a "
                "trained model; name it"
            )
        if self.films is None and self.autoencoder.layout == "wan":
            raise ValueError(
                "autoencoder.layout: wan, but drawn stories are encoded with the light autoencoder; "
                "set data to a folder of films, or another layout"
            )
        clips = {"autoencoder": self.autoencoder.clip_frames, "decoder": self.decoder.clip_frames}
        for name, frames in {"world.shot_frames": world.shot_frames, **clips}.items():
            if (frames - 1) % 4 or frames > world.shot_frames:
                raise ValueError(
                    f"{name}: {frames} frames; give 1 + 4k, at most a shot's {world.shot_frames}"
                )
        if world.height % 16 or world.width % 16:
            raise ValueError(f"world: {world.height}x{world.width} pixels; give multiples of 16")
        if world.shots < 2:
            raise ValueError("world.shots: 1; a story needs a second shot to learn memory from")
        for step in self.student_timesteps:
            if not 1 <= step <= 1000 or (1000 - step) * entries % 1000:
                raise ValueError(
                    f"student_timesteps: {step} is no step of an ODE of causal_init.ode_steps={entries}; "
                    "give multiples of 1000 / ode_steps"
                )
        return self


def _override(tree: dict[str, Any], text: str) -> None:
    path, separator, value = text.partition("=")
    if not separator:
        raise RecipeError(f"Override {text!r} has no value: write name.of.setting=value.")
    *parents, last = path.strip().split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise RecipeError(f"Override {text!r}: {parent!r} is a single value and has nothing inside it.")
    try:
        tree[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        said = explain_yaml(error, value, ())
        raise RecipeError(f"Override {text!r} cannot be read: {said.sentence}") from error


def _known_names(model: type[BaseModel]) -> set[str]:
    names = set(model.model_fields)
    for field in model.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            names |= _known_names(field.annotation)
    return names


def _explain(error: ValidationError, source: str) -> str:
    known, lines = sorted(_known_names(Recipe)), []
    for mistake in error.errors():
        where = ".".join(str(part) for part in mistake["loc"])
        hint = ""
        if mistake["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(mistake["loc"][-1]), known, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            lines.append(f"  {where}: there is no such setting{hint}")
        else:
            lines.append(f"  {say_fault(mistake)}")
    return f"The recipe {source} cannot be used:\n" + "\n".join(lines)


def read_recipe(path: Path | str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply dotted overrides.

    Raises:
        RecipeError: naming every mistake, when the file or an override cannot be used.
    """
    path = find_file(Path(path), "recipes")
    try:
        text = path.read_text(encoding="utf-8")
        tree = yaml.safe_load(text)
    except FileNotFoundError:
        raise RecipeError(
            f"There is no recipe {path}; give a file, or a recipe that comes with the package: "
            f"{', '.join(shipped_names('recipes'))}."
        ) from None
    except yaml.YAMLError as error:
        said = explain_yaml(error, text, _known_names(Recipe))
        raise RecipeError(f"The recipe {path}:{said.line}: {said.sentence}") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"The recipe {path} is not UTF-8; save it with that encoding.") from error
    except OSError as error:
        raise RecipeError(f"The recipe {path} cannot be read ({error.strerror}); check the path.") from error
    if not isinstance(tree, dict):
        raise RecipeError(f"The recipe {path} is not a list of named settings, as `mini` is.")
    for text in overrides:
        _override(tree, text)
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        raise RecipeError(_explain(error, str(path))) from None
