"""The ComfyUI nodes against the documented contract of nodes, run by a small executor (see comfy_engine)."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from shotstream import ShotStreamPipeline
from shotstream.machine.device import choose_dtype
from tests.integrations.comfy_engine import Comfy, Engine, InterruptProcessingException, to_graph

pytestmark = [
    pytest.mark.system,
    pytest.mark.filterwarnings("ignore::shotstream.streaming.model.PromptWarning"),
]
ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "integrations" / "comfyui"
sys.path.insert(0, str(FOLDER))

from comfyui_shotstream import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS, making  # noqa: E402
from comfyui_shotstream.chain import parse_pins, parse_redirects  # noqa: E402

WORKFLOWS = sorted((FOLDER / "example_workflows").glob("*.json"))


@pytest.fixture(scope="module")
def model(pipeline, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("comfy") / "model"
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture
def comfy(tmp_path, monkeypatch) -> Comfy:
    making.STORE.clear()
    comfy = Comfy(tmp_path)
    comfy.install(monkeypatch)
    return comfy


@pytest.fixture
def engine() -> Engine:
    return Engine(NODE_CLASS_MAPPINGS)


def node(kind: str, **inputs) -> dict:
    return {"class_type": f"ShotStream{kind}", "inputs": inputs}


def shot(prompt: str, *, seconds: float = 0.6, **inputs) -> dict:
    return node("Shot", prompt=prompt, seconds=seconds, seed=-1, **inputs)


def graph_of(model: Path, shots: dict[str, dict], last: str, **more) -> dict:
    """A graph that directs the chain that ends in node `last`."""
    return {
        "load": node("Load", model="mini", mode="plain", text_encoder="resident", folder=str(model)),
        "story": node("Story", setting="in the snow", cast="a red fox", seed=4, height=0, width=0),
        **shots,
        "direct": node("Direct", model=["load", 0], story=["story", 0], shots=[last, 0]),
        **more,
    }


def three(first: str = "runs", second: str = "a cat", third: str = "sleeps") -> dict[str, dict]:
    return {
        "a": shot(first),
        "b": shot(second, shots=["a", 0], seconds=1.2, redirects="1: a blue cat"),
        "c": shot(third, shots=["b", 0]),
    }


def steps_made(comfy: Comfy) -> int:
    made = comfy.steps
    comfy.progress.clear()
    return made


def test_a_film_is_what_a_session_tells(model, comfy, engine) -> None:
    outputs = engine.run(graph_of(model, three(), "c"))["direct"]
    images, video, latents, fps, file, film = outputs
    dtype = choose_dtype(torch.device("cpu")).value
    session = ShotStreamPipeline.from_pretrained(model, dtype=dtype).open("a red fox in the snow", 4)
    frames = [chunk.frames for chunk in session.shoot("runs", 0.6)]
    chunks = session.shoot("a cat", 1.2)
    frames.append(next(chunks).frames)
    session.redirect("a blue cat")
    frames += [chunk.frames for chunk in chunks]
    frames += [chunk.frames for chunk in session.shoot("sleeps", 0.6)]
    assert np.array_equal(film.frames(), np.concatenate(frames))
    assert images.dtype == torch.float32
    assert np.array_equal((images.numpy() * 255).round(), film.frames())
    assert latents["samples"].shape[:2] == (1, 4)
    assert fps == 8.0
    assert Path(file).is_file()
    assert video.file == file
    shown = engine.ui["direct"]["images"][0]
    assert Path(comfy.folder / "temp" / shown["filename"]) == Path(file)


def test_only_what_depends_on_a_changed_shot_is_made_again(model, comfy, engine) -> None:
    whole = engine.run(graph_of(model, three(), "c"))["direct"][5]
    every = steps_made(comfy)
    engine.run(graph_of(model, three(), "c"))
    assert engine.ran == []
    changed = engine.run(graph_of(model, three(third="a red cat"), "c"))["direct"][5]
    assert engine.ran == ["ShotStreamShot", "ShotStreamDirect"]
    last = steps_made(comfy)
    assert 0 < last < every
    assert changed.shots[0] is whole.shots[0]
    assert changed.shots[1] is whole.shots[1]
    anew = engine.run(graph_of(model, three(second="a red cat", third="a red cat"), "c"))["direct"][5]
    assert "ShotStreamLoad" not in engine.ran
    assert last < steps_made(comfy) < every
    assert anew.shots[0] is whole.shots[0]
    making.STORE.clear()
    engine_2 = Engine(NODE_CLASS_MAPPINGS)
    again = engine_2.run(graph_of(model, three(second="a red cat", third="a red cat"), "c"))["direct"][5]
    assert np.array_equal(again.frames(), anew.frames())
    assert again.key == anew.key


def test_changed_weights_are_noticed(model, comfy, engine) -> None:
    graph = graph_of(model, {"a": shot("runs", seconds=0.5)}, "a")
    engine.run(graph)
    config = model / "tokenizer" / "tokenizer_config.json"
    before = config.read_text()
    config.write_text(before + "\n")
    try:
        engine.run(graph)
        assert "ShotStreamLoad" in engine.ran
    finally:
        config.write_text(before)


def test_an_interrupt_is_obeyed_within_a_step_and_loses_no_whole_shot(model, comfy, engine) -> None:
    comfy.interrupt_after = 5
    with pytest.raises(InterruptProcessingException):
        engine.run(graph_of(model, three(), "c"))
    assert comfy.steps == 5  # a whole shot, a chunk of the next, and a step
    comfy.interrupt_after = None
    comfy.progress.clear()
    film = engine.run(graph_of(model, three(), "c"))["direct"][5]
    assert steps_made(comfy) == 6
    making.STORE.clear()
    whole = Engine(NODE_CLASS_MAPPINGS).run(graph_of(model, three(), "c"))["direct"][5]
    assert steps_made(comfy) == 8
    assert np.array_equal(film.frames(), whole.frames())


def test_previews_stream(model, comfy, engine) -> None:
    engine.run(graph_of(model, three(), "c"))
    chunks = comfy.progress[-1][1] // 2
    assert len(comfy.previews) == chunks
    kind, picture, pixels = comfy.previews[0]
    assert (kind, picture.size) == ("JPEG", (32, 16))
    assert pixels >= 256


def test_memory_pins_references_and_rules(model, comfy, engine) -> None:
    def film(**memory):
        shots = {
            "a": shot("runs"),
            "m": node("Memory", **{"rule": "spread", "pins": "", "shots": ["a", 0], **memory}),
            "b": shot("sleeps", shots=["m", 0]),
        }
        return engine.run(
            graph_of(
                model,
                shots,
                "b",
                first={
                    "class_type": "ImageFromBatch",
                    "inputs": {"image": ["one", 0], "batch_index": 2, "length": 1},
                },
                one=node("Direct", model=["load", 0], story=["story", 0], shots=["a", 0]),
            )
        )["direct"][5]

    spread, pinned, nothing = film(), film(pins="0:3"), film(rule="none")
    assert [frame.frame for frame in spread.shots[1].made_from] != [3]
    assert 3 in [frame.frame for frame in pinned.shots[1].made_from]
    assert nothing.shots[1].made_from == ()
    brought = film(references=["first", 0], reference_prompt="a red fox")
    assert [frame.is_reference for frame in brought.shots[1].made_from].count(True) == 1
    assert np.array_equal(brought.shots[1].made_from[0].pixels, spread.shots[0].frames[2])
    different = {made.shots[1].frames.tobytes() for made in (spread, pinned, nothing, brought)}
    assert len(different) == 4
    with pytest.raises(ValueError, match="frame 99 of shot 0 cannot be pinned"):
        film(pins="0:99")


def test_a_retake_leaves_the_other_shots_and_later_ones_remember_it(model, comfy, engine) -> None:
    shots = {
        "a": shot("runs"),
        "b": shot("a cat", shots=["a", 0]),
        "r": node("Retake", shots=["b", 0], shot=0, seed=-1, prompt=""),
        "c": shot("sleeps", shots=["r", 0]),
    }
    plain = engine.run(graph_of(model, {key: shots[key] for key in "ab"}, "b"))["direct"][5]
    film = engine.run(graph_of(model, shots, "c"))["direct"][5]
    assert not np.array_equal(film.shots[0].frames, plain.shots[0].frames)
    assert film.shots[1] is plain.shots[1]
    assert {frame.take for frame in film.shots[2].made_from if frame.shot == 0} == {1}
    shots["r"]["inputs"]["shot"] = 5
    with pytest.raises(ValueError, match="no shot 5 to retake; the story has 2 so far"):
        engine.run(graph_of(model, shots, "c"))


def test_continuity_shows_what_was_remembered_and_the_cuts(model, comfy, engine) -> None:
    look = node("Continuity", film=["direct", 5], shot=1)
    text = {"class_type": "PreviewAny", "inputs": {"source": ["look", 2]}}
    result = engine.run(graph_of(model, three(), "c", look=look, text=text))
    remembered, cuts, report = result["look"]
    film = result["direct"][5]
    assert len(remembered) == len(film.shots[1].made_from)
    assert cuts.shape == (2, 16, 64, 3)
    assert np.array_equal((cuts[0, :, :32].numpy() * 255).round(), film.shots[0].frames[-1])
    assert re.search(
        r"shot 0: \d+ frames, made from nothing\nshot 1: .*made from 0:0, .* of 255 on average", report
    )


def test_what_is_wrong_is_said_before_anything_is_made(model, comfy, engine) -> None:
    for broken, said in (
        ({"a": shot(" ")}, "the prompt is empty"),
        ({"a": shot("runs", redirects="then it sleeps")}, "the redirect 'then it sleeps' cannot be read"),
        ({"a": node("Memory", rule="spread", pins="0-8")}, "the pin '0-8' cannot be read"),
    ):
        with pytest.raises(ValueError, match=said):
            engine.run(graph_of(model, broken, "a"))
        assert engine.ran == []
    with pytest.raises(ValueError, match="the story has no shot"):
        engine.run(graph_of(model, {"a": node("Memory", rule="spread", pins="")}, "a"))
    with pytest.raises(ValueError, match="one for a chunk, from chunk 1 on"):
        parse_redirects("2: a\n1: b")
    assert parse_redirects("1: a\n\n3: b ") == ((1, "a"), (3, "b"))
    assert parse_pins("0:8, 1:0") == ((0, 8), (1, 0))


def test_the_least_recently_used_is_let_go_first() -> None:
    def told(size):
        return making._Told(None, (), "spread", size)

    store = making.FilmStore(most_bytes=10)
    store.put("a", told(4))
    store.put("b", told(4))
    assert store.get("a") is not None
    store.put("c", told(4))
    assert store.get("b") is None
    assert store.get("a") is not None
    store.put("d", told(99))
    assert store.get("d") is not None
    assert store.get("a") is None


def test_loras_are_a_stack(model, comfy, engine, pipeline) -> None:
    from safetensors.torch import save_file

    layer = pipeline.transformer.blocks[0].attn1.to_q
    generator = torch.Generator().manual_seed(0)
    folder = comfy.folder / "loras"
    folder.mkdir()
    for name in ("ink", "wash"):
        down = torch.randn(2, layer.in_features, generator=generator)
        up = torch.randn(layer.out_features, 2, generator=generator)
        tensors = {"lora_A": down, "lora_B": up}
        weights = {f"transformer.blocks.0.attn1.to_q.{part}.weight": value for part, value in tensors.items()}
        save_file(weights, folder / f"{name}.safetensors")

    def frames(*stack):
        shots = {"a": shot("runs")}
        graph = graph_of(model, shots, "a")
        before = None
        for place, (name, strength) in enumerate(stack):
            lora = {
                "lora": f"{name}.safetensors",
                "strength": strength,
                **({"loras": before} if before else {}),
            }
            graph[f"lora {place}"] = node("Lora", **lora)
            before = [f"lora {place}", 0]
        if before:
            graph["load"]["inputs"]["loras"] = before
        return engine.run(graph)["direct"][5].frames().tobytes()

    films = [frames(), frames(("ink", 1.0)), frames(("ink", 0.5)), frames(("ink", 1.0), ("wash", 1.0))]
    assert len(set(films)) == 4
    assert frames(("ink", 1.0)) == films[1]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_example_workflows_run(path, model, comfy, engine) -> None:
    graph = to_graph(json.loads(path.read_text()), NODE_CLASS_MAPPINGS)
    for entry in graph.values():
        if entry["class_type"] == "ShotStreamLoad":
            entry["inputs"]["folder"] = str(model)
        if entry["class_type"] == "ShotStreamShot":
            entry["inputs"]["seconds"] = 0.6
    results = engine.run(graph)
    assert any(isinstance(output, making.Film) for outputs in results.values() for output in outputs)
    assert path.with_suffix(".jpg").stat().st_size > 1000
    assert set(results) == set(graph), "every node is needed"


def test_the_examples_are_what_their_script_writes(tmp_path) -> None:
    assert len(WORKFLOWS) >= 3
    sys.path.insert(0, str(FOLDER))
    import make_workflows

    for name, workflow in make_workflows.workflows().items():
        assert json.loads((FOLDER / "example_workflows" / f"{name}.json").read_text()) == workflow


def test_the_node_pack_is_complete() -> None:
    settings = tomllib.loads((FOLDER / "pyproject.toml").read_text())
    assert settings["project"]["dependencies"] == (FOLDER / "requirements.txt").read_text().split()
    assert set(NODE_CLASS_MAPPINGS) == set(NODE_DISPLAY_NAME_MAPPINGS)
    readme = (FOLDER / "README.md").read_text()
    for name, kind in NODE_CLASS_MAPPINGS.items():
        assert NODE_DISPLAY_NAME_MAPPINGS[name].removeprefix("ShotStream ") in readme
        assert kind.DESCRIPTION
        assert len(kind.RETURN_TYPES) == len(kind.RETURN_NAMES)
        assert callable(getattr(kind, kind.FUNCTION))
    for path in (ROOT / "src").rglob("*.py"):
        assert "comfyui_shotstream" not in path.read_text()
