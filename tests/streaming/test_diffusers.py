"""What diffusers' users expect of a pipeline; docs/diffusers.md has the table that names these tests."""

from __future__ import annotations

import ast
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import shotstream
from shotstream import Story
from shotstream.streaming.adapters import AdapterUse

pytestmark = pytest.mark.unit

PROMPTS = ["a red fox runs", "sleeps"]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def told(pipeline) -> np.ndarray:
    return pipeline(PROMPTS, num_frames=[13, 5], seed=3).frames


@pytest.fixture(scope="module")
def saved(pipeline, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    pipeline.save_pretrained(folder)
    return folder


def test_a_prompt_is_a_text_or_a_list_with_one_for_each_shot(pipeline, told) -> None:
    shots = [{"prompt": PROMPTS[0], "chunks": 2}, {"prompt": PROMPTS[1], "chunks": 1}]
    story = Story.model_validate({"setting": "", "seed": 3, "shots": shots})
    assert np.array_equal(pipeline(story).frames, told)
    alone = pipeline(PROMPTS[0], num_frames=13, seed=3).frames
    assert np.array_equal(alone[0], told[0, :13])
    in_the_snow = pipeline(PROMPTS[0], setting="snow", num_frames=13, seed=3).frames
    assert not np.array_equal(in_the_snow, alone)
    with pytest.raises(ValueError, match="a Story has its own setting"):
        pipeline(story, setting="snow")
    with pytest.raises(ValueError, match="a int is no prompt"):
        pipeline(5)


def test_num_frames_becomes_whole_chunks(pipeline) -> None:
    with pytest.warns(UserWarning, match="so 6 frames become 13") as warned:
        assert pipeline(PROMPTS[0], num_frames=6).frames.shape[1] == 13
    assert warned[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pipeline(PROMPTS[0], num_frames=5).frames.shape[1] == 5
    with pytest.raises(ValueError, match="num_frames has 3 numbers for 2 shots"):
        pipeline(PROMPTS, num_frames=[5, 5, 5])
    with pytest.raises(ValueError, match="at least 1 frame"):
        pipeline(PROMPTS, num_frames=0)


def test_a_generator_stands_for_its_seed(pipeline, told) -> None:
    generator = torch.Generator().manual_seed(3)
    assert np.array_equal(pipeline(PROMPTS, num_frames=[13, 5], generator=generator).frames, told)
    assert np.array_equal(pipeline(PROMPTS, num_frames=[13, 5], generator=[generator]).frames, told)
    with pytest.raises(ValueError, match="2 generators for one story"):
        pipeline(PROMPTS, generator=[generator, generator])


def test_latents_are_the_noise_that_the_film_starts_from(pipeline) -> None:
    shape = (1, 4, 6, *pipeline.latent_shape(16, 32)[1:])
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    first = pipeline(PROMPTS, num_frames=[13, 5], latents=latents).frames
    assert np.array_equal(pipeline(PROMPTS, num_frames=[13, 5], latents=latents.clone()).frames, first)
    latents[:, :, 4:] = -latents[:, :, 4:]
    other = pipeline(PROMPTS, num_frames=[13, 5], latents=latents).frames
    assert np.array_equal(other[:, :13], first[:, :13])
    assert not np.array_equal(other[:, 13:], first[:, 13:])
    with pytest.raises(ValueError, match=r"this film starts from \(1, 4, 6, 2, 4\)"):
        pipeline(PROMPTS, num_frames=[13, 5], latents=latents[:, :, :5])


def test_output_types_and_return_dict(pipeline, told) -> None:
    clean = pipeline(PROMPTS, num_frames=[13, 5], seed=3, output_type="latent")
    assert clean.frames.shape == (1, 4, 6, 2, 4)
    assert [tuple(shot.shape) for shot in clean.shots] == [(4, 4, 2, 4), (4, 2, 2, 4)]
    session = pipeline.open("", 3)
    chunk = next(session.shoot(PROMPTS[0]))
    assert torch.equal(clean.frames[:, :, :2].transpose(1, 2), chunk.latents)
    frames, shots = pipeline(PROMPTS, num_frames=[13, 5], seed=3, return_dict=False)
    assert np.array_equal(frames, told)
    assert len(shots) == 2


def test_a_callback_is_told_of_every_step_and_may_change_latents(pipeline, told) -> None:
    seen = []

    def watch(pipe, step, timestep, given):
        seen.append((step, float(timestep), tuple(given["latents"].shape)))

    watched = pipeline(PROMPTS, num_frames=[13, 5], seed=3, callback_on_step_end=watch).frames
    assert np.array_equal(watched, told)
    times = pipeline.scheduler.student_steps().tolist()
    assert seen == [(step, times[step % 2], (1, 4, 2, 2, 4)) for step in range(6)]

    def change(pipe, step, timestep, given):
        return {"latents": given["latents"] * 0} if step == 5 else {}

    clean = pipeline(PROMPTS, num_frames=[13, 5], seed=3, callback_on_step_end=change, output_type="latent")
    assert clean.frames[:, :, :4].any()
    assert not clean.frames[:, :, 4:].any()
    with pytest.raises(ValueError, match="cannot be given prompt_embeds"):
        pipeline(PROMPTS, callback_on_step_end_tensor_inputs=["latents", "prompt_embeds"])


def test_a_callback_may_interrupt_after_the_running_chunk(pipeline, told) -> None:
    def stop(pipe, step, timestep, given):
        if step == 2:  # the first of the second chunk
            pipe._interrupt = True

    stopped = pipeline(PROMPTS, num_frames=[13, 5], seed=3, callback_on_step_end=stop).frames
    assert np.array_equal(stopped, told[:, :13])
    assert pipeline(PROMPTS, num_frames=[13, 5], seed=3).frames.shape[1] == 18


def test_attention_kwargs_scale_the_loras(pipeline, monkeypatch) -> None:
    used = []
    monkeypatch.setattr(pipeline.adapters, "merge", used.append)
    monkeypatch.setattr(pipeline, "active_adapters", (AdapterUse("ink", "0", 0.5),))
    pipeline(PROMPTS[0], num_frames=5, attention_kwargs={"scale": 0.4})
    assert used == [(AdapterUse("ink", "0", 0.2),)]
    assert pipeline.active_adapters == (AdapterUse("ink", "0", 0.5),)
    with pytest.raises(ValueError, match="attention_kwargs has mask, which"):
        pipeline(PROMPTS, attention_kwargs={"mask": 1})


def test_a_progress_bar_counts_steps(make_pipeline, capsys) -> None:
    pipeline = make_pipeline()
    pipeline(PROMPTS[0], num_frames=5)
    assert capsys.readouterr().err == ""
    pipeline.set_progress_bar_config(disable=False, desc="film")
    pipeline(PROMPTS[0], num_frames=5)
    err = capsys.readouterr().err
    assert "film: 100%" in err
    assert "2/2" in err


@pytest.mark.parametrize("kind", ["block_level", "leaf_level"])
def test_group_offload_gives_the_same_frames(make_pipeline, told, tmp_path, kind) -> None:
    """Weights that are not brought in are not there: on a CPU they are on the disk."""
    pipeline = make_pipeline()
    blocks = {"num_blocks_per_group": 1} if kind == "block_level" else {}
    cpu = torch.device("cpu")
    pipeline.enable_group_offload(cpu, offload_type=kind, offload_to_disk_path=str(tmp_path), **blocks)
    assert list(tmp_path.glob("*.safetensors"))
    frames = pipeline(PROMPTS, num_frames=[13, 5], seed=3).frames
    assert (
        np.abs(frames - told).max() < 0.01
    )  # weights lie elsewhere in memory, where kernels round otherwise


def test_model_offload_gives_the_same_frames(make_pipeline, told) -> None:
    pipeline = make_pipeline()
    pipeline.enable_model_cpu_offload(device="cpu")
    assert pipeline._all_hooks
    assert np.array_equal(pipeline(PROMPTS, num_frames=[13, 5], seed=3).frames, told)


@pytest.mark.parametrize("text", ["cpu", "resident"])
def test_sequential_offload_gives_the_same_frames(saved, told, text) -> None:
    """Weights have no contents but while their layer runs. accelerate takes no CPU for a device to run on."""
    pipeline = shotstream.ShotStreamPipeline.from_pretrained(saved, text=text)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.enable_sequential_cpu_offload(device="cpu")
    for module in (*pipeline.transformer.modules(), *pipeline.text_encoder.modules()):
        hook = getattr(module, "_hf_hook", None)
        for one in getattr(hook, "hooks", [hook]):
            if getattr(one, "execution_device", None) is not None:
                one.execution_device = torch.device("cpu")  # it says cpu:0, which is another one
    assert pipeline.transformer.blocks[0].attn1.to_q.weight.is_meta
    frames = pipeline(PROMPTS, num_frames=[13, 5], seed=3).frames
    assert np.abs(frames - told).max() < 0.01
    assert pipeline.transformer.blocks[0].attn1.to_q.weight.is_meta


def test_quantised_transformers_load(pipeline, saved, told) -> None:
    quantization = pytest.importorskip("torchao.quantization")
    from diffusers import PipelineQuantizationConfig, TorchAoConfig

    config = TorchAoConfig(quantization.Int8WeightOnlyConfig())
    loaded = shotstream.ShotStreamPipeline.from_pretrained(
        saved, quantization_config=PipelineQuantizationConfig(quant_mapping={"transformer": config})
    )
    assert type(loaded.transformer.blocks[0].attn1.to_q.weight) is not torch.nn.Parameter
    loaded.set_progress_bar_config(disable=True)
    frames = loaded(PROMPTS, num_frames=[13, 5], seed=3).frames
    assert np.abs(frames - told).mean() < 0.1


def test_a_modular_pipeline_says_what_it_cannot_tell(pipeline) -> None:
    from types import SimpleNamespace

    from shotstream.streaming.blocks import captions_of

    components = SimpleNamespace(config=pipeline.config)
    story = Story.model_validate({"setting": "", "shots": [{"prompt": "runs", "lora": ["ink"]}]})
    with pytest.raises(ValueError, match="need ShotStreamPipeline"):
        captions_of(components, story, "")
    assert captions_of(components, ["runs"], "a fox") == ["a fox shot 0: runs"]


def test_every_row_of_the_table_names_tests_that_exist() -> None:
    table = (ROOT / "docs" / "diffusers.md").read_text()
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    names = {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    assert len(rows) > 10
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row)
        assert named or "does not hold" in row, row
        assert set(named) <= names, row
