"""`shotstream world`: look at the story world, or write it to files."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Draw stories of the built-in cartoon world."
)

FPS = 12
FRAMES = 33


class SplitName(StrEnum):
    """The two halves of the world; see `shotstream.world.sampler.Split`."""

    train = "train"
    held_out = "held-out"


def parse_size(text: str) -> tuple[int, int]:
    """Reads a picture size such as "64x96".

    Returns:
        (height, width) in pixels.

    Raises:
        typer.BadParameter: If it is not two even numbers (video files need even sizes) of at least 16.
    """
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(
        part.isdecimal() and int(part) >= 16 and int(part) % 2 == 0 for part in parts
    ):
        raise typer.BadParameter(
            f'"{text}" is not a size; write HEIGHTxWIDTH in even pixels, for example 64x96'
        )
    return int(parts[0]), int(parts[1])


Stories = Annotated[int, typer.Option(min=1, help="How many stories.")]
Seed = Annotated[int, typer.Option(help="Seed of the first story; the next ones count up.")]
Split = Annotated[
    SplitName, typer.Option(help="held-out: combinations of hero and place that training never sees.")
]
Shots = Annotated[int, typer.Option(min=1, help="Shots per story.")]
Size = Annotated[str, typer.Option(metavar="HxW", help="Height and width in pixels.")]


@app.command()
def preview(
    stories: Stories = 4,
    seed: Seed = 0,
    split: Split = SplitName.train,
    shots: Shots = 5,
    size: Size = "128x192",
    output: Annotated[Path, typer.Option("-o", "--output", help="PNG file.")] = Path("out/world.png"),
) -> None:
    """Draw a contact sheet: a row per story, the middle frame of every shot, its prompt below."""
    check_png(output)
    from shotstream.media.sheet import write_sheets
    from shotstream.world.sampler import sample_story
    from shotstream.world.scene import draw_shot

    height, width = parse_size(size)
    told = [
        sample_story(seed + number, split=split.value, shots=shots, frames=FRAMES)
        for number in range(stories)
    ]
    rows = [
        [draw_shot(story, index, height=height, width=width, fps=FPS)[FRAMES // 2] for index in range(shots)]
        for story in told
    ]
    sheets = write_sheets(output, rows, [[shot.prompt for shot in story.shots] for story in told])
    for story in told:
        typer.echo(f"{story.seed}: {story.setting}")
    typer.echo(f"Wrote {', '.join(map(str, sheets))}")


@app.command()
def render(
    stories: Stories = 1,
    seed: Seed = 0,
    split: Split = SplitName.train,
    shots: Shots = 5,
    frames: Annotated[int, typer.Option(min=1, help=f"Frames per shot, at {FPS} per second.")] = FRAMES,
    size: Size = "128x192",
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder; a folder per story goes inside.")
    ] = Path("world"),
) -> None:
    """Write every shot as a video, the exact attributes as attributes.json, and story.yaml.

    The last is what `shotstream generate` opens, to see what a model makes of the same words.
    """
    from shotstream.media.files import write_text
    from shotstream.media.video import write_video
    from shotstream.story import Shot, Story
    from shotstream.world.sampler import sample_story
    from shotstream.world.scene import draw_shot

    height, width = parse_size(size)
    for number in range(seed, seed + stories):
        story = sample_story(number, split=split.value, shots=shots, frames=frames)
        folder = output / f"{split.value}-{number:06d}"
        for index in range(shots):
            clip = draw_shot(story, index, height=height, width=width, fps=FPS)  # [T, H, W, 3]
            write_video(folder / f"{index + 1:02d}.mp4", clip, FPS)
        write_text(folder / "attributes.json", json.dumps(story.attributes(), indent=2) + "\n")
        script = [Shot(prompt=shot.prompt) for shot in story.shots]
        Story(setting=story.setting, seed=number, shots=script).write(folder / "story.yaml")
        typer.echo(f"{folder}: {story.setting}")


@app.command()
def portrait(
    kind: Annotated[str, typer.Option(help="cat, rabbit, bear, robot, fox or owl.")] = "fox",
    colour: Annotated[str, typer.Option(help="Of the body, such as orange.")] = "orange",
    accessory: Annotated[str, typer.Option(help='Such as "top hat", or none.')] = "none",
    accessory_colour: Annotated[str, typer.Option(help="white, black, pink or turquoise.")] = "white",
    pattern: Annotated[str, typer.Option(help="belly, stripes, spots or patch.")] = "belly",
    ground: Annotated[str, typer.Option(help="Of the picture, such as paper, mint or sky.")] = "paper",
    seed: Annotated[int, typer.Option(help="Varies place, size and pose a little; 0 does not.")] = 0,
    size: Size = "128x192",
    output: Annotated[Path, typer.Option("-o", "--output", help="PNG file.")] = Path("out/portrait.png"),
) -> None:
    """Draw a character by itself on a plain ground, as a reference picture."""
    check_png(output)
    from shotstream.media.pictures import write_png
    from shotstream.world import vocabulary
    from shotstream.world.portrait import GROUNDS, draw_portrait
    from shotstream.world.sampler import Character

    height, width = parse_size(size)
    for name, value, known in (
        ("kind", kind, vocabulary.KINDS),
        ("colour", colour, vocabulary.COLOURS),
        ("accessory", accessory, vocabulary.ACCESSORIES),
        ("accessory-colour", accessory_colour, vocabulary.ACCESSORY_COLOURS),
        ("pattern", pattern, vocabulary.PATTERNS),
        ("ground", ground, GROUNDS),
    ):
        if value not in known:
            raise typer.BadParameter(f'there is no {name} "{value}"; use one of {", ".join(known)}')
    tint = vocabulary.NONE if accessory == vocabulary.NONE else accessory_colour
    character = Character(kind, colour, accessory, tint, pattern)
    write_png(output, draw_portrait(character, height=height, width=width, ground=ground, seed=seed))
    typer.echo(f"Wrote {output}")


def check_png(output: Path) -> None:
    """Refuse to write a picture over a file of another kind.

    Raises:
        ValueError: If the name does not end in ``.png``.
    """
    if output.suffix.lower() != ".png":
        raise ValueError(f"-o is {output}, and a PNG file is written; give a name that ends in .png.")
