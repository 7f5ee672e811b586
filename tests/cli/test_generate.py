from __future__ import annotations

import json
import re
import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from shotstream import TinyWanDecoder
from shotstream.cli.generate import Pace, kept, parse_scale, parse_shots, tell
from shotstream.cli.main import app
from shotstream.loading.hashes import hash_weights
from shotstream.loading.lora import read_lora
from shotstream.media.story_folder import StoryFolder
from shotstream.story import ReferencePicture, Story
from shotstream.streaming.exported import write_story

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
    assert (record["seed"], record["device"], record["dtype"]) == (3, "cpu", "torch.float32")
    assert record["weights_sha256"] == hash_weights(model)
    assert record["frames_per_second"] > 0
    assert [len(shot["chunks"]) for shot in record["shots"]] == [2, 1]
    assert "shot 2: the model does not know these words: foxx (near: fox)" in result.stdout


def test_a_range_writes_those_shots_only_and_the_same_ones(model, story_file):
    _, output = generate(model, story_file)
    whole = (output / "shots" / "02.mp4").read_bytes()
    result, output = generate(model, story_file, "--shots", "2", "-o", str(output / "part"))
    assert "Shots 1-1 are made but not written" in result.stdout
    part = output / "part"
    assert [path.name for path in (part / "shots").iterdir()] == ["02.mp4"]
    assert (part / "shots" / "02.mp4").read_bytes() == whole
    assert frames(part / "story.mp4") == 5


def test_a_released_text_encoder_makes_the_same_film(model, story_file, monkeypatch):
    monkeypatch.setenv("SHOTSTREAM_CACHE", "off")
    result, output = generate(model, story_file)
    whole = (output / "story.mp4").read_bytes()
    assert "text encoder" not in result.stdout
    result, output = generate(model, story_file, "--text", "release")
    assert "text encoder: release, asked for" in result.stdout
    assert (output / "story.mp4").read_bytes() == whole
    assert json.loads((output / "story.json").read_text())["text"] == "release"


def test_a_number_format_can_be_asked_for(model, story_file):
    _, output = generate(model, story_file, "--dtype", "bfloat16")
    assert json.loads((output / "story.json").read_text())["dtype"] == "torch.bfloat16"
    for option in ("--dtype", "--text"):
        result, _ = generate(model, story_file, option, "small")
        assert result.exit_code == 1
        assert "'small'" in result.output


def test_another_seed_is_another_film(model, story_file):
    _, output = generate(model, story_file, "--shots", "1")
    first = (output / "story.mp4").read_bytes()
    _, output = generate(model, story_file, "--shots", "1", "--seed", "4")
    assert (output / "story.mp4").read_bytes() != first
    assert json.loads((output / "story.json").read_text())["seed"] == 4


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
        result, output = generate(model, story_file, *more)
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
        ("lora: [style]\n", [], "the LoRA 'style' is not loaded, nor is any other; load it .--lora FILE"),
        ("", ["{style}", "{style}:2"], "--lora gives two LoRAs called 'style'; rename one"),
        ("", ["{style}:nan"], "give FILE or FILE:SCALE"),
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


@pytest.fixture
def live(make_pipeline):
    """A model with a tiny decoder, whose full one can be held up: `live.before_decoding(chunk number)`."""
    pipeline, chunks = make_pipeline(), []
    torch.manual_seed(3)
    pipeline.register_modules(live_decoder=TinyWanDecoder(latent_channels=4, widths=(8, 8, 8, 8)).eval())
    open_decoder = pipeline.vae.open_decoder

    def open_slow_decoder():
        decoder = open_decoder()
        decode = decoder.decode

        def decode_later(latents):
            chunks.append(latents)
            pipeline.before_decoding(len(chunks))
            return decode(latents)

        decoder.decode = decode_later
        return decoder

    pipeline.vae.open_decoder = open_slow_decoder
    return pipeline


class Interrupted:
    """A pipeline whose user presses Ctrl-C after some chunks, when `ready` are there in full quality."""

    def __init__(self, pipeline, chunks: int = 2, ready: int = 0) -> None:
        self.pipeline, self.chunks, self.ready = pipeline, chunks, ready

    def stream(self, story, **settings):
        chunks = self.pipeline.stream(story, **settings)
        self.told = [next(chunks) for _ in range(self.chunks)]
        yield from self.told
        for chunk in self.told[: self.ready]:
            chunk.full_frames()
        raise KeyboardInterrupt


def test_ctrl_c_keeps_what_was_made(pipeline, story_file, tmp_path):
    with StoryFolder(tmp_path / "out") as folder:
        finished = tell(Interrupted(pipeline), Story.read(story_file), folder)
    assert not finished
    assert frames(tmp_path / "out" / "story.mp4") == 13
    assert kept(folder).endswith("13 frames, 1 whole shots of 1 begun.")


@pytest.mark.parametrize(("first", "message"), [(1, "the last 24 frames"), (2, "")])
def test_ctrl_c_waits_for_no_full_frames(live, tmp_path, capsys, first, message):
    """Those that are there are kept, the one being made is left out, and the others are never begun."""
    go_on = threading.Event()
    live.before_decoding = lambda chunk: chunk < 2 or go_on.wait(5)
    story = Story.model_validate({"setting": "a fox", "shots": [{"prompt": "runs", "chunks": 5}]})
    interrupted, started = Interrupted(live, chunks=4, ready=1), time.perf_counter()
    with StoryFolder(tmp_path / "out") as folder:
        assert not tell(interrupted, story, folder, first, decoder="tiny")
    assert time.perf_counter() - started < 5
    assert (tmp_path / "out" / "story.mp4").exists() == (first == 1)
    if first == 1:
        assert frames(tmp_path / "out" / "story.mp4") == sum(shot["frames"] for shot in folder.shots) == 5
        speed = 5 / folder.facts["first_frame_seconds"]  # all were told before the first was seen
        assert folder.facts["frames_per_second"] <= 1.02 * speed, "of frames that are written"
    assert message in capsys.readouterr().out
    assert [chunk.full.cancelled() for chunk in interrupted.told] == [False, False, True, True]
    go_on.set()
    interrupted.told[1].full_frames()


class SlowFolder(StoryFolder):
    """Takes its time over every chunk."""

    seconds = 0.0

    def add(self, chunk) -> None:
        started = time.perf_counter()
        super().add(chunk)
        time.sleep(0.1)
        self.seconds += time.perf_counter() - started


def test_waiting_for_full_frames_counts_and_writing_them_does_not(live, story_file, tmp_path):
    live.before_decoding = lambda chunk: time.sleep(0.1)
    started = time.perf_counter()
    with SlowFolder(tmp_path / "out") as folder:
        assert tell(live, Story.read(story_file), folder, decoder="tiny")
        made_seconds = time.perf_counter() - started - folder.seconds
    assert frames(tmp_path / "out" / "story.mp4") == 18
    assert 18 / made_seconds - 0.01 <= folder.facts["frames_per_second"] < 18 / 0.3


def test_pace_counts_the_time_of_making_only(pipeline, story_file):
    pace = Pace()
    assert pace.facts() == {}
    for _ in pace.watch(pipeline.stream(Story.read(story_file))):
        pass
    facts = pace.facts()
    assert (pace.frames, pace.fps) == (18, 8.0)
    assert 0 < facts["first_frame_seconds"] <= round(pace.generating_seconds, 3)
    assert facts["times_real_time"] == pytest.approx(facts["frames_per_second"] / 8, abs=0.01)


@pytest.mark.parametrize(("text", "shots"), [(None, (1, 5)), ("3", (3, 3)), ("2-4", (2, 4)), ("1-5", (1, 5))])
def test_ranges(text, shots):
    assert parse_shots(text, 5) == shots


@pytest.mark.parametrize("text", ["0", "0-2", "4-2", "3-6", "a-b", "-1", "", "1-2-3", "٣"])
def test_broken_ranges(text):
    with pytest.raises(ValueError, match="--shots is"):
        parse_shots(text, 5)


def test_scales():
    assert (parse_scale("auto"), parse_scale("4")) == (None, 4)
    for text in ["0", "17", "-1", "2.5", "big", "٣"]:
        with pytest.raises(ValueError, match="--scale is"):
            parse_scale(text)


def test_references_are_obeyed_and_noted(model, story_file, tmp_path):
    _, output = generate(model, story_file)
    plain = (output / "story.mp4").read_bytes()
    picture = tmp_path / "fox.png"
    Image.new("RGBA", (40, 20), (255, 90, 0, 120)).save(picture)
    result, _ = generate(model, story_file, "--reference", str(picture))
    assert result.exit_code == 0, result.output
    assert "transparent in places; they are white now" in result.stdout
    once = (output / "story.mp4").read_bytes()
    assert once != plain
    story = Story.read(story_file)
    written = story.model_copy(update={"references": [ReferencePicture(picture=str(picture))]})
    written.write(tmp_path / "with.yaml")
    result, _ = generate(model, tmp_path / "with.yaml", "-o", str(tmp_path / "with"))
    assert (tmp_path / "with" / "story.mp4").read_bytes() == once
    result, _ = generate(model, story_file, "--reference", str(tmp_path / "nothing.png"))
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
    with StoryFolder(tmp_path / "out") as folder:
        for chunk in pipeline.stream(Story.read(tmp_path / "fox.yaml")):
            told.append(chunk.frames)
            folder.add(chunk)
    assert np.array_equal(
        np.concatenate(told), np.concatenate([part for shot in frames.values() for part in shot])
    )
    result, _ = generate(model, tmp_path / "fox.yaml", "-o", str(tmp_path / "again"))
    assert result.exit_code == 0, result.output
    assert (tmp_path / "again" / "story.mp4").read_bytes() == (tmp_path / "out" / "story.mp4").read_bytes()
