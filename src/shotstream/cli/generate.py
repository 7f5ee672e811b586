"""`shotstream generate`: a story file becomes films, while a line tells how it goes."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from shotstream import __version__
from shotstream.media.story_folder import StoryFolder
from shotstream.story import ReferencePicture, Story, StoryWarning

if TYPE_CHECKING:
    from shotstream.loading.lora import Lora
    from shotstream.streaming.chunk import Chunk
    from shotstream.streaming.pipeline import ShotStreamPipeline

app = typer.Typer(add_completion=False)
console = Console(highlight=False, soft_wrap=True)


@app.command()
def generate(
    story_file: Annotated[Path, typer.Argument(metavar="STORY", help="Story file, YAML or JSON.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Folder; else out/<story's name>.")
    ] = None,
    model: Annotated[str, typer.Option(help="mini, a model folder, or a name on the hub.")] = "mini",
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**53 - 1, help="Instead of the story's seed.")
    ] = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option(metavar="PICTURE", help="Make the shots from this picture, too; may be repeated."),
    ] = None,
    shots: Annotated[str | None, typer.Option(metavar="A-B", help="Write these shots only.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    decoder: Annotated[
        str, typer.Option(help="full, or tiny: makes frames to watch sooner; files have the full one's.")
    ] = "full",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    text: Annotated[
        str, typer.Option(help="Where the text encoder lives: auto, resident, cpu, int8 or release.")
    ] = "auto",
    mode: Annotated[
        str, typer.Option(help="auto, plain, compiled (and fast attention), fast (8-bit layers, too).")
    ] = "auto",
    kv_cache: Annotated[
        str, typer.Option(help="auto, or float8: half the memory for keys and values.")
    ] = "auto",
    lora: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE[:SCALE]",
            help="Use a LoRA in shots that name none; `lora:` in a story calls it by its file's name. May be "
            "given again.",
        ),
    ] = None,
    scale: Annotated[str, typer.Option(metavar="auto|N", help="Enlarge the pictures N times.")] = "auto",
) -> None:
    """Generate a story: story.mp4, shots/NN.mp4, contact_sheet.png and story.json."""
    loras = name_loras(lora or [])
    story, notes = Story.read_with_notes(story_file, loras)
    for note in notes:
        console.print(f"[yellow]{escape(note)}[/yellow]")
    if reference:
        pictures = [ReferencePicture(picture=str(picture)) for picture in reference]
        story = story.model_copy(update={"references": [*story.references, *pictures]})
    first, last = parse_shots(shots, len(story.shots))
    story = story.model_copy(update={"shots": story.shots[:last]})
    if seed is not None:
        story = story.model_copy(update={"seed": seed})
    enlargement = parse_scale(scale)
    pipeline, facts = load(model, device, dtype, text)
    facts |= use_loras(pipeline, loras)
    facts |= apply_mode(pipeline, mode, kv_cache)
    with StoryFolder(output or Path("out") / story_file.stem, enlargement) as folder:
        folder.facts |= facts | {"title": story.title, "setting": story.setting, "seed": story.seed}
        folder.facts["decoder"] = decoder
        if first > 1:
            console.print(f"Shots 1-{first - 1} are made but not written: shot {first} remembers them.")
        finished = tell(pipeline, story, folder, first, decoder)
        if finished:  # not before: it reads all of the weights
            from shotstream.loading.hashes import hash_weights

            folder.facts["weights_sha256"] = hash_weights(pipeline.fetch(model))
    if not finished:
        console.print(f"[yellow]Stopped.[/yellow] {kept(folder)}")
        raise typer.Exit(130)
    console.print(f"Wrote {folder.folder}/: story.mp4, shots/, contact_sheet.png, story.json")


def tell(
    pipeline: ShotStreamPipeline, story: Story, folder: StoryFolder, first: int = 1, decoder: str = "full"
) -> bool:
    """Generate `story` into `folder`, from shot number `first` on (counted from 1), and show how it goes.

    Returns:
        False if Ctrl-C ended it early; what was made until then, in full quality, is in the folder.
    """
    pace = Pace()
    waiting: list[Chunk] = []
    try:
        with show_warnings(), console.status("starting") as status:
            for chunk in pace.watch(pipeline.stream(story, decoder=decoder)):
                status.update(
                    f"shot {chunk.shot + 1}/{len(story.shots)} · chunk {chunk.index + 1} · {pace.summary()}"
                )
                waiting.append(chunk)
                if chunk.last or chunk.full is None:
                    pace.wait(waiting)
                    write(waiting, folder, first)
                if chunk.last:
                    console.print(f"shot {chunk.shot + 1}/{len(story.shots)}  {escape(chunk.prompt)}")
    except KeyboardInterrupt:
        write(waiting, folder, first)
        left_out = sum(len(chunk.frames) for chunk in waiting if chunk.shot + 1 >= first)
        if left_out:
            console.print(f"Left out: the last {left_out} frames, not yet made in full quality.")
        pace.frames -= sum(len(chunk.frames) for chunk in waiting)
        return False
    finally:
        for chunk in waiting:
            if chunk.full is not None:
                chunk.full.cancel()  # or leaving would wait for it
        folder.facts |= pace.facts()
    console.print(pace.summary())
    return True


def write(chunks: list[Chunk], folder: StoryFolder, first: int = 1) -> None:
    """Take the chunks that are there in full quality off the list, and write those from shot `first` on."""
    while chunks and chunks[0].ready:
        chunk = chunks.pop(0)
        if chunk.shot + 1 >= first:
            folder.add(replace(chunk, frames=chunk.full_frames()))


@dataclass
class Pace:
    """How fast chunks come: the time of making them in full quality counts, not that of writing files."""

    frames: int = 0
    generating_seconds: float = 0.0
    first_frame_seconds: float = 0.0
    """From the start until the first frames can be shown."""
    fps: float = 0.0
    """Frames per second at which the film is shown."""

    def watch(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """Pass `chunks` on and measure the time that each took."""
        started = time.perf_counter()
        for chunk in chunks:
            self.generating_seconds += time.perf_counter() - started
            self.first_frame_seconds = self.first_frame_seconds or self.generating_seconds
            self.frames += len(chunk.frames)
            self.fps = chunk.fps
            yield chunk
            started = time.perf_counter()

    def wait(self, chunks: list[Chunk]) -> None:
        """Wait for chunks in full quality: the next shot needs them, so that this time counts too."""
        started = time.perf_counter()
        try:
            for chunk in chunks:
                chunk.full_frames()
        finally:
            self.generating_seconds += time.perf_counter() - started

    def facts(self) -> dict[str, float]:
        """First-frame time, frames per second, and how many times faster than the film is shown."""
        if not self.frames:
            return {}
        speed = self.frames / self.generating_seconds
        return {
            "first_frame_seconds": round(self.first_frame_seconds, 3),
            "frames_per_second": round(speed, 2),
            "times_real_time": round(speed / self.fps, 2),
        }

    def summary(self) -> str:
        """The facts in a line."""
        facts = self.facts()
        speed, times = facts["frames_per_second"], facts["times_real_time"]
        if speed < 1:
            pace = f"{self.generating_seconds / self.frames:.1f} s a frame"
        else:
            pace = f"{speed:.1f} frames/s ({times:.1f}x real time)"
        return f"{pace}, first frame after {facts['first_frame_seconds']:.2f} s"


def load(
    model: str, device_name: str, dtype_name: str = "auto", text_name: str = "auto"
) -> tuple[ShotStreamPipeline, dict[str, Any]]:
    """Load a model, and say what was chosen for a big one.

    Returns:
        The pipeline, and what story.json tells of it.

    Raises:
        ValueError: If there is no such model, device, number format or place for the text encoder.
    """
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    from shotstream.loading.hashes import count_weights, weight_files
    from shotstream.loading.text_source import choose_text_place
    from shotstream.machine.device import choose_device, choose_dtype
    from shotstream.streaming.pipeline import ShotStreamPipeline

    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    device = choose_device(device_name).value
    with console.status(f"loading {escape(model)}"):
        folder = ShotStreamPipeline.fetch(model)
        stored_bytes = sum(path.stat().st_size for path in weight_files(folder))
        dtype = choose_dtype(device, dtype_name, stored_bytes)
        text = choose_text_place(device, text_name, count_weights(folder) * dtype.value.itemsize)
        pipeline = ShotStreamPipeline.from_pretrained(folder, text=text.value, dtype=dtype.value).to(device)
    if text.value != "resident":
        console.print(f"computing in {str(dtype.value).removeprefix('torch.')}: {dtype.reason}")
        console.print(f"text encoder: {text.value}, {text.reason}")
    facts = {"device": str(device), "dtype": str(dtype.value), "text": text.value}
    return pipeline, {"shotstream": __version__, "model": model, **facts}


def name_loras(given: Sequence[str]) -> dict[str, Lora]:
    """Read what --lora says.

    Args:
        given: ``FILE`` or ``FILE:SCALE`` each.

    Returns:
        The LoRAs by the names that stories call them by.

    Raises:
        ValueError: If one cannot be understood, or two have one name.
    """
    if not given:
        return {}
    from shotstream.loading.lora import Lora
    from shotstream.streaming.adapters import adapter_name

    loras: dict[str, Lora] = {}
    for lora in map(Lora.parse, given):
        name = adapter_name(lora.path)
        if name in loras:
            raise ValueError(f"--lora gives two LoRAs called {name!r}; rename one of the files.")
        loras[name] = lora
    return loras


def use_loras(pipeline: ShotStreamPipeline, loras: Mapping[str, Lora]) -> dict[str, Any]:
    """Load LoRAs, and set the model to them.

    Returns:
        What story.json tells of them.

    Raises:
        ValueError: If one cannot be used.
    """
    if not loras:
        return {}
    for name, lora in loras.items():
        pipeline.load_lora_weights(lora.path, name)
    pipeline.set_adapters(list(loras), [lora.scale for lora in loras.values()])
    every = {use.name: use for use in pipeline.adapters.choose(loras)}
    return {
        "loras": [
            {"name": name, "file": str(lora.path), "sha256": every[name].sha256, "scale": lora.scale}
            for name, lora in loras.items()
        ]
    }


def apply_mode(pipeline: ShotStreamPipeline, mode: str, kv_cache: str) -> dict[str, Any]:
    """Choose the ways to compute, and say why.

    Returns:
        What story.json tells of them.

    Raises:
        ValueError: If there is no such mode or cache.
    """
    import torch

    from shotstream.streaming.speed import MODES, choose_mode, prepare

    if kv_cache not in ("auto", "float8"):
        raise ValueError(f"--kv-cache is {kv_cache!r}; give auto or float8.")
    pipeline.cache_dtype = torch.float8_e4m3fn if kv_cache == "float8" else None
    with console.status("choosing the fastest ways to compute"):
        chosen = prepare(pipeline, MODES[choose_mode(mode, pipeline._execution_device).value])
    for what, choice in chosen:
        console.print(f"{what}: {choice.value} ({choice.reason})")
    return {"kv_cache": kv_cache, "computing": {what: choice.value for what, choice in chosen}}


@contextmanager
def show_warnings() -> Iterator[None]:
    """Print what sessions and weight files warn of, such as unknown words, as it comes."""
    from shotstream.loading.weight_files import CheckpointWarning
    from shotstream.streaming.session import PromptWarning

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        console.print(f"[yellow]{escape(str(message))}[/yellow]")

    with warnings.catch_warnings():
        for kind in (PromptWarning, StoryWarning, CheckpointWarning):
            warnings.simplefilter("always", kind)
        warnings.showwarning = show
        yield


def kept(folder: StoryFolder) -> str:
    """Say what an interrupted generation left."""
    if not folder.shots:
        return "Nothing was made yet, so nothing is kept."
    frames = sum(shot["frames"] for shot in folder.shots)
    whole = sum(shot["complete"] for shot in folder.shots)
    return f"Kept in {folder.folder}/: {frames} frames, {whole} whole shots of {len(folder.shots)} begun."


def parse_shots(text: str | None, count: int) -> tuple[int, int]:
    """Read a range such as "2-4" or "3"; None means all.

    Returns:
        First and last shot, counted from 1, both included.

    Raises:
        ValueError: If the range is not one of a story with `count` shots.
    """
    if text is None:
        return 1, count
    match = re.fullmatch(r"([0-9]{1,6})(?:-([0-9]{1,6}))?", text)
    if not match:
        raise ValueError(f"--shots is {text!r}, which is not a range; write for example 2-4, or 3.")
    first, last = int(match[1]), int(match[2] or match[1])
    if not 1 <= first <= last <= count:
        raise ValueError(f"--shots is {text}, but the story has shots 1-{count}; give a range of those.")
    return first, last


def parse_scale(text: str) -> int | None:
    """Read "auto" (None) or a whole number from 1 to 16.

    Raises:
        ValueError: If it is neither.
    """
    if text == "auto":
        return None
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 16:
        raise ValueError(f"--scale is {text!r}; give auto or a whole number from 1 to 16.")
    return int(text)
