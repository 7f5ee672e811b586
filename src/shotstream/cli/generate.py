"""`shotstream generate`: a story file becomes films, while a line tells how it goes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn

from shotstream import __version__
from shotstream.cli.shared.adapting import Adapt, AdapterModel, AdapterUrl, Check, adapt_and_check
from shotstream.cli.shared.console import console, show_warnings
from shotstream.cli.shared.loras import Loras, name_loras, read_loras, use_loras
from shotstream.cli.shared.model import (
    KvCacheFormat,
    MemoryRuleName,
    apply_mode,
    check_choices,
    load,
    set_memory_rule,
)
from shotstream.loading.folders import PictureSizes, fetch_configs, locate_model, read_sizes
from shotstream.loading.lora_files import Lora
from shotstream.media.documents import Location
from shotstream.media.files import claimed
from shotstream.media.pictures import read_picture
from shotstream.media.sounds import MOST_SOUND_SECONDS, SoundError, read_sound
from shotstream.media.story_folder import StoryFolder, as_asked, choose_folder, read_record, refuse_other
from shotstream.story import ReferencePicture, Story
from shotstream.streaming.timing import check_picture_size

if TYPE_CHECKING:
    from shotstream.streaming.best_take import TakeRule
    from shotstream.streaming.chunk import Chunk
    from shotstream.streaming.pipeline import ShotStreamPipeline
    from shotstream.streaming.story_writer import StoryWriter

app = typer.Typer(add_completion=False)

PictureSide = Annotated[
    int | None, typer.Option(min=16, max=4096, help="Of the pictures; instead of the story's.")
]
FilmHeight = Annotated[
    str, typer.Option(metavar="auto|PIXELS", help="Of the films; pictures are scaled to it (Lanczos).")
]
BestOf = Annotated[
    int,
    typer.Option(min=1, max=99, help="Make so many takes of a shot; the one that goes on best stands."),
]
MinContinuity = Annotated[
    float | None, typer.Option(min=0, max=1, help="Make more takes of a shot while none goes on so well.")
]
MostTries = Annotated[int, typer.Option(min=1, max=99, help="Most takes of a shot, with --min-continuity.")]


@app.command()
def generate(
    story_file: Annotated[
        Path, typer.Argument(metavar="STORY", help="Story file (YAML or JSON), or the name of an example.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="DIR", help="Folder; else out/<story's name>, or the next that is free."
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Fail where no film was stopped; one that was goes on without this, too."
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace whatever story the folder holds.")
    ] = False,
    model: Annotated[str, typer.Option(help="mini, a model folder, or a name on the hub.")] = "mini",
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**53 - 1, help="Instead of the story's seed.")
    ] = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option(metavar="PICTURE", help="Make the shots from this picture, too; may be repeated."),
    ] = None,
    shots: Annotated[str | None, typer.Option(metavar="A-B", help="Write these shots only.")] = None,
    height: PictureSide = None,
    width: PictureSide = None,
    film_height: FilmHeight = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    decoder: Annotated[
        str, typer.Option(help="full, or tiny: shows frames sooner; files are the full one's.")
    ] = "full",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    text: Annotated[
        str, typer.Option(help="Where the text encoder lives: auto, resident, cpu, int8 or release.")
    ] = "auto",
    mode: Annotated[
        str, typer.Option(help="auto, plain, compiled (and fast attention), fast (8-bit layers, too).")
    ] = "auto",
    kv_cache: KvCacheFormat = "auto",
    memory_rule: MemoryRuleName = "auto",
    best_of: BestOf = 1,
    min_continuity: MinContinuity = None,
    most_tries: MostTries = 4,
    lora: Loras = None,
    adapt: Adapt = False,
    adapter: AdapterUrl = None,
    adapter_model: AdapterModel = None,
    check: Check = False,
) -> None:
    """Generate a story: story.mp4, shots/NN.mp4, contact_sheet.png and story.json.

    Ctrl-C, or any other end, loses nothing: the same command goes on, and the film is the same.
    """
    if resume and overwrite:
        raise ValueError("--resume goes on with what --overwrite would remove; give one of them.")
    check_choices(dtype=dtype, text=text, mode=mode, kv_cache=kv_cache, decoder=decoder)
    check_choices(memory_rule=memory_rule)
    loras, given = name_loras(lora or []), {"seed": seed, "height": height, "width": width}
    story = read_story(story_file, loras, reference or [], given, locate_model(model))
    story = adapt_and_check(story, locate_model(model), adapter, adapter_model, adapt=adapt, check=check)
    rule = choose_rule(best_of, min_continuity, most_tries)
    asked = {"dtype": dtype, "text": text, "mode": mode, "kv_cache": kv_cache, "lora": " ".join(lora or [])}
    asked |= {} if memory_rule == "auto" else {"memory_rule": memory_rule}
    asked |= {"takes": asdict(rule)} if rule else {}
    wanted = {"shots": parse_shots(shots, len(story.shots)), "film_height": parse_film_height(film_height)}
    place = output or Path("out") / story_file.stem
    check_place(place, None if overwrite or not output else story, asked | wanted, resume=resume)
    made_with = {"shotstream": __version__, **asked, **describe(model, device)}
    if output is None and not overwrite:
        place = choose_folder(place, story, made_with, **wanted)
    folder = StoryFolder(place, story, made_with, overwrite=overwrite, **wanted)
    try:
        with folder:
            if folder.whole:
                console.print(
                    f"{place}/ holds this film already, whole; --overwrite makes it anew.", markup=False
                )
                return
            if resume and not folder.goes_on:
                raise ValueError(_nothing_begun(place))
            adapters = read_loras(loras)
            pipeline, facts = load(model, device, dtype, text)
            set_memory_rule(pipeline, memory_rule)
            size = pipeline.picture_size(story.height, story.width)
            facts |= use_loras(pipeline, loras, adapters) | apply_mode(pipeline, mode, kv_cache, *size)
            note_facts(folder, facts | {"decoder": decoder, "height": size[0], "width": size[1]})
            tell(pipeline, story, folder, decoder, rule)
            from shotstream.loading.hashes import hash_weights  # only now: it reads all of them

            folder.facts["weights_sha256"] = hash_weights(pipeline.fetch(model))
    except KeyboardInterrupt as stop:
        again = "the same command" + (" without --overwrite" if overwrite else "")
        console.print(f"[yellow]Stopped.[/yellow] {escape(kept(folder))} {again} goes on.")
        raise typer.Exit(130) from stop
    console.print(f"Wrote {place}/: story.mp4, shots/, contact_sheet.png, story.json", markup=False)


def read_story(
    file: Path,
    loras: Mapping[str, Lora],
    references: Sequence[Path],
    given: Mapping[str, int | None],
    model: str,
) -> Story:
    """Read a story, print what was noted, and put in what the command line says instead.

    Args:
        file: The story file.
        loras: LoRAs that will be loaded, by name.
        references: Pictures that the command line adds.
        given: Seed, height and width that it gives instead of the story's.
        model: The model's folder, or its name on the hub.

    Raises:
        ValueError: If the story has mistakes, a picture is none, or the model cannot make its size.
    """
    for picture in references:
        read_picture(picture)
    sizes = read_sizes(fetch_configs(model))
    if sizes is not None and (given["height"] or given["width"]):
        check_picture_size(given["height"] or sizes.height, given["width"] or sizes.width, *sizes[2:])
    checks = [lost_pictures, lost_sounds, partial(wrong_size, sizes, given)]
    story, notes = Story.read_with_notes(file, loras, checks)
    for note in notes:
        console.print(f"[yellow]{escape(note)}[/yellow]")
    pictures = [ReferencePicture(picture=str(picture)) for picture in references]
    instead = {name: value for name, value in given.items() if value is not None}
    return story.model_copy(update={"references": [*story.references, *pictures], **instead})


def lost_pictures(story: Story) -> Iterator[tuple[Location, str]]:
    """Look for pictures of a story that cannot be used."""
    for location, picture in story.picture_places:
        try:
            read_picture(Path(picture))
        except ValueError as error:
            yield location, str(error).rstrip(".")


def lost_sounds(story: Story) -> Iterator[tuple[Location, str]]:
    """Look for sound files of a story that cannot be used."""
    for number, sound in enumerate(story.sounds):
        path = Path(sound.sound)
        try:
            read_sound(path, MOST_SOUND_SECONDS)
        except OSError as error:
            yield ("sounds", number, "sound"), f"{path} cannot be read: {error.strerror or error}"
        except SoundError as error:
            yield ("sounds", number, "sound"), f"{path}: {error}".rstrip(".")


def wrong_size(
    sizes: PictureSizes | None, given: Mapping[str, int | None], story: Story
) -> Iterator[tuple[Location, str]]:
    """Look whether a model can make a story's pictures; what the command line gives counts first."""
    if sizes is None:
        return
    height, width = given["height"] or story.height, given["width"] or story.width
    try:
        check_picture_size(height or sizes.height, width or sizes.width, sizes.rows, sizes.columns)
    except ValueError as error:
        in_file = story.height is not None and not given["height"] and story.height % sizes.rows
        yield ("height" if in_file else "width",), str(error)


def check_place(place: Path, story: Story | None, asked: Mapping[str, Any], *, resume: bool) -> None:
    """Refuse a folder by what can be told before torch is loaded, which takes long, or a model is fetched.

    Args:
        place: The folder.
        story: The only story that may be there; None if any may.
        asked: What else decides how its film looks, but for model and device.
        resume: Whether a film must have been begun there.

    Raises:
        MediaError: If the folder cannot be written.
        ValueError: If another film is there, or none to go on with.
    """
    if resume and read_record(place) is None:
        raise ValueError(_nothing_begun(place))
    with claimed(place):
        pass
    if story is not None:
        settings = {name: value for name, value in asked.items() if name not in ("shots", "film_height")}
        settings = {"shotstream": __version__, **settings}
        refuse_other(place, as_asked(story, settings, asked["shots"], asked["film_height"]))


def _nothing_begun(place: Path) -> str:
    return f"{place} holds nothing to go on with; leave --resume out to begin."


def note_facts(folder: StoryFolder, facts: Mapping[str, Any]) -> None:
    """Have story.json tell how the film is made, and say so if its finished frames were made otherwise."""
    if folder.facts.get("computing", facts["computing"]) != facts["computing"]:
        console.print(
            "[yellow]The finished frames were computed in another way (story.json says how). The others "
            "differ from them by rounding; --overwrite makes all of them anew.[/yellow]"
        )
    folder.facts |= facts


def choose_rule(best_of: int, min_continuity: float | None, most_tries: int) -> TakeRule | None:
    """How many takes of every shot are made; None for one, which nobody measures."""
    if best_of == 1 and min_continuity is None:
        return None
    from shotstream.streaming.best_take import TakeRule

    return TakeRule(best_of, min_continuity, most_tries)


def tell(
    pipeline: ShotStreamPipeline,
    story: Story,
    folder: StoryFolder,
    decoder: str = "full",
    rule: TakeRule | None = None,
) -> None:
    """Generate `story` into the open `folder`, and show how it goes."""
    from shotstream.streaming.story_writer import StoryWriter

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"))
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    task = bar.add_task("starting", total=None, left="")

    def show_take(chunk: Chunk) -> None:
        about = f"shot {chunk.shot + 1}/{len(story.shots)} · take {chunk.take + 1}"
        bar.update(task, description=f"{about} · chunk {chunk.index + 1}")

    with show_warnings():  # pictures are read here
        takes = choosing(pipeline) | {"rule": rule, "on_take": show_take} if rule else {}
        writer = StoryWriter(pipeline, story, folder, decoder, **takes)
    bar.update(task, total=writer.story_frames)
    if folder.goes_on:
        console.print(f"Going on: {len(folder.finished)} of {folder.last} shots are finished.")
    if folder.first > 1:
        one = folder.first == 2
        before = "Shot 1 is" if one else f"Shots 1-{folder.first - 1} are"
        them = "it" if one else "them"
        console.print(f"{before} made, too, but not written: shot {folder.first} remembers {them}.")
    with show_warnings(), bar, closing(writer.chunks()) as chunks:
        for chunk in chunks:
            left = time_left(writer)
            about = f"shot {chunk.shot + 1}/{len(story.shots)}"
            told = f"{about} · chunk {chunk.index + 1} · {writer.pace.summary()}"
            bar.update(task, advance=len(chunk.frames), description=told, left=left)
            if chunk.shot + 1 == folder.first and chunk.index == 0:
                console.print(f"First picture: {folder.first_picture}", markup=False)
            if chunk.last and chunk.shot + 1 not in folder.finished:
                line = f"{about}  {escape(chunk.prompt)}"
                console.print(line if console.is_terminal or not left else f"{line}  ({left})")
                for told in about_takes(folder, chunk.shot):
                    console.print(told, markup=False)
    console.print(writer.pace.summary())


def choosing(pipeline: ShotStreamPipeline) -> dict[str, Any]:
    """What takes are measured with; says what cannot be measured."""
    from shotstream.evaluation.continuity_tools import find_meter

    meter = find_meter(pipeline)
    if meter.judge is None and meter.extractor is None:
        console.print(
            "[yellow]Takes are chosen by cuts, flicker and drift alone: who and what is kept cannot be "
            f"measured ({escape(meter.why_none)}).[/yellow]"
        )
    return {"meter": meter}


def about_takes(folder: StoryFolder, shot: int) -> list[str]:
    """Say how the takes of a shot (from 0) were measured, a line for each; none where none were."""
    reports = [entry for entry in folder.facts.get("takes", ()) if entry["shot"] == shot + 1]
    lines = []
    for take in reports[0]["takes"] if reports else ():
        stands = " stands" if take["take"] == reports[0]["chosen"] else ""
        reasons = " ".join(take["reasons"][:3])
        lines.append(f"    take {take['take'] + 1}{stands}: {take['score']:.2f}  {reasons}".rstrip())
    return lines


def time_left(writer: StoryWriter) -> str:
    """Say how long the rest will take; nothing while nobody knows, and at the end."""
    seconds = writer.pace.seconds_left(writer.frames_left)
    if not seconds:
        return ""
    return f"about {seconds:.0f} s left" if seconds < 90 else f"about {seconds / 60:.0f} min left"


def kept(folder: StoryFolder) -> str:
    """Say what a generation that was stopped left."""
    record = read_record(folder.folder)
    if record is None:
        return "No frame was made by then;"
    frames = sum(shot["frames"] for shot in record["shots"])
    whole = sum(shot["complete"] for shot in record["shots"])
    return f"Kept in {folder.folder}/: {frames} frames, {whole} of {folder.last} shots whole;"


def describe(model: str, device: str) -> dict[str, str]:
    """The model and the device by which a film looks as it does: a run that goes on must share them.

    Raises:
        ValueError: If there is no such model or device.
    """
    from shotstream.loading.hashes import sample_weights

    folder = Path(locate_model(model))
    if not folder.is_dir():
        from shotstream.streaming.pipeline import ShotStreamPipeline

        folder = ShotStreamPipeline.fetch(model)
    weights = sample_weights(folder)
    if device == "cpu":  # else torch knows
        kind = device
    else:
        from shotstream.machine.device import choose_device

        kind = choose_device(device).value.type
    return {"weights": weights, "device": kind}


def parse_shots(text: str | None, count: int) -> tuple[int, int]:
    """Read a range such as "2-4" or "3"; None means all.

    Returns:
        First and last shot, counted from 1, both included.

    Raises:
        ValueError: If the range is not one of a story with `count` shots.
    """
    if text is None:
        return 1, count
    match = re.fullmatch(r"([0-9]{1,4000})(?:-([0-9]{1,4000}))?", text.strip())
    if not match:
        raise ValueError(f"--shots is {text[:40]!r}, which is not a range; write for example 2-4, or 3.")
    first, last = int(match[1]), int(match[2] or match[1])
    if not 1 <= first <= last <= count:
        has = "one shot only; leave --shots out" if count == 1 else f"shots 1-{count}; give a range of those"
        raise ValueError(f"--shots is {text[:40]}, but the story has {has}.")
    return first, last


def parse_film_height(text: str) -> int | None:
    """Read "auto" (None) or an even number of pixels from 16 to 4320.

    Raises:
        ValueError: If it is neither.
    """
    if text == "auto":
        return None
    pixels = int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0
    if not 16 <= pixels <= 4320 or pixels % 2:
        raise ValueError(f"--film-height is {text!r}; give auto or an even number from 16 to 4320.")
    return pixels
