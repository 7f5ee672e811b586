from __future__ import annotations

from math import nan

import pytest
import torch
from torch._dynamo.utils import counters

from shotstream.models import attention, attention_choice
from shotstream.models.attention_choice import fastest_attention, use_attention
from shotstream.models.float8 import Float8Linear
from shotstream.streaming import speed
from shotstream.streaming.speed import MODES, Speed, choose_mode, prepare

pytestmark = pytest.mark.cpu

CPU = torch.device("cpu")


def tell(pipeline) -> torch.Tensor:
    session = pipeline.open("a red fox", seed=2)
    chunks = [c for prompt in ("runs", "sleeps", "a cat") for c in session.shoot(prompt, chunks=4)]
    return torch.cat([chunk.latents for chunk in chunks])


def test_without_a_gpu_nothing_is_done_unless_asked_for():
    assert MODES[choose_mode("auto", CPU).value] == Speed()
    assert choose_mode("fast", CPU).value == "fast"
    assert choose_mode("auto", torch.device("cuda")).value == "exact"
    with pytest.raises(ValueError, match="no mode 'turbo'; give auto, plain, exact, fast"):
        choose_mode("turbo", CPU)


def test_the_fastest_attention_is_measured():
    choice = fastest_attention(8, 24, 2, 16, torch.float32, CPU)
    assert choice.value in ("native", "_native_flash")
    assert "native" in choice.reason
    assert "8 x 24 tokens" in choice.reason


def test_a_back_end_that_computes_something_else_is_not_taken(monkeypatch):
    honest = attention_choice.dispatch_attention_fn

    def dispatch(query, key, value, backend):
        return honest(query, key, value, backend=backend) * (2 if backend.value == "_native_flash" else 1)

    monkeypatch.setattr(attention_choice, "dispatch_attention_fn", dispatch)
    choice = fastest_attention(8, 24, 2, 16, torch.float32, CPU)
    assert choice.value == "native"
    assert "not here: _native_flash" in choice.reason


def test_a_back_end_that_gives_no_numbers_is_not_taken(monkeypatch):
    honest = attention_choice.dispatch_attention_fn

    def dispatch(query, key, value, backend):
        return honest(query, key, value, backend=backend) * (nan if backend.value == "_native_flash" else 1)

    monkeypatch.setattr(attention_choice, "dispatch_attention_fn", dispatch)
    assert fastest_attention(8, 24, 2, 16, torch.float32, CPU).value == "native"


def test_a_back_end_is_that_of_one_model_only(make_pipeline, monkeypatch):
    one, other = make_pipeline(), make_pipeline()
    use_attention(one.transformer, "_native_math")
    used = []
    honest = attention.dispatch_attention_fn

    def dispatch(*tensors, backend, **settings):
        used.append(backend)
        return honest(*tensors, backend=backend, **settings)

    monkeypatch.setattr(attention, "dispatch_attention_fn", dispatch)
    tell(other)
    assert set(used) == {None}
    tell(one)
    assert {"_native_math"} == {backend.value for backend in used if backend is not None}


def test_eight_bit_layers_are_taken_where_they_are_faster(make_pipeline, monkeypatch):
    for gain, kind in ((1.05, torch.nn.Linear), (1.5, Float8Linear)):
        pipeline = make_pipeline()
        pipeline.transformer.to(torch.bfloat16)
        monkeypatch.setattr(speed, "_float8_gain", lambda *_, gain=gain: gain)
        [(what, choice)] = prepare(pipeline, Speed(float8=True))
        assert what == "linear layers"
        assert f"{gain:.2f} times" in choice.reason
        assert type(pipeline.transformer.blocks[0].ffn.net[2]) is kind


def test_eight_bit_layers_are_left_out_of_other_formats(make_pipeline):
    [(_, choice)] = prepare(make_pipeline(), Speed(float8=True))
    assert choice.value == "as they are"
    assert "bfloat16" in choice.reason


def test_compiled_blocks_give_the_same_and_are_compiled_once(make_pipeline):
    torch.compiler.reset()  # what others have compiled counts too
    pipeline, compiled = make_pipeline(), make_pipeline()
    try:
        counters.clear()
        chosen = dict(prepare(compiled, Speed(attention=True, compile=True)))
        assert chosen["blocks"].value == "compiled"
        assert not counters["graph_break"]
        assert counters["stats"]["unique_graphs"]
        with torch.compiler.set_stance("fail_on_recompile"):
            told = tell(compiled)
        torch.testing.assert_close(told, tell(pipeline), atol=1e-4, rtol=1e-4)
    finally:
        torch.compiler.set_stance("default")
        torch._dynamo.reset()
