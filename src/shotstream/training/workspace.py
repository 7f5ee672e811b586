"""The folder of a training life: what each stage needs, made when first asked for, in runs/NAME."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import torch
import yaml
from torch import nn
from transformers import PreTrainedTokenizerFast

from shotstream.data.drawn import DrawnStories, write_frames, write_latents
from shotstream.data.film_shards import ClipFormat, check_captions, embeds_captions, encoder_hash, open_films
from shotstream.data.next_shot import NextShots
from shotstream.data.shards import Shards
from shotstream.loading.folders import load_errors
from shotstream.loading.text_source import load_text_encoder
from shotstream.machine.cluster import Cluster
from shotstream.machine.remote_folder import RemoteFolder, plain_address
from shotstream.media.files import whole_folder
from shotstream.models.autoencoder import VideoAutoencoder
from shotstream.models.autoencoder_tiny import TinyVideoAutoencoder
from shotstream.models.text import CaptionEncoder
from shotstream.models.transformer import CausalWanTransformer3DModel
from shotstream.streaming.pipeline import ShotStreamPipeline
from shotstream.training.autoencoder import AutoencoderStage, new_autoencoder
from shotstream.training.captions import CaptionsStage
from shotstream.training.causal_init import CausalInitStage, PairRecorder, record_pairs
from shotstream.training.checkpoint_copies import CheckpointCopies
from shotstream.training.denoiser import Denoiser
from shotstream.training.distributed import SINGLE_PROCESS, ProcessGroup
from shotstream.training.fresh_networks import check_base, make_captions, make_schedule, make_transformer
from shotstream.training.judge import JudgeStage
from shotstream.training.judge_pictures import Remaker
from shotstream.training.loop import train
from shotstream.training.run import RunFolder
from shotstream.training.self_forcing import SelfForcingStage, own_history, true_history
from shotstream.training.settings import CausalInitSettings, PictureSettings, Recipe, StageSettings
from shotstream.training.stage import Stage
from shotstream.training.student_decoder import StudentDecoderStage
from shotstream.training.student_latents import write_student_latents
from shotstream.training.student_pictures import StudentPicturesStage
from shotstream.training.teacher import TeacherStage
from shotstream.world.judge import Judge
from shotstream.world.sampler import Split
from shotstream.world.world_form import world_form

AnyNetwork = TypeVar("AnyNetwork", bound=nn.Module)
SPLITS: tuple[Split, Split] = ("train", "held-out")
STAGES = (
    "captions",
    "autoencoder",
    "decoder",
    "teacher",
    "causal-init",
    "intra-shot",
    "inter-shot",
    "student-pictures",
    "student-decoder",
    "judge",
)
"""In the order they are run; `decoder` and `judge` only need `autoencoder` and can run beside the others."""

SMALL_STAGES = ("captions", "autoencoder", "decoder", "student-pictures", "student-decoder", "judge")
"""Small enough for one process; where there are several, the others wait."""

BASE_STAGES = ("captions", "autoencoder", "decoder")
"""What a base has brought already."""

STAGES_OF_DRAWINGS = ("student-pictures", "student-decoder", "judge")
"""They compare with what was drawn, or ask what it shows; films say neither."""

STUDENT_STAGES = ("causal-init", "intra-shot", "inter-shot", "student-pictures")
"""Those that make the student, each from the one before."""


def stages_of(recipe: Recipe) -> tuple[str, ...]:
    """Return the stages of a recipe, in the order they are run."""
    left_out: set[str] = set(BASE_STAGES if recipe.base is not None else ())
    if recipe.decoder.of_base:
        left_out.discard("decoder")
    if recipe.films is not None:
        left_out.update(STAGES_OF_DRAWINGS)
    return tuple(stage for stage in STAGES if stage not in left_out)


class MissingStageError(ValueError):
    """A stage needs what an earlier one makes."""


class Workspace:
    """A recipe and its run folder; `run` trains a stage, `save_pipeline` puts the parts together.

    Args:
        recipe: The recipe.
        folder: Its run folder.
        device: What trains.
        world: The processes that train together.
        checkpoints: Address where checkpoints and what finished stages export are kept as well, in a folder
            of the recipe's name.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        device: torch.device,
        world: ProcessGroup = SINGLE_PROCESS,
        checkpoints: str | None = None,
    ):
        self.recipe, self.folder, self.device, self.world = recipe, folder, device, world
        self._checkpoints = None if checkpoints is None else plain_address(checkpoints)
        self._fetched: dict[str, str] = {}
        self._opened: dict[Split, NextShots] = {}

    def run(self, name: str) -> Path:
        """Train a stage (or go on with it) and return where its networks were exported."""
        self.check(name)
        if name in SMALL_STAGES and self.world.size > 1:
            if self.world.writes:
                Workspace(self.recipe, self.folder, self.device, checkpoints=self._checkpoints).run(name)
            self.world.wait()
        elif not self.world.any(self.was_fetched(name)):
            stage = self.stage(name)
            train(stage, RunFolder(self.folder / name, stage.settings, self.world, self.copies(name)))
        return self.folder / name / "export"

    def fetch(self) -> list[str]:
        """Bring what finished stages have exported, as far as copies are kept and it is missing here.

        Returns:
            Names of the stages.

        Raises:
            RemoteError: If copies cannot be read or written.
        """
        if self._checkpoints is None:
            return []
        RemoteFolder(self._checkpoints).check()
        for name in stages_of(self.recipe):
            if (copies := self.copies(name)) and (settings := copies.fetch_export()) is not None:
                self._fetched[name] = settings
        return list(self._fetched)

    def copies(self, stage: str) -> CheckpointCopies | None:
        """Where checkpoints of a stage are kept as well; None if nowhere."""
        address = self._checkpoints
        if address is None:
            return None
        return CheckpointCopies(f"{address}/{self.recipe.name}", self.folder / stage)

    def was_fetched(self, stage: str) -> bool:
        """Whether a stage was finished elsewhere with the settings that it has here, and is here now."""
        if stage not in self._fetched:
            return False
        settings = getattr(self.recipe, stage.replace("-", "_")).model_dump(mode="json")
        return yaml.safe_load(self._fetched[stage]) == settings

    def stage(self, name: str) -> Stage:
        """Build a stage as it begins, with what earlier stages have made; the same every time."""
        builders: dict[str, tuple[StageSettings, Callable[[], Stage]]] = {
            "captions": (self.recipe.captions, self._learn_captions),
            "autoencoder": (self.recipe.autoencoder, self._learn_autoencoder),
            "decoder": (self.recipe.decoder, self._learn_decoder),
            "teacher": (self.recipe.teacher, self._learn_next_shot),
            "causal-init": (self.recipe.causal_init, self._learn_causally),
            "intra-shot": (self.recipe.intra_shot, self._learn_from_own_shots),
            "inter-shot": (self.recipe.inter_shot, self._learn_from_own_stories),
            "student-pictures": (self.recipe.student_pictures, self._learn_from_pictures),
            "student-decoder": (self.recipe.student_decoder, self._learn_to_draw),
            "judge": (self.recipe.judge, self._learn_to_judge),
        }
        settings, build = builders[name]
        torch.manual_seed(settings.loop.seed)  # new networks start from it
        return build()

    def check(self, name: str) -> None:
        """Complain if a stage cannot be run.

        Raises:
            ValueError: If the recipe has no such stage, or names an earlier run that is not there.
        """
        recipe = self.recipe
        if recipe.earlier is not None and not recipe.earlier.is_dir():
            raise ValueError(
                f"There is no earlier run {recipe.earlier}; name its folder, or leave earlier out."
            )
        if name not in stages_of(recipe):
            raise ValueError(
                f"The recipe {recipe.name} has no stage {name}: "
                + (
                    "it learns from drawn stories, whose pictures and attributes are known, not from films."
                    if name in STAGES_OF_DRAWINGS
                    else f"its base {recipe.base} brings what that stage would make."
                )
            )

    def _learn_captions(self) -> Stage:
        text = make_captions(self.recipe)
        self._placed(text.text_encoder)
        return CaptionsStage(self.recipe.captions, text)

    def _learn_autoencoder(self) -> Stage:
        settings, drawn = self.recipe.autoencoder, self.drawn("train")
        network = self._placed(new_autoencoder(settings, drawn))
        return AutoencoderStage(settings, network, drawn, self.drawn("held-out"))

    def _learn_decoder(self) -> Stage:
        if self._base is None:
            network = self._autoencoder("autoencoder")
        else:
            network = self._placed(deepcopy(self._light_autoencoder)).float().requires_grad_(True)
        return AutoencoderStage(self.recipe.decoder, network, self.drawn("train"), self.drawn("held-out"))

    def _learn_next_shot(self) -> Stage:
        denoiser = self._new_denoiser()
        data, validation = (self.next_shots(split, denoiser.text) for split in SPLITS)
        return TeacherStage(self.recipe.teacher, denoiser, data, validation, self.autoencoder)

    def record_on(self, cluster: Cluster) -> None:
        """Record the states that causal initialisation learns from on a cluster that sees this folder."""
        make = partial(_recorder, self.recipe.model_dump_json(), self.folder, cluster.device)
        with cluster.workers(make) as processes:
            record_pairs(self._place("pairs"), *self.recording(), processes)

    def recording(self) -> tuple[Denoiser, NextShots, CausalInitSettings]:
        """Whose ODE is recorded, of which stories, and how."""
        teacher = self.denoiser("teacher")
        return teacher, self.next_shots("train", teacher.text), self.recipe.causal_init

    def _learn_causally(self) -> Stage:
        teacher = self.denoiser("teacher")
        student = self.denoiser("teacher", teacher.text)
        data, validation = (self.next_shots(split, teacher.text) for split in SPLITS)
        settings = self.recipe.causal_init
        with self.world.in_turn():
            pairs = record_pairs(self._place("pairs"), teacher, data, settings)
        return CausalInitStage(settings, student, pairs, data, validation, self.autoencoder)

    def _learn_from_own_shots(self) -> Stage:
        settings = self.recipe.intra_shot
        roles = self._roles("causal-init")
        data, validation = (self.next_shots(split, roles[0].text) for split in SPLITS)
        history = true_history(data, settings)
        return SelfForcingStage("intra-shot", settings, *roles, history, validation, self.autoencoder)

    def _learn_from_own_stories(self) -> Stage:
        settings, autoencoder = self.recipe.inter_shot, self.autoencoder
        roles = self._roles(settings.start)
        data, validation = (self.next_shots(split, roles[0].text) for split in SPLITS)
        history = own_history(data, settings, roles[0], autoencoder)
        return SelfForcingStage("inter-shot", settings, *roles, history, validation, autoencoder)

    def _learn_from_pictures(self) -> Stage:
        settings, before = self.recipe.student_pictures, self._student_before("student-pictures")
        student = self._student_of(before)
        data, validation = (self.next_shots(split, student.text) for split in SPLITS)
        drawn, made = self.drawn("train"), self._told(before, student, data, settings)
        return StudentPicturesStage(settings, student, self._light_autoencoder, drawn, data, made, validation)

    def _learn_to_draw(self) -> Stage:
        settings, last = self.recipe.student_decoder, self._student_before()
        student = self._student_of(last)
        data, drawn = self.next_shots("train", student.text), self.drawn("train")
        made = self._told(last, student, data, settings)
        network = self._placed(deepcopy(self._light_autoencoder)).float().requires_grad_(True)
        return StudentDecoderStage(settings, network, drawn, data, made)

    def _told(
        self, stage: str | None, student: Denoiser, data: NextShots, settings: PictureSettings
    ) -> Shards:
        """Drawn stories as the student of a stage tells them, or the base's."""
        stories = min(settings.stories, len(self.drawn("train")), len(data.records))
        folder = self._place(f"told-by-{stage or 'base'}")
        return write_student_latents(folder, student, data, stories, settings.loop.seed)

    def _learn_to_judge(self) -> Stage:
        settings = self.recipe.judge
        judge = Judge(
            settings.height, settings.width, settings.frame_step, settings.widths, settings.features
        )
        if settings.start is not None:
            with load_errors(settings.start):
                judge.load_state_dict(Judge.from_pretrained(settings.start).state_dict())
        remaker = None
        if settings.remade_fraction:
            if self._base is None:
                raise ValueError("judge.remade_fraction needs a model that remakes shots: give base=mini.")
            remaker = Remaker(self._base, self.autoencoder)
        held_out = self.drawn("held-out")
        drawn = held_out if settings.fresh else self.drawn("train")
        world = self.recipe.world
        return JudgeStage(
            settings, self._placed(judge).train(), drawn, held_out, self.autoencoder, world, remaker
        )

    def drawn(self, split: Split) -> Shards:
        """Drawn frames of a split, from which the autoencoder learns."""
        stories = self._stories(split)
        few = replace(stories, stories=min(stories.stories, self.recipe.world.drawn_stories))
        return write_frames(self._place(f"drawn-{split}"), few)

    def next_shots(self, split: Split, text: CaptionEncoder) -> NextShots:
        """Encoded stories of a split, from which the generator learns, their captions in tokens of `text`.

        They are opened once: on a GPU that takes seconds.
        """
        if split not in self._opened:
            self._opened[split] = self._open_stories(split, text)
        return self._opened[split]

    def _open_stories(self, split: Split, text: CaptionEncoder) -> NextShots:
        budget, autoencoder = self.recipe.world.context_frames, self.autoencoder
        if self.recipe.films is not None:
            latents = self._film_latents(self.recipe.films, split)
        else:
            folder = self._place(f"latents-{split}")
            with self.world.in_turn():
                latents = write_latents(folder, self._stories(split), self._light_autoencoder, budget)
        template, pads = self.recipe.caption_template, self.recipe.teacher.network.pad_context
        return NextShots(
            latents,
            text.tokenize,
            template,
            budget,
            shot_frames=self.recipe.world.shot_frames,
            temporal_ratio=autoencoder.temporal_ratio,
            pad_context=pads,
            device=self.device,
        )

    def _film_latents(self, films: Path, split: Split) -> Shards:
        """Stories cut from films, which were encoded for the recipe's base."""
        world, autoencoder = self.recipe.world, self.autoencoder
        wanted = ClipFormat(
            height=world.height,
            width=world.width,
            fps=world.fps,
            shot_frames=world.shot_frames,
            chunk_frames=self.recipe.teacher.network.chunk_frames,
            context_frames=world.context_frames,
            temporal_ratio=autoencoder.temporal_ratio,
        )
        shards = open_films(films, split, wanted, encoder_hash(autoencoder))
        if self._captions_embedded:
            check_captions(
                shards, self.recipe.caption_template, ShotStreamPipeline.fetch(str(self.recipe.base))
            )
        return shards

    @property
    def _captions_embedded(self) -> bool:
        """Whether films bring embeddings of their captions; the text encoder then stays on the CPU."""
        films = self.recipe.films
        return films is not None and embeds_captions(films)

    def _stories(self, split: Split) -> DrawnStories:
        world = self.recipe.world
        return DrawnStories(
            split=split,
            stories=world.stories if split == "train" else world.validation_stories,
            shots=world.shots,
            frames=world.shot_frames,
            height=world.height,
            width=world.width,
            fps=world.fps,
        )

    @property
    def autoencoder(self) -> VideoAutoencoder:
        """The trained autoencoder, with the decoder that has learnt longest; the base's if there is one."""
        if self._base is not None and not (self.recipe.decoder.of_base and self.finished("decoder")):
            self._placed(self._base.vae).eval().requires_grad_(False)
            return self._base.autoencoder
        last = "decoder" if self.finished("decoder") else "autoencoder"
        return self._autoencoder(last).eval().requires_grad_(False)

    @property
    def _autoencoder_network(self) -> nn.Module:
        if self.finished("student-decoder"):
            return self._autoencoder("student-decoder")
        if self._base is None or self.recipe.decoder.of_base:
            return self._light_autoencoder
        return self._base.vae

    @property
    def _light_autoencoder(self) -> TinyVideoAutoencoder:
        autoencoder = self.autoencoder
        if isinstance(autoencoder, TinyVideoAutoencoder):
            return autoencoder
        raise ValueError(
            f"The base {self.recipe.base} has Wan's autoencoder, with which drawn stories are not "
            "encoded; give a base with the light one, such as a model that a mini recipe exported, or films."
        )

    def _autoencoder(self, stage: str) -> TinyVideoAutoencoder:
        folder = self._exported(stage)
        with load_errors(folder):
            return self._placed(TinyVideoAutoencoder.from_pretrained(folder))

    def _roles(self, student: str) -> tuple[Denoiser, Denoiser, Denoiser]:
        """Student, teacher and critic of self-forcing; their frozen caption encoder is one."""
        teacher = self.denoiser("teacher")
        return self.denoiser(student, teacher.text), teacher, self.denoiser("teacher", teacher.text)

    def denoiser(self, name: str, text: CaptionEncoder | None = None) -> Denoiser:
        """The trained generator of a stage; its caption encoder is `text`, or the teacher's loaded anew."""
        folder = self._exported(name) / "transformer"
        with load_errors(folder):
            transformer = self._placed(CausalWanTransformer3DModel.from_pretrained(folder))
        schedule, negative_prompt = make_schedule(self.recipe), self.recipe.negative_prompt
        return Denoiser(transformer, text or self._trained_text(), schedule, negative_prompt)

    def _place(self, name: str) -> Path:
        """Where a stage or data are: in this run's folder, or where only an earlier run has them, there."""
        own, earlier = self.folder / name, self.recipe.earlier
        return own if own.exists() or earlier is None or not (earlier / name).exists() else earlier / name

    def finished(self, name: str) -> bool:
        """Whether a stage has been trained to its end, here or in the earlier run."""
        return (self._place(name) / "export").exists()

    def _exported(self, name: str) -> Path:
        folder = self._place(name) / "export"
        if not folder.exists():
            raise MissingStageError(
                f"Stage {name} has not been finished in {self.folder}; "
                f"run 'shotstream train {name} ...' first."
            )
        return folder

    def _placed(self, network: AnyNetwork) -> AnyNetwork:
        """Move a network to the device of this workspace; convolutions in 2D run faster channels last."""
        nn.Module.to(network, self.device)
        if isinstance(network, TinyVideoAutoencoder):
            for parameter in network.parameters():
                if parameter.ndim == 4:
                    parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        return network

    def _trained_text(self) -> CaptionEncoder:
        """The frozen caption encoder with the vocabulary it was trained with: trained here, or the base's."""
        length, base = self.recipe.teacher.network.text_length, self._base
        if base is not None:
            encoder = base.text_encoder.requires_grad_(False)
            if not self._captions_embedded:
                self._placed(encoder)
            return CaptionEncoder(base.tokenizer, encoder, length)
        folder = self._exported("captions")
        with load_errors(folder):
            tokenizer = PreTrainedTokenizerFast.from_pretrained(folder / "tokenizer")
            encoder = load_text_encoder(folder / "text_encoder").eval().requires_grad_(False)
        return CaptionEncoder(tokenizer, self._placed(encoder), length)

    def _new_denoiser(self) -> Denoiser:
        """What the teacher starts from: the base's transformer or a fresh one; text encoders are frozen."""
        recipe, base, text = self.recipe, self._base, self._trained_text()
        if base is None:
            transformer = make_transformer(recipe, self.autoencoder)
        else:
            transformer = deepcopy(base.transformer).train()
            check_base(recipe, transformer, self.autoencoder)
        self._placed(transformer)
        return Denoiser(transformer, text, make_schedule(recipe), recipe.negative_prompt)

    @cached_property
    def _base(self) -> ShotStreamPipeline | None:
        return None if self.recipe.base is None else ShotStreamPipeline.from_pretrained(self.recipe.base)

    @property
    def student(self) -> Denoiser:
        """The student of the last finished stage; without any, the base's."""
        return self._student_of(self._student_before())

    def _student_before(self, stage: str | None = None) -> str | None:
        """The last finished stage of the student, of those before a stage; None if there is none."""
        before = STUDENT_STAGES[: STUDENT_STAGES.index(stage)] if stage else STUDENT_STAGES
        return next((name for name in reversed(before) if self.finished(name)), None)

    def _student_of(self, stage: str | None) -> Denoiser:
        """The student as a stage left it; without one, the base's."""
        if stage is None and self._base is not None:
            return self._new_denoiser()
        return self.denoiser(stage or STUDENT_STAGES[0])

    def _prompt_form(self, text: CaptionEncoder) -> dict[str, Any] | None:
        """The form of the student's prompts: its base's, or the drawn world's if it knows its words."""
        if self._base is not None:
            return self._base.config["prompt_form"]
        known = text.known_words()
        form = None if known is None else world_form(known)
        if form is None or not form.figure_slot.values:
            return None
        return form.model_dump(mode="json", exclude_defaults=True)

    def save_pipeline(self) -> Path:
        """Put the finished parts together in float16 as a model folder, and return it."""
        world, student = self.recipe.world, self.student
        pipeline = ShotStreamPipeline(
            transformer=student.transformer,
            vae=self._autoencoder_network,
            text_encoder=student.text.text_encoder,
            tokenizer=student.text.tokenizer,
            scheduler=make_schedule(self.recipe),
            fps=world.fps,
            height=world.height,
            width=world.width,
            caption_template=self.recipe.caption_template,
            prompt_form=self._prompt_form(student.text),
        )
        for part in (pipeline.transformer, pipeline.vae, pipeline.text_encoder):
            nn.Module.to(
                part, "cpu", torch.float16
            )  # theirs warn that it could not run so, which it need not
        with whole_folder(self.folder / "model") as folder:
            pipeline.save_pretrained(folder)
        return self.folder / "model"


def _recorder(recipe: str, folder: Path, device: str) -> PairRecorder:
    return PairRecorder(
        *Workspace(Recipe.model_validate_json(recipe), folder, torch.device(device)).recording()
    )
