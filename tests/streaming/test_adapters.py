"""LoRAs at run time: a shot is what the merged model makes, and nothing of them is left behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from shotstream import ShotStreamPipeline, Story
from shotstream.loading.lora import merge_adapter, read_lora
from shotstream.loading.lora_files import adapter_name
from shotstream.models.float8 import Float8Linear, to_float8, use_float8
from shotstream.models.transformer import CausalWanTransformer3DModel
from shotstream.serving.served_model import ServedModel
from shotstream.streaming.session import StorySession
from shotstream.streaming.speed import Speed, prepare
from tests.streaming.random_lora import EVERYWHERE, write_lora

pytestmark = pytest.mark.unit

CAPTIONS = ("attn2.to_k", "attn2.to_v")


@pytest.fixture
def plain(make_pipeline) -> ShotStreamPipeline:
    return make_pipeline()


@pytest.fixture
def style(tmp_path, plain) -> Path:
    return write_lora(tmp_path / "style.safetensors", plain.transformer)


def merged(pipeline: ShotStreamPipeline, *loras: tuple[Path, float]) -> ShotStreamPipeline:
    """A model with the LoRAs in its weights for good."""
    transformer = deepcopy(pipeline.transformer)
    for path, scale in loras:
        merge_adapter(transformer, read_lora(path), scale)
    return ShotStreamPipeline(**{**pipeline.components, "transformer": transformer}, **settings_of(pipeline))


def settings_of(pipeline: ShotStreamPipeline) -> dict[str, Any]:
    return {name: pipeline.config[name] for name in ("fps", "height", "width", "caption_template")}


def story_of(*loras, **settings) -> Story:
    """A story of shots of two chunks and one caption, each with these LoRAs."""
    shots = [{"prompt": "runs", "chunks": 2, **({} if lora is None else {"lora": lora})} for lora in loras]
    return Story.model_validate({"setting": "a red fox", "seed": 2, "shots": shots, **settings})


def latents(pipeline: ShotStreamPipeline, story: Story) -> list[Tensor]:
    return [chunk.latents for chunk in pipeline.stream(story)]


def told_by(models: list[ShotStreamPipeline]) -> list[Tensor]:
    """The same story as `story_of`, each shot made by a model of its own from the shots before it."""
    made: list[Tensor] = []
    for number, model in enumerate(models):
        session = model.open("a red fox", seed=2)
        for shot in range(number + 1):
            session.cut("runs", chunks=2)
            for chunk in range(2):
                known = made[2 * shot + chunk] if shot < number else None
                new = session.next_chunk(known)
                assert new is not None
                if shot == number:
                    made.append(new.latents)
    return made


def close(one: list[Tensor], two: list[Tensor], tolerance: float = 1e-5) -> None:
    assert len(one) == len(two)
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a, b, atol=tolerance, rtol=tolerance)


def equal(one: list[Tensor], two: list[Tensor]) -> bool:
    return len(one) == len(two) and all(map(torch.equal, one, two))


def weights(pipeline: ShotStreamPipeline) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in pipeline.transformer.state_dict().items()}


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(value, two[name]) for name, value in one.items())


# ---- what a shot is made with ----


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("layers", [EVERYWHERE, CAPTIONS])
def test_shots_with_loras_are_what_merged_models_make(tmp_path, plain, layers, dora):
    """The caption is the same, so that keys and values of one shot must not serve the next."""
    path = write_lora(tmp_path / "style.safetensors", plain.transformer, layers, dora=dora)
    one, half = merged(plain, (path, 1.0)), merged(plain, (path, 0.5))
    expected = told_by([merged(plain), one, merged(plain), half, half])
    before = weights(plain)
    plain.load_lora_weights(path)
    told = latents(plain, story_of([], ["style"], [], ["style:0.5"], ["style:0.5"]))
    close(told, expected)
    assert not torch.allclose(told[2], told_by([merged(plain)] * 2)[2], atol=1e-2)
    plain.unload_lora_weights()
    assert same(weights(plain), before)


def test_loras_of_one_shot_add_up(tmp_path, plain, style):
    other = write_lora(tmp_path / "other.safetensors", plain.transformer, CAPTIONS, seed=1)
    both = merged(plain, (style, 0.5), (other, -1.0))
    before, expected = weights(plain), told_by([both, merged(plain, (other, 2.0))])
    for path in (style, other):
        plain.load_lora_weights(path)
    told = latents(plain, story_of(["style:0.5", "other:-1"], ["other:2"]))
    close(told, expected)
    assert equal(told, latents(plain, story_of(["other:-1", "style:0.5"], ["other:2", "style:0"])))
    plain.adapters.merge(())
    assert same(weights(plain), before)


def test_what_is_said_nearest_to_a_shot_counts(plain, style):
    """A shot's own LoRAs, else the story's, else those that the model is set to."""
    bare = latents(plain, story_of(None))
    assert plain.load_lora_weights(style) == "style"
    full = latents(plain, story_of(["style"]))
    plain.set_adapters("style", 0.5)
    half = latents(plain, story_of(["style:0.5"]))
    assert equal(latents(plain, story_of(None)), half)
    assert equal(latents(plain, story_of(None, lora=["style"])), full)
    assert equal(latents(plain, story_of(["style:0.5"], lora=["style"])), half)
    assert equal(latents(plain, story_of([], lora=["style"])), bare)
    plain.set_adapters([])
    assert equal(latents(plain, story_of(None)), bare)
    assert not equal(bare, half)
    assert not equal(full, half)


def test_a_running_shot_keeps_its_loras_and_a_redirected_one_too(plain, style):
    plain.load_lora_weights(style)

    def tell(change: Callable[[], None]) -> list[Tensor]:
        session, made = plain.open("a red fox", seed=2), []
        plain.set_adapters("style")
        for chunk in session.shoot("runs", chunks=3):
            made.append(chunk.latents)
            if chunk.index == 0:
                change()
                session.redirect("sleeps")
        return made

    expected = tell(lambda: None)
    assert equal(tell(lambda: plain.set_adapters([])), expected)


def test_sessions_that_take_turns_do_not_mix_their_loras(tmp_path, plain, style):
    other = write_lora(tmp_path / "other.safetensors", plain.transformer, seed=1)
    for path in (style, other):
        plain.load_lora_weights(path)
    wanted = ([], ["style"], ["other:0.5"])
    alone = [latents(plain, story_of(lora, lora)) for lora in wanted]
    sessions = [plain.stream(story_of(lora, lora)) for lora in wanted]
    in_turns = list(zip(*sessions, strict=True))
    for number, expected in enumerate(alone):
        assert equal([chunks[number].latents for chunks in in_turns], expected)


# ---- records ----


def test_a_retake_with_another_lora_is_not_recorded_as_the_same(plain, style):
    plain.load_lora_weights(style)
    session: StorySession = plain.open("a red fox", seed=2)
    [first] = session.shoot("runs", chunks=1, lora=["style:0.5"])
    [again] = session.retake(0)
    assert session.script[0].adapters == again.adapters == first.adapters
    [use] = first.adapters
    assert (use.name, use.scale, use.sha256) == ("style", 0.5, read_lora(style).sha256)
    [bare] = session.retake(0, lora=[])
    assert bare.adapters == session.script[0].adapters == ()
    assert not torch.equal(bare.latents, again.latents)


def test_snapshots_and_branches_go_on_with_their_loras(plain, style):
    plain.load_lora_weights(style)
    plain.set_adapters([])
    session = plain.open("a red fox", seed=2)
    session.cut("runs", chunks=2, lora=["style"])
    session.next_chunk()
    snapshot, branch = session.snapshot(), session.branch()
    expected = session.next_chunk()
    list(session.shoot("sleeps", chunks=1))  # without
    session.restore(snapshot)
    restored = session.next_chunk()
    assert expected is not None
    assert restored is not None
    assert torch.equal(restored.latents, expected.latents)
    assert branch.script[0].adapters == expected.adapters
    plain.unload_lora_weights()
    with pytest.raises(
        ValueError, match="the LoRA 'style' that this shot is made with is not loaded any more"
    ):
        session.restore(snapshot)


def test_a_studio_s_stories_are_marked_with_their_loras(plain, style):
    served = ServedModel(plain, "tiny", "abc")
    marks = {served.made_with.model}
    plain.load_lora_weights(style)
    marks.add(served.made_with.model)
    plain.set_adapters("style", 0.5)
    marks.add(served.made_with.model)
    assert len(marks) == 3
    assert f"style {read_lora(style).sha256[:12]} x0.5" in served.made_with.model


def test_a_model_is_saved_without_loras(plain, style, tmp_path):
    before = weights(plain)
    plain.load_lora_weights(style)
    latents(plain, story_of(["style"]))
    assert not same(weights(plain), before)
    plain.save_pretrained(tmp_path / "model")
    saved = CausalWanTransformer3DModel.from_pretrained(tmp_path / "model" / "transformer")
    assert same(saved.state_dict(), before)


def test_a_copy_of_a_transformer_can_be_freed_of_its_loras_too(plain, style):
    before = weights(plain)
    plain.load_lora_weights(style)
    latents(plain, story_of(["style"]))
    copied = merged(plain)
    assert not same(weights(copied), before)
    copied.adapters.merge(())
    assert same(weights(copied), before)
    assert not same(weights(plain), before)
    shared = ShotStreamPipeline(**plain.components, **settings_of(plain))
    assert equal(latents(shared, story_of(None)), latents(copied, story_of(None)))


# ---- faster ways to compute ----


@pytest.mark.long
def test_switching_compiles_nothing_and_fused_products_follow(plain, style, monkeypatch):
    expected = told_by([merged(plain), merged(plain, (style, 1.0)), merged(plain, (style, 0.5))])
    honest = CausalWanTransformer3DModel.compile_repeated_blocks
    compile_blocks = partialmethod(honest, backend="aot_eager")
    monkeypatch.setattr(CausalWanTransformer3DModel, "compile_repeated_blocks", compile_blocks)
    torch.compiler.reset()
    try:
        plain.load_lora_weights(style)
        prepare(plain, Speed(fuse=True, compile=True))
        assert plain.transformer.blocks[0].attn1.joint_projections() is None  # a gradient might be wanted
        with torch.no_grad(), torch.compiler.set_stance("fail_on_recompile"):
            told = latents(plain, story_of([], ["style"], ["style:0.5"]))
            assert plain.transformer.blocks[0].attn1.joint_projections() is not None
    finally:
        torch.compiler.set_stance("default")
        torch._dynamo.reset()
    close(told, expected, 1e-4)


@pytest.mark.parametrize("loaded_before", [True, False])
def test_eight_bit_layers_take_loras_and_are_restored_to_the_bit(plain, style, loaded_before):
    plain.transformer.to(torch.bfloat16)
    base = plain.transformer.blocks[0].attn1.to_q.weight.detach().clone()
    if loaded_before:
        plain.load_lora_weights(style)
        plain.adapters.merge(plain.active_adapters)
        prepare(plain, Speed())  # takes them out
    use_float8(plain.transformer)
    if not loaded_before:
        plain.load_lora_weights(style)
    before, layer = weights(plain), plain.transformer.blocks[0].attn1.to_q
    assert isinstance(layer, Float8Linear)
    plain.adapters.merge(plain.active_adapters)
    pair = read_lora(style).layers["blocks.0.attn1.to_q"]
    wanted = base.float() + pair.up @ pair.down
    made = layer.weight.float() * layer.weight_scale
    assert (made - wanted).abs().max() < 0.1 * wanted.abs().max()
    assert (made - base.float()).abs().max() > 0.2 * wanted.abs().max()
    assert torch.equal(to_float8(made)[0].float(), layer.weight.float())
    plain.adapters.merge(())
    assert same(weights(plain), before)


def test_layers_that_are_moved_and_cast_under_a_lora_come_back(plain, style):
    before = {name: value.bfloat16() for name, value in weights(plain).items()}
    plain.load_lora_weights(style)
    plain.adapters.merge(plain.active_adapters)
    plain.transformer.to(torch.bfloat16)
    plain.adapters.merge(())
    assert same(weights(plain), before)


def test_without_loras_nothing_is_kept(plain):
    latents(plain, story_of(None, []))
    assert plain.adapters.names == []
    assert plain.adapters._kept == {}


def test_a_merge_that_breaks_off_is_made_up_for(plain, style, monkeypatch):
    before, expected = weights(plain), latents(merged(plain, (style, 1.0)), story_of(None))
    plain.load_lora_weights(style)
    honest, count = Tensor.copy_, iter(range(100))
    monkeypatch.setattr(
        Tensor, "copy_", lambda self, other: fail() if next(count) == 3 else honest(self, other)
    )

    def fail():
        raise torch.OutOfMemoryError("no memory")

    with pytest.raises(torch.OutOfMemoryError):
        plain.adapters.merge(plain.active_adapters)
    monkeypatch.undo()
    close(latents(plain, story_of(["style"])), expected)
    plain.adapters.merge(())
    assert same(weights(plain), before)


# ---- refusals ----


def test_what_cannot_be_asked_for_is_said_at_once(plain, style, tmp_path):
    with pytest.raises(ValueError, match="shot 2: the LoRA 'style' is not loaded, nor is any other"):
        plain.stream(story_of([], ["style"]))
    plain.load_lora_weights(style)
    with pytest.raises(ValueError, match="the story: the LoRA 'stile' is not loaded; did you mean 'style'"):
        plain.stream(story_of(None, lora=["stile:2"]))
    with pytest.raises(ValueError, match="shot 1: the LoRA 'style' is named twice"):
        plain.stream(story_of(["style", "style:2"]))
    session = plain.open("a red fox")
    for lora, message in (
        (["nothing"], "'nothing' is not loaded"),
        (["style:x"], "a LoRA is 'style:x', but should be NAME or NAME:SCALE"),
        (["style", "style"], "named twice"),
    ):
        with pytest.raises(ValueError, match=message):
            session.cut("runs", lora=lora)
    assert session.running is None
    with pytest.raises(ValueError, match="2 scales for 1 LoRAs"):
        plain.set_adapters(["style"], [1.0, 2.0])
    with pytest.raises(ValueError, match="should be NAME or NAME:SCALE"):
        plain.set_adapters("style", float("nan"))
    with pytest.raises(ValueError, match="a LoRA called 'style' is loaded already"):
        plain.load_lora_weights(style)
    with pytest.raises(ValueError, match="cannot be called 'a:b'"):
        plain.load_lora_weights(style, "a:b")
    with pytest.raises(ValueError, match="there is no weight file"):
        plain.load_lora_weights(tmp_path / "nowhere.safetensors")
    assert plain.adapters.names == ["style"]


def test_a_lora_of_another_model_is_refused_before_it_is_loaded(plain, make_pipeline, tmp_path):
    bigger = write_lora(tmp_path / "big.safetensors", make_pipeline(num_layers=3).transformer)
    with pytest.raises(ValueError, match=r"it has blocks.2.* which the model does not have"):
        plain.load_lora_weights(bigger)
    assert plain.adapters.names == []


def test_layers_of_other_kinds_are_refused(plain, style):
    plain.transformer.blocks[1].attn1.to_q = torch.nn.Sequential(torch.nn.Linear(24, 24))
    plain.transformer.blocks[1].attn1.to_q.weight = torch.nn.Parameter(torch.ones(24, 24))
    with pytest.raises(ValueError, match=r"cannot be merged into blocks.1.attn1.to_q, which is a Sequential"):
        plain.load_lora_weights(style)


def test_adapters_of_peft_are_told_apart(plain, style):
    peft = pytest.importorskip("peft")
    plain.transformer.add_adapter(peft.LoraConfig(r=2, target_modules=["to_q"]))
    with pytest.raises(
        ValueError, match=r"which is a Linear of peft; take out what changes the model's layers .adapters"
    ):
        plain.load_lora_weights(style)


def test_layers_that_are_elsewhere_are_refused(plain, style):
    plain.transformer.to("meta")
    with pytest.raises(ValueError, match="brought one layer at a time; use enable_model_cpu_offload"):
        plain.load_lora_weights(style)


def test_a_layer_that_is_replaced_under_a_lora_is_noticed(plain, style):
    plain.load_lora_weights(style)
    plain.adapters.merge(plain.active_adapters)
    plain.transformer.blocks[1].attn1.to_q = torch.nn.Linear(24, 24)
    with pytest.raises(ValueError, match=r"layer blocks.1.attn1.to_q was replaced while a LoRA was in it"):
        plain.adapters.merge(())


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("style.safetensors", "style"),
        ("a/b/adapter_model.safetensors", "b"),
        ("a/oil paint/pytorch_lora_weights.safetensors", "oil_paint"),
        ("a/folder", "folder"),
        ("v1.2.safetensors", "v1.2"),
        ("a/v1.2", "v1.2"),
        ("Ölbild: 2.pt", "Ölbild_2"),
    ],
)
def test_a_lora_is_called_after_its_file(path, name):
    assert adapter_name(Path(path)) == name


def test_settings_in_peft_s_folder_count_at_run_time_too(plain, style, tmp_path):
    folder = tmp_path / "peft"
    folder.mkdir()
    style.rename(folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"r": 2, "lora_alpha": 1}))
    assert plain.load_lora_weights(folder) == "peft"
    strong = latents(plain, story_of(["peft:2"]))
    (folder / "adapter_config.json").unlink()
    plain.load_lora_weights(folder, "full")
    close(strong, latents(plain, story_of(["full"])))
