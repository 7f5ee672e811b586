from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from shotstream.cli.generate import parse_film_height, parse_shots
from shotstream.cli.main import app
from shotstream.cli.shared.model import CHOICES
from shotstream.loading.hashes import hash_weights
from shotstream.loading.lora import read_lora
from shotstream.loading.text_source import TEXT_PLACES
from shotstream.machine.device import choose_dtype
from shotstream.media.story_folder import StoryFolder
from shotstream.story import ReferencePicture, Story
from shotstream.streaming.exported import write_story
from shotstream.streaming.speed import FORMER_MODES, MODES
from shotstream.streaming.story_writer import StoryWriter

av = pytest.importorskip("av")
pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def model(pipeline, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "tiny"
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture
def story_file(tmp_path):
    path = tmp_path / "fox.yaml"
    path.write_text(
        "setting: a red fox in the snow\nseed: 3\nshots:\n"
        "  - {prompt: the fox runs, chunks: 2}\n  - {prompt: the foxx sleeps, chunks: 1}\n"
    )
    return path


def generate(model, story_file, *more: str):
    output = story_file.parent / "out"
    words = ["generate", str(story_file), "-o", str(output), "--model", str(model), "--device", "cpu", *more]
    return CliRunner().invoke(app, words), output


def frames(path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_story_becomes_films_a_sheet_and_a_record(model, story_file):
    result, output = generate(model, story_file)
    assert result.exit_code == 0, result.output
    assert [frames(output / name) for name in ("story.mp4", "shots/01.mp4", "shots/02.mp4")] == [18, 13, 5]
    assert (output / "contact_sheet.png").stat().st_size > 0
    record = json.loads((output / "story.json").read_text())
    dtype = str(choose_dtype(torch.device("cpu")).value)
    assert (record["seed"], record["device"], record["dtype"]) == (3, "cpu", dtype)
    assert record["weights_sha256"] == hash_weights(model)
    assert record["frames_per_second"] > 0
    assert [len(shot["chunks"]) for shot in record["shots"]] == [2, 1]
    assert "shot 2: the model does not know these words: foxx (near: fox)" in result.stdout


def test_a_range_writes_those_shots_only_and_the_same_ones(model, story_file):
    _, output = generate(model, story_file)
    whole = (output / "shots" / "02.mp4").read_bytes()
    result, output = generate(model, story_file, "--shots", "2", "-o", str(output / "part"))
    assert "Shot 1 is made, too, but not written: shot 2 remembers it." in result.stdout
    part = output / "part"
    assert [path.name for path in (part / "shots").iterdir()] == ["02.mp4"]
    assert (part / "shots" / "02.mp4").read_bytes() == whole
    assert frames(part / "story.mp4") == 5


def test_a_released_text_encoder_makes_the_same_film(model, story_file, monkeypatch):
    monkeypatch.setenv("SHOTSTREAM_CACHE", "off")
    result, output = generate(model, story_file)
    whole = (output / "story.mp4").read_bytes()
    assert "text encoder" not in result.stdout
    result, output = generate(model, story_file, "--text", "release", "--overwrite")
    assert "text encoder: release, asked for" in result.stdout
    assert (output / "story.mp4").read_bytes() == whole
    assert json.loads((output / "story.json").read_text())["text"] == "release"


def test_a_number_format_can_be_asked_for(model, story_file):
    _, output = generate(model, story_file, "--dtype", "bfloat16")
    assert json.loads((output / "story.json").read_text())["dtype"] == "torch.bfloat16"
    for option in ("--dtype", "--text"):
        result, _ = generate(model, story_file, option, "small", "-o", str(output / "other"))
        assert result.exit_code == 1
        assert "'small'" in result.output


def test_another_seed_is_another_film(model, story_file):
    _, output = generate(model, story_file, "--shots", "1")
    first = (output / "story.mp4").read_bytes()
    _, output = generate(model, story_file, "--shots", "1", "--seed", "4", "--overwrite")
    assert (output / "story.mp4").read_bytes() != first
    assert json.loads((output / "story.json").read_text())["seed"] == 4


def stop_after(monkeypatch, chunks: int) -> None:
    """Press Ctrl-C after some chunks."""
    tell = StoryWriter.chunks

    def told(self):
        yield from islice(tell(self), chunks)
        raise KeyboardInterrupt

    monkeypatch.setattr(StoryWriter, "chunks", told)


def test_ctrl_c_keeps_what_was_made_and_the_same_command_goes_on(model, story_file, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        result, output = generate(model, story_file)
    assert result.exit_code == 130
    assert "13 frames, 1 of 2 shots whole; the same command goes on." in result.stdout
    assert frames(output / "story.mp4") == 13
    result, _ = generate(model, story_file, "--resume")
    assert result.exit_code == 0, result.output
    assert "Going on: 1 of 2 shots are finished." in result.stdout
    assert "shot 1/2  " not in result.stdout, "it was reported before"
    assert frames(output / "story.mp4") == 18


def test_ctrl_c_before_the_first_frame_leaves_nothing(model, story_file, monkeypatch):
    stop_after(monkeypatch, 0)
    result, output = generate(model, story_file)
    assert result.exit_code == 130
    assert "No frame was made by then" in result.stdout
    assert not output.exists()


def test_a_film_that_is_whole_is_not_made_again(model, story_file, monkeypatch):
    generate(model, story_file)
    monkeypatch.setattr("shotstream.cli.generate.load", None)
    result, _ = generate(model, story_file)
    assert result.exit_code == 0
    assert "holds this film already, whole" in result.stdout


def test_another_story_is_refused_before_a_model_is_loaded(model, story_file, monkeypatch):
    _, output = generate(model, story_file)
    before = (output / "story.mp4").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("shotstream.cli.generate.load", None)
        result, _ = generate(model, story_file, "--seed", "4")
    assert result.exit_code == 1
    assert (
        "holds another film than the one that is asked for:\n  seed: 3 there, 4 asked for\n" in result.stderr
    )
    assert (output / "story.mp4").read_bytes() == before
    result, _ = generate(model, story_file, "--seed", "4", "--overwrite")
    assert result.exit_code == 0
    assert (output / "story.mp4").read_bytes() != before


def test_without_a_folder_of_its_own_another_story_gets_the_next_one(model, story_file, monkeypatch):
    monkeypatch.chdir(story_file.parent)
    words = ["generate", "fox.yaml", "--model", str(model), "--device", "cpu", "--shots", "2"]
    for more, place in (
        ([], "fox"),
        (["--seed", "4"], "fox-2"),
        (["--seed", "5"], "fox-3"),
        (["--seed", "4"], "fox-2"),
    ):
        result = CliRunner().invoke(app, [*words, *more])
        assert result.exit_code == 0, result.output
        assert f"out/{place}/" in result.stdout.splitlines()[-1]
    assert "whole" in result.stdout


def test_resume_begins_nothing(model, story_file, monkeypatch):
    monkeypatch.setattr("shotstream.cli.generate.load", None)
    result, output = generate(model, story_file, "--resume")
    assert result.exit_code == 1
    assert "holds nothing to go on with" in result.stderr
    assert not output.exists()
    result, _ = generate(model, story_file, "--resume", "--overwrite")
    assert "give one of them" in result.stderr


def test_a_folder_that_cannot_be_written_is_told_before_a_model_is_fetched(story_file, monkeypatch):
    (story_file.parent / "out").write_text("a file")
    monkeypatch.setattr("shotstream.streaming.pipeline.ShotStreamPipeline.fetch", None)
    result, output = generate("nobody/nothing", story_file)
    assert result.exit_code == 1
    assert f"Could not write {output}: a part of the path is a file" in result.stderr


def test_pictures_and_films_have_the_size_that_was_asked_for(model, story_file):
    result, output = generate(model, story_file, "--height", "32", "--width", "16", "--film-height", "90")
    assert result.exit_code == 0, result.output
    with av.open(str(output / "story.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.height, stream.width) == (90, 44)
    record = json.loads((output / "story.json").read_text())
    assert (record["height"], record["width"]) == (32, 16)


def test_the_first_picture_is_told_and_nothing_twice(model, story_file):
    result, output = generate(model, story_file)
    lines = result.stdout.splitlines()
    picture = f"First picture: {output / 'first_frame.png'}"
    assert lines.index(picture) < next(n for n, line in enumerate(lines) if line.startswith("shot 1/2"))
    assert len(set(lines)) == len(lines)
    assert "" not in lines
    assert "s left)" in next(line for line in lines if line.startswith("shot 1/2"))


@pytest.mark.parametrize(("text", "shots"), [(None, (1, 5)), ("3", (3, 3)), ("2-4", (2, 4)), ("1-5", (1, 5))])
def test_ranges(text, shots):
    assert parse_shots(text, 5) == shots


@pytest.mark.parametrize("text", ["a-b", "-1", "", "1-2-3", "٣", "1.5"])
def test_what_is_no_range_is_refused(text):
    with pytest.raises(ValueError, match=r"--shots is .*not a range; write for example 2-4, or 3"):
        parse_shots(text, 5)


@pytest.mark.parametrize("text", ["0", "0-2", "4-2", "3-6", "1" * 20, "1-" + "9" * 20, "9" * 3000])
def test_shots_that_are_not_there_are_told_from_what_is_no_range(text):
    with pytest.raises(ValueError, match=r"--shots is .*but the story has shots 1-5; give a range of those"):
        parse_shots(text, 5)
    with pytest.raises(ValueError, match="the story has one shot only; leave --shots out"):
        parse_shots(text, 1)


def test_film_heights():
    assert (parse_film_height("auto"), parse_film_height("720")) == (None, 720)
    for text in ["0", "17", "-2", "2.5", "big", "٣٢", "4322"]:
        with pytest.raises(ValueError, match="--film-height is"):
            parse_film_height(text)


@pytest.fixture
def style(tmp_path, pipeline):
    """A LoRA of the tiny model."""
    generator, shape = (
        torch.Generator().manual_seed(0),
        pipeline.transformer.blocks[0].attn1.to_q.weight.shape,
    )
    pair = {
        "A": torch.randn(2, shape[1], generator=generator),
        "B": torch.randn(shape[0], 2, generator=generator),
    }
    save_file(
        {f"blocks.0.attn1.to_q.lora_{part}.weight": value for part, value in pair.items()},
        tmp_path / "style.safetensors",
    )
    return tmp_path / "style.safetensors"


def test_loras_are_used_and_recorded(model, story_file, style):
    """In every shot at the scale of the option, or as the story says."""

    def tell(text: str, *more: str):
        story_file.write_text(text)
        result, output = generate(model, story_file, "--overwrite", *more)
        assert result.exit_code == 0, result.output
        shots = [(output / "shots" / f"0{number}.mp4").read_bytes() for number in (1, 2)]
        return shots, json.loads((output / "story.json").read_text())

    text = "setting: a red fox\nshots:\n  - {prompt: runs, chunks: 1}\n  - {prompt: sleeps, chunks: 1}\n"
    bare, record = tell(text)
    assert "loras" not in record
    everywhere, record = tell(text, "--lora", f"{style}:0.5")
    [lora] = record["loras"]
    assert (lora["name"], lora["scale"], lora["sha256"]) == ("style", 0.5, read_lora(style).sha256)
    uses = [{"name": "style", "sha256": lora["sha256"], "scale": 0.5}]
    assert [shot["lora"] for shot in record["shots"]] == [uses, uses]
    named = text.replace("{prompt: sleeps", "{lora: [style:0.5], prompt: sleeps")
    mixed, record = tell(f"lora: []\n{named}", "--lora", str(style))
    assert [shot["lora"] for shot in record["shots"]] == [[], uses]
    assert mixed[0] == bare[0] != everywhere[0]
    assert len({bare[1], everywhere[1], mixed[1]}) == 3


@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        (
            "lora: [stile]\n",
            ["{style}"],
            r"fox.yaml:1: the story: the LoRA 'stile' is not loaded; did you mean",
        ),
        ("lora: [style]\n", [], "the LoRA 'style' is not loaded, nor is any other; start with --lora style"),
        ("", ["{style}", "{style}:2"], "--lora gives two LoRAs called 'style'; rename one"),
        ("", ["{style}:nan"], "give FILE or FILE:SCALE"),
        ("", [""], "--lora is '', which names no file"),
        ("", [":1"], "--lora is ':1', which names no file"),
        ("", ["{style}:abc"], "'abc' behind the colon is no number"),
        ("", ["nowhere.safetensors"], "there is no weight file nowhere.safetensors"),
        ("", ["{model}"], "has no safetensors file; name the file"),
    ],
)
def test_loras_that_cannot_be_used_are_told_in_a_sentence(model, story_file, style, text, more, message):
    story_file.write_text(f"{text}setting: a red fox\nshots: [runs]\n")
    options = [word for path in more for word in ("--lora", path.format(style=style, model=model))]
    result, output = generate(model, story_file, *options)
    assert result.exit_code == 1
    assert re.search(message, result.output), result.output
    assert not (output / "story.mp4").exists()


EARLY = [
    (["--lora", "nowhere.safetensors"], "there is no weight file nowhere.safetensors"),
    (["--lora", "{style}:much"], "'much' behind the colon is no number"),
    (["--lora", "{picture}"], "is a picture .PNG., not weights"),
    (["--reference", "nowhere.png"], "the picture nowhere.png cannot be read"),
    (["--reference", "{style}"], "This is not a picture that can be read"),
    (["--shots", "3"], "the story has shots 1-2"),
    (["--resume", "-o", "{folder}/nowhere"], "nowhere holds nothing to go on with"),
    (["--seed", "5"], "another film than the one that is asked for:\n  seed: 3 there, 5 asked for"),
    (["--mode", "quick"], "--mode is 'quick'; give auto, plain, compiled or fast"),
    (["--kv-cache", "small"], "--kv-cache is 'small'; give auto or float8"),
    (["--decoder", "quick"], "--decoder is 'quick'; give full or tiny"),
    (["--dtype", "small"], "--dtype is 'small'; give auto, float32, bfloat16 or float16"),
    (["--text", "small"], "--text is 'small'; give auto, resident"),
    (["--film-height", "17"], "--film-height is '17'"),
    (
        ["--height", "33", "--width", "192"],
        "pictures of 33x192 cannot be made.* the nearest that can is 32x192",
    ),
    (["--model", "nowhere"], "there is no model 'nowhere' here"),
]
"""What is refused by the command line alone, and by the folder that it names."""


@pytest.mark.parametrize(("options", "message"), EARLY)
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_can_be_told_at_once_is_told_before_torch_and_loses_nothing(
    model, story_file, style, monkeypatch, options, message, overwrite
):
    _, output = generate(model, story_file, "--shots", "1")
    if overwrite and ("--seed" in options or "--resume" in options):
        return
    Image.new("RGB", (9, 9)).save(story_file.parent / "picture.png")
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    for name in ("load", "describe"):  # both load torch
        monkeypatch.setattr(f"shotstream.cli.generate.{name}", None)
    places = {"style": style, "picture": story_file.parent / "picture.png", "folder": story_file.parent}
    words = [word.format(**places) for word in options] + ["--overwrite"] * overwrite
    result, _ = generate(model, story_file, *([] if "--shots" in options else ["--shots", "1"]), *words)
    assert result.exit_code == 1
    assert re.search(message, result.stderr, re.DOTALL), result.output
    assert re.search(r"[.]$", result.stderr), "a full stop at the end"
    assert {path: path.read_bytes() for path in output.rglob("*") if path.is_file()} == before


def test_what_only_the_model_tells_loses_nothing_either(model, story_file, style):
    """With --overwrite, too: a film is removed when the first chunk of the new one is there."""
    _, output = generate(model, story_file)
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    other = {
        "blocks.99.attn1.to_q.lora_A.weight": torch.ones(2, 6),
        "blocks.99.attn1.to_q.lora_B.weight": torch.ones(6, 2),
    }
    save_file(other, style.parent / "other.safetensors")
    (style.parent / "cut.safetensors").write_bytes(style.read_bytes()[:-9])
    for name, message in (("other", "it belongs to another model"), ("cut", "is damaged or cut off")):
        result, _ = generate(
            model, story_file, "--overwrite", "--lora", str(style.parent / f"{name}.safetensors")
        )
        assert result.exit_code == 1
        assert message in result.stderr
        assert {path: path.read_bytes() for path in output.rglob("*") if path.is_file()} == before


def test_nothing_that_takes_long_is_imported_before_the_command_line_is_checked():
    slow = {"torch", "diffusers", "av", "transformers"}
    code = f"import sys, shotstream.cli.generate; print(*({slow!r} & {{*sys.modules}}))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "\n"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("height: 33\n", 1, "pictures of 33x32 cannot be made; .* the nearest that can is 32x32"),
        ("seed: 1\nwidth: 40\n", 2, "pictures of 16x40 cannot be made"),
        ("references: [nowhere.png]\n", 1, "the picture .*nowhere.png cannot be read .*; check its path"),
        ("references:\n  - fox.yaml\n", 2, ".*fox.yaml: This is not a picture that can be read; give a JPEG"),
    ],
)
def test_what_a_story_asks_for_and_cannot_have_is_told_at_its_line(
    model, story_file, monkeypatch, text, line, message
):
    story_file.write_text(f"{text}setting: a red fox\nshots: [runs]\n")
    monkeypatch.setattr("shotstream.cli.generate.describe", None)
    result, _ = generate(model, story_file)
    assert result.exit_code == 1
    assert re.search(rf"fox.yaml:{line}: {message}.*\.$", result.stderr), result.output


def test_the_size_of_a_model_on_the_hub_is_known_before_it_is_fetched(
    model, story_file, tmp_path, monkeypatch
):
    snapshot = tmp_path / "hub" / "models--someone--model" / "snapshots" / ("1" * 40)
    for config in ("model_index.json", "transformer/config.json", "vae/config.json"):
        (snapshot / config).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(model) / config, snapshot / config)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("1" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("shotstream.cli.generate.describe", None)
    story_file.write_text("seed: 1\nheight: 33\nsetting: a red fox\nshots: [runs]\n")
    result, _ = generate("someone/model", story_file)
    assert "fox.yaml:2: pictures of 33x32 cannot be made" in result.stderr


def test_the_words_that_options_take_are_those_that_the_code_knows():
    assert {*CHOICES["mode"]} == {"auto", *MODES, *FORMER_MODES}
    assert CHOICES["text"] == ("auto", *TEXT_PLACES)
    assert {name for name in CHOICES["dtype"] if choose_dtype(torch.device("cpu"), name)} == {
        *CHOICES["dtype"]
    }


def test_references_are_obeyed_and_noted(model, story_file, tmp_path):
    _, output = generate(model, story_file)
    plain = (output / "story.mp4").read_bytes()
    picture = tmp_path / "fox.png"
    Image.new("RGBA", (40, 20), (255, 90, 0, 120)).save(picture)
    result, _ = generate(model, story_file, "--overwrite", "--reference", str(picture))
    assert result.exit_code == 0, result.output
    assert "transparent in places; they are white now" in result.stdout
    once = (output / "story.mp4").read_bytes()
    assert once != plain
    story = Story.read(story_file)
    written = story.model_copy(update={"references": [ReferencePicture(picture=str(picture))]})
    written.write(tmp_path / "with.yaml")
    result, _ = generate(model, tmp_path / "with.yaml", "-o", str(tmp_path / "with"))
    assert (tmp_path / "with" / "story.mp4").read_bytes() == once
    result, _ = generate(model, story_file, "--overwrite", "--reference", str(tmp_path / "nothing.png"))
    assert result.exit_code == 1
    assert re.search(r"the picture .*nothing.png cannot be read", result.stderr.replace("\n", " "))


def test_a_comment_that_cuts_a_prompt_off_is_said(model, story_file):
    story_file.write_text("setting: a fox\nshots:\n  - runs #2 sleeps\n")
    result, _ = generate(model, story_file)
    assert result.exit_code == 0
    assert "fox.yaml:3: the text ends before '#2 sleeps'" in result.stdout


def test_a_directed_session_is_generated_again(model, pipeline, tmp_path):
    """A retake chosen, a redirect, a pin and a reference: the command makes the session's frames."""
    session = pipeline.open("a red fox", seed=5)
    session.reference(Image.effect_noise((50, 40), 90), "a blue cat")
    frames = {0: [chunk.frames for chunk in session.shoot("runs", chunks=2)]}
    session.pin(0, 7)
    list(session.shoot("sleeps", chunks=2))
    frames[1] = [chunk.frames for chunk in session.retake(1, seed=3)]
    session.cut("a cat", chunks=3)
    frames[2] = [session.next_chunk().frames]
    session.redirect("at night")
    frames[2] += [chunk.frames for chunk in iter(session.next_chunk, None)]
    write_story(session, tmp_path / "fox.yaml")
    told: list[np.ndarray] = []
    story = Story.read(tmp_path / "fox.yaml")
    with StoryFolder(tmp_path / "out", story) as folder:
        for chunk in pipeline.stream(story):
            told.append(chunk.frames)
            folder.add(chunk)
    assert np.array_equal(
        np.concatenate(told), np.concatenate([part for shot in frames.values() for part in shot])
    )
    again = tmp_path / "again"
    result, _ = generate(model, tmp_path / "fox.yaml", "-o", str(again), "--dtype", "float32")
    assert result.exit_code == 0, result.output
    assert (again / "story.mp4").read_bytes() == (tmp_path / "out" / "story.mp4").read_bytes()


def test_the_best_of_several_takes_is_told_and_reported(model, story_file):
    result, output = generate(model, story_file, "--best-of", "2")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("stands") == 2
    assert "Takes are chosen by cuts, flicker and drift alone" in " ".join(result.stdout.split())
    record = json.loads((output / "story.json").read_text())
    assert [len(entry["takes"]) for entry in record["takes"]] == [2, 2]
    again, _ = generate(model, story_file, "--best-of", "2")
    assert "whole" in again.stdout
    other, _ = generate(model, story_file, "--best-of", "3")
    assert "takes of a shot (--best-of, --min-continuity): " in " ".join(other.output.split())
    _, output = generate(model, story_file, "--min-continuity", "1", "--most-tries", "3", "--overwrite")
    tried = [len(entry["takes"]) for entry in json.loads((output / "story.json").read_text())["takes"]]
    assert tried
    assert set(tried) <= {1, 2, 3}
