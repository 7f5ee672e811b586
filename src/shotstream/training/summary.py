"""What a person is told when a stage begins: in a few lines what is trained, on what, how long, and where."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shotstream.data.mixture import Mixture
from shotstream.training.estimate import estimate
from shotstream.training.run import flatten
from shotstream.training.settings import Lesson, Recipe, Section, TeacherSettings

STAGES_OF_FRAMES = ("autoencoder", "decoder", "student-pictures", "student-decoder", "judge")
"""Those that learn from drawn frames; the others, `captions` apart, learn from latents."""

STEPS = ("loop.steps", "loop.batch", "loop.seconds")
"""Settings that have a line of their own."""


def summarise(recipe: Recipe, stage: str, folder: Path, devices: int = 1) -> Iterator[str]:
    """Describe a stage that is about to begin.

    Args:
        recipe: The recipe.
        stage: One of its stages.
        folder: The run folder.
        devices: How many train together.

    Yields:
        Lines.

    Raises:
        TrainingError: If the devices cannot share a batch equally.
    """
    told = estimate(recipe, stage, devices)
    world, settings, place = recipe.world, told.settings, folder / stage
    yield f"{stage}, a stage of the recipe {recipe.name}"
    yield f"  model: {_model(recipe, stage)}"
    for role, (count, learning) in told.parameters.items():
        learns = {0: "frozen", count: "all learn"}.get(learning, f"{learning / 1e6:.2f} M of them learn")
        yield f"  {role}: {count / 1e6:.2f} M parameters, {learns}"
    if stage != "captions":
        seconds = world.shot_frames / world.fps
        yield (
            f"  sizes: {world.width}x{world.height} pixels, {world.fps:g} frames per second, "
            f"shots of {world.shot_frames} frames ({seconds:.1f} s)"
        )
    yield f"  data: {_data(recipe, stage)}"
    yield f"  steps: {_steps(settings)}" + (f", shared by {told.devices} devices" if told.devices > 1 else "")
    changed = [f"{name}={_short(value)}" for name, value in changed_settings(settings).items()]
    yield f"  differs from the defaults: {', '.join(changed) or 'nothing'}"
    if recipe.earlier is not None:
        yield f"  earlier stages: those of {recipe.earlier}, where {folder} has none"
    begun = (place / "settings.yaml").exists()
    yield f"  goes on in: {place}" if begun else f"  writes to: {place}"


def changed_settings(settings: Section) -> dict[str, Any]:
    """Dotted names and values of the settings that differ from the defaults of their kind.

    How many steps there are, and of how many samples, is left out.
    """
    plain = type(settings)()
    if isinstance(settings, TeacherSettings):
        lessons = {
            name: lesson.model_copy(update={"mixture": Mixture()})
            for name, lesson in settings.curriculum.items()
        }
        plain = plain.model_copy(update={"curriculum": lessons})
    defaults, now = (flatten(one.model_dump(mode="json")) for one in (plain, settings))
    return {name: value for name, value in now.items() if name not in STEPS and value != defaults[name]}


def _model(recipe: Recipe, stage: str) -> str:
    network = recipe.teacher.network
    if stage in STAGES_OF_FRAMES:
        return {"judge": "the judge"}.get(stage, f"the autoencoder, {recipe.autoencoder.layout}")
    if stage == "captions":
        return f"the caption encoder, {network.text_layers} layers of {network.text_width}"
    sizes = f"{network.layers} blocks of {network.heads} heads of {network.head_size}"
    start = {
        "teacher": recipe.base or "random weights",
        "causal-init": "the teacher",
        "intra-shot": "the student of causal-init",
        "inter-shot": f"the student of {recipe.inter_shot.start}",
    }[stage]
    return f"{sizes}; begins as {start}"


def _data(recipe: Recipe, stage: str) -> str:
    world = recipe.world
    if stage == "captions":
        return "captions of drawn stories, made as they are needed"
    if recipe.films is not None:
        return f"films in {recipe.films}"
    stories = min(world.stories, world.drawn_stories) if stage in STAGES_OF_FRAMES else world.stories
    return f"{stories} drawn stories of {world.shots} shots"


def _steps(settings: Any) -> str:
    if isinstance(settings, TeacherSettings) and settings.curriculum:
        return ", then ".join(f"{_lesson(one)} ({name})" for name, one in settings.curriculum.items())
    loop = settings.loop
    return _lesson(Lesson(steps=loop.steps, batch=loop.batch, seconds=loop.seconds))


def _lesson(lesson: Lesson) -> str:
    within = f" in at most {lesson.seconds:g} s" if lesson.seconds is not None else ""
    return f"{lesson.steps} of {lesson.batch} samples{within}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
