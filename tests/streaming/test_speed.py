from __future__ import annotations

import re
import warnings
from functools import partialmethod
from math import nan, prod
from typing import Any

import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters
from torch._inductor.utils import run_and_get_code
from torch.nn.attention import SDPBackend

from shotstream.machine import attention_choice, attention_error
from shotstream.machine.attention_choice import CANDIDATES, KERNELS, fastest_attention, use_attention
from shotstream.machine.attention_error import float8_attention_error
from shotstream.machine.device import Choice
from shotstream.models import attention
from shotstream.models.block import WanFeedForward
from shotstream.models.float8 import Float8Linear
from shotstream.models.transformer import CausalWanTransformer3DModel
from shotstream.streaming import speed
from shotstream.streaming.speed import MODES, Speed, choose_mode, prepare
from tests.models.eight_bit import can_multiply

pytestmark = pytest.mark.system

CPU = torch.device("cpu")


def tell(pipeline) -> torch.Tensor:
    session = pipeline.open("a red fox", seed=2)
    chunks = [c for prompt in ("runs", "sleeps", "a cat") for c in session.shoot(prompt, chunks=4)]
    return torch.cat([chunk.latents for chunk in chunks])


def test_without_a_gpu_nothing_is_done_unless_asked_for():
    assert MODES[choose_mode("auto", CPU).value] == Speed()
    assert choose_mode("fast", CPU).value == "fast"
    assert choose_mode("auto", torch.device("cuda")).value == "compiled"
    with pytest.raises(ValueError, match="no mode 'turbo'; give auto, plain, compiled, fast"):
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


def test_torchs_kernels_are_chosen_by_name_and_one_that_does_not_run_is_not(monkeypatch):
    monkeypatch.setitem(attention_choice.CANDIDATES, "cpu", tuple(KERNELS))
    choice = fastest_attention(8, 24, 2, 16, torch.float32, CPU)
    assert choice.value == "torch-flash"
    assert "not here: torch-cudnn" in choice.reason
    assert all(name.startswith("torch-") for name in CANDIDATES["cuda"][: len(KERNELS)])


def test_a_kernel_is_named_for_every_shape_and_others_follow_in_a_fixed_order(make_pipeline, compiling):
    """Full graphs, too. Here only flash attention and plain products run."""
    pipeline, plain, orders = make_pipeline(), make_pipeline(), []
    use_attention(pipeline.transformer, "torch-cudnn")
    honest = attention.dispatch_attention_fn

    def dispatch(*tensors, **settings):
        orders.append(torch._C._get_sdp_priority_order())
        return honest(*tensors, **settings)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(attention, "dispatch_attention_fn", dispatch)
        told = tell(pipeline)
    wanted = [*KERNELS.values(), SDPBackend.MATH]
    assert {tuple(order[: len(wanted)]) for order in orders} == {tuple(kernel.value for kernel in wanted)}
    assert torch.equal(told, tell(plain))
    compiling("aot_eager")
    pipeline.transformer.compile_repeated_blocks(fullgraph=True)
    torch.testing.assert_close(tell(pipeline), told, atol=1e-4, rtol=1e-4)
    use_attention(pipeline.transformer, "native")
    assert not any(block.attn1.processor.kernels for block in pipeline.transformer.blocks)


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


@pytest.mark.parametrize(("before", "after", "taken"), [(1.005, 1.0, False), (1.02, 1.0, True)])
def test_one_kernel_writes_into_the_cache_where_passes_are_faster(
    make_pipeline, monkeypatch, tmp_path, before, after, taken
):
    """And the next process does so without trying; pictures are the same."""
    monkeypatch.setenv("SHOTSTREAM_CACHE", str(tmp_path))
    plain, seconds = tell(make_pipeline()), iter([before, after])
    monkeypatch.setattr(speed, "lacks_kernel", lambda device: None)
    monkeypatch.setattr(speed._Rehearsal, "seconds", lambda self: next(seconds))
    for _ in range(2):
        pipeline = make_pipeline()
        chosen = dict(prepare(pipeline, Speed(fuse=True)))
        assert chosen["cache writes"].value == ("one kernel" if taken else "as they are")
        assert f"{before:.3f} times as fast" in chosen["cache writes"].reason
        assert all(block.attn1.writes_at_once is taken for block in pipeline.transformer.blocks)
        torch.testing.assert_close(tell(pipeline), plain, atol=1e-4, rtol=1e-4)
    words = speed.changes_of_numbers({what: choice.value for what, choice in chosen.items()})
    assert ("cache-writes=one-kernel" in words) is taken


@pytest.mark.parametrize("error", [0.5, nan, RuntimeError("no such kernel")])
def test_a_kernel_that_is_wrong_or_does_not_run_is_not_taken(make_pipeline, monkeypatch, error):
    def try_out(*_) -> float:
        if isinstance(error, Exception):
            raise error
        return error

    pipeline = make_pipeline()
    monkeypatch.setattr(speed, "lacks_kernel", lambda device: None)
    monkeypatch.setattr(speed, "cache_write_error", try_out)
    choice = dict(prepare(pipeline, Speed(fuse=True)))["cache writes"]
    assert choice.value == "as they are"
    assert "no such kernel" in choice.reason or "computes something else here" in choice.reason
    assert not any(block.attn1.writes_at_once for block in pipeline.transformer.blocks)


def test_on_a_cpu_there_is_no_such_kernel(make_pipeline):
    choice = dict(prepare(make_pipeline(), Speed(fuse=True)))["cache writes"]
    assert choice == Choice("as they are", "only a GPU has a kernel for it")


@pytest.mark.parametrize(
    ("before", "after", "kind"), [(1.02, 1.0, torch.nn.Linear), (1.5, 1.0, Float8Linear)]
)
def test_eight_bit_layers_are_taken_where_passes_are_faster(make_pipeline, monkeypatch, before, after, kind):
    pipeline, seconds = make_pipeline(), iter([before, after])
    pipeline.transformer.to(torch.bfloat16)
    monkeypatch.setattr(speed._Rehearsal, "warm_up", lambda self: None)
    monkeypatch.setattr(speed._Rehearsal, "seconds", lambda self: next(seconds))
    [(what, choice), _] = prepare(pipeline, Speed(float8=True))
    assert what == "linear layers"
    assert f"{before:.2f} times" in choice.reason
    assert type(pipeline.transformer.blocks[0].ffn.net[2]) is kind


def test_eight_bit_layers_that_do_not_run_are_taken_out_again(make_pipeline, monkeypatch):
    pipeline, plain = make_pipeline(), make_pipeline()
    for model in (pipeline, plain):
        model.transformer.to(torch.bfloat16)

    def refuse(*_):
        raise RuntimeError("no such product on this device. Try another")

    monkeypatch.setattr(Float8Linear, "forward", refuse)
    [(_, choice), _] = prepare(pipeline, Speed(float8=True))
    assert choice.value == "as they are"
    assert "RuntimeError: no such product on this device" in choice.reason
    assert torch.equal(tell(pipeline), tell(plain))


def test_eight_bit_layers_are_left_out_of_other_formats(make_pipeline):
    for _, choice in prepare(make_pipeline(), Speed(float8=True)):
        assert choice.value == "as they are"
        assert "bfloat16" in choice.reason


def test_what_was_measured_once_is_chosen_again_without_timing(make_pipeline, monkeypatch, tmp_path):
    monkeypatch.setenv("SHOTSTREAM_CACHE", str(tmp_path))
    seconds = iter([2.0, 1.0])
    monkeypatch.setattr(speed._Rehearsal, "seconds", lambda self: next(seconds))
    monkeypatch.setattr(speed._Rehearsal, "warm_up", lambda self: None)
    monkeypatch.setattr(speed, "fastest_attention", lambda *_: Choice("_native_flash", "quicker"))

    def prepared() -> dict[str, str]:
        pipeline = make_pipeline()
        pipeline.transformer.to(torch.bfloat16)
        chosen = prepare(pipeline, Speed(attention=True, float8=True))
        return {what: choice.value for what, choice in chosen}

    first = prepared()
    assert first["attention"] == "_native_flash"
    assert first["linear layers"] == "float8"
    monkeypatch.setattr(speed, "fastest_attention", lambda *_: Choice("native", "quicker now"))
    assert prepared() == first  # a third timing would end the iterator
    assert speed.changes_of_numbers(first)[0] == "attention=_native_flash"
    monkeypatch.setenv("SHOTSTREAM_CACHE", "off")
    assert prepared()["attention"] == "native"


@pytest.fixture
def trying(make_pipeline, monkeypatch):
    """A pipeline whose 8-bit attention is tried here, too; its layers are left alone."""
    pipeline = make_pipeline()
    pipeline.transformer.to(torch.bfloat16)
    monkeypatch.setattr(speed, "FLOAT8_ATTENTION_DEVICES", ("cpu",))
    monkeypatch.setattr(speed, "float8_attention_error_apart", float8_attention_error)
    monkeypatch.setattr(speed, "_try_float8", lambda *_: Choice("as they are", "not tried"))
    return pipeline


def uses_float8_attention(pipeline) -> list[bool]:
    return [block.attn1.float8 for block in pipeline.transformer.blocks]


@pytest.mark.parametrize(("before", "taken"), [(1.02, False), (1.5, True)])
def test_eight_bit_attention_is_taken_where_passes_are_faster(trying, monkeypatch, before, taken):
    seconds, formats = iter([before, 1.0]), []

    def measure(rehearsal) -> float:
        formats.append(rehearsal._rollout.cache._keys.dtype)
        return next(seconds)

    monkeypatch.setattr(speed._Rehearsal, "seconds", measure)
    choice = dict(prepare(trying, Speed(float8=True)))["attention to the cache"]
    assert choice.value == ("float8" if taken else "as they are")
    assert f"{before:.2f} times" in choice.reason
    assert formats == [torch.bfloat16, torch.float8_e4m3fn]
    assert uses_float8_attention(trying) == [taken] * 2
    assert trying.cache_dtype == (torch.float8_e4m3fn if taken else None)


def test_a_cache_that_users_chose_stays_in_8_bits(trying, monkeypatch):
    trying.cache_dtype = torch.float8_e4m3fn
    monkeypatch.setattr(speed._Rehearsal, "seconds", lambda self: 1.0)
    choice = dict(prepare(trying, Speed(float8=True)))["attention to the cache"]
    assert choice.value == "as they are"
    assert trying.cache_dtype == torch.float8_e4m3fn


@pytest.mark.parametrize("factor", [2, nan])
def test_eight_bit_attention_that_is_something_else_is_not_taken(trying, monkeypatch, factor):
    honest = attention_error.attend_float8
    monkeypatch.setattr(attention_error, "attend_float8", lambda *given: factor * honest(*given))
    choice = dict(prepare(trying, Speed(float8=True)))["attention to the cache"]
    assert choice.value == "as they are"
    assert "something else here" in choice.reason
    assert not any(uses_float8_attention(trying))


@pytest.mark.parametrize("place", [attention_error, attention])
def test_eight_bit_attention_that_does_not_run_is_taken_out_again(trying, make_pipeline, monkeypatch, place):
    def refuse(*_):
        raise ModuleNotFoundError("No module named 'cudnn'")

    monkeypatch.setattr(place, "attend_float8", refuse)
    choice = dict(prepare(trying, Speed(float8=True)))["attention to the cache"]
    assert choice.value == "as they are"
    assert "ModuleNotFoundError: No module named 'cudnn'" in choice.reason
    assert trying.cache_dtype is None
    plain = make_pipeline()
    plain.transformer.to(torch.bfloat16)
    assert torch.equal(tell(trying), tell(plain))


def test_eight_bit_attention_needs_a_gpu(make_pipeline):
    pipeline = make_pipeline()
    pipeline.transformer.to(torch.bfloat16)
    choice = dict(prepare(pipeline, Speed(float8=True)))["attention to the cache"]
    assert choice.reason == "8-bit attention needs a GPU"


def test_projections_are_fused_and_gelu_is_not_without_a_gpu(make_pipeline):
    pipeline = make_pipeline()
    chosen = dict(prepare(pipeline, Speed(fuse=True)))
    assert chosen["projections"] == Choice("fused", "queries, keys and values are one product")
    assert chosen["GELU"].value == "by itself"
    assert "only products on a GPU" in chosen["GELU"].reason
    torch.testing.assert_close(tell(pipeline), tell(make_pipeline()), atol=1e-4, rtol=1e-4)


def test_projections_with_adapters_are_computed_one_by_one(make_pipeline):
    pipeline = make_pipeline()
    for block in pipeline.transformer.blocks:
        block.attn1.to_q.register_forward_hook(lambda layer, arguments, result: result)
    chosen = dict(prepare(pipeline, Speed(fuse=True)))
    assert chosen["projections"].value == "one by one"
    assert "hooks" in chosen["projections"].reason
    assert torch.equal(tell(pipeline), tell(make_pipeline()))


def test_projections_that_cannot_be_moved_are_computed_one_by_one(make_pipeline, monkeypatch):
    def refuse(*_):
        raise torch.OutOfMemoryError("no memory")

    pipeline = make_pipeline()
    monkeypatch.setattr(attention, "lay_together", refuse)
    chosen = dict(prepare(pipeline, Speed(fuse=True)))
    assert chosen["projections"] == Choice("one by one", "OutOfMemoryError: no memory")
    assert torch.equal(tell(pipeline), tell(make_pipeline()))


def test_gelu_is_computed_in_the_product_where_that_is_the_same(make_pipeline, monkeypatch):
    monkeypatch.setattr(WanFeedForward, "gelu_devices", ("cpu",))
    pipeline = make_pipeline()
    assert dict(prepare(pipeline, Speed(fuse=True)))["GELU"].value == "in the product"
    told, usual = tell(pipeline), tell(make_pipeline())
    assert not torch.equal(told, usual)
    torch.testing.assert_close(told, usual, atol=1e-2, rtol=1e-2)  # on a CPU by erf


def _refuse(*_, **__):
    raise RuntimeError("cublasLt has no such product")


@pytest.mark.parametrize(
    ("product", "reason"),
    [
        (_refuse, "cannot compute it here: RuntimeError: cublasLt has no such product"),
        (lambda bias, *_, **__: torch.full((256, len(bias)), nan), "something else here: nan"),
        (lambda bias, rows, weight, **_: torch.addmm(bias, rows, weight), "something else here"),
    ],
)
def test_gelu_in_a_product_that_is_wrong_is_not_taken(make_pipeline, monkeypatch, product, reason):
    monkeypatch.setattr(WanFeedForward, "gelu_devices", ("cpu",))
    monkeypatch.setattr(torch, "_addmm_activation", product)
    pipeline, plain = make_pipeline(), make_pipeline()
    choice = dict(prepare(pipeline, Speed(fuse=True)))["GELU"]
    assert choice.value == "by itself"
    assert reason in choice.reason
    assert not any(block.ffn.gelu_in_product for block in pipeline.transformer.blocks)
    torch.testing.assert_close(tell(pipeline), tell(plain), atol=1e-4, rtol=1e-4)


@pytest.fixture
def compiling(monkeypatch):
    """Has blocks compiled as one graph by a back end, which gives its graphs and the back end's name."""
    honest = CausalWanTransformer3DModel.compile_repeated_blocks

    def use(backend: Any) -> None:
        compile_blocks = partialmethod(honest, backend=backend)
        monkeypatch.setattr(CausalWanTransformer3DModel, "compile_repeated_blocks", compile_blocks)

    torch.compiler.reset()  # what others have compiled counts too
    counters.clear()
    yield use
    torch.compiler.set_stance("default")
    torch._dynamo.reset()


def graphs() -> int:
    assert not counters["graph_break"]
    return counters["stats"]["unique_graphs"]


def test_blocks_that_cannot_be_compiled_run_as_they_are(make_pipeline, compiling):
    def refuse(*_):
        raise ValueError("an operation is not supported")

    pipeline = make_pipeline()
    compiling(refuse)
    chosen = dict(prepare(pipeline, MODES["compiled"]))
    assert chosen["blocks"].value == "as they are"
    assert "an operation is not supported" in chosen["blocks"].reason
    assert pipeline.compiled_for is None
    assert torch.equal(tell(pipeline), tell(make_pipeline()))


def test_an_attention_that_cannot_be_compiled_is_given_up_before_compiling_is(
    make_pipeline, compiling, monkeypatch
):
    pipeline = make_pipeline()
    compiling("eager")
    monkeypatch.setattr(speed, "fastest_attention", lambda *_: Choice("_native_math", "made up"))
    honest = speed._compile_blocks

    def compile_blocks(pipeline, size):
        backend = pipeline.transformer.blocks[0].attn1.processor._attention_backend
        return "it is odd" if backend.value != "native" else honest(pipeline, size)

    monkeypatch.setattr(speed, "_compile_blocks", compile_blocks)
    chosen = dict(prepare(pipeline, MODES["compiled"]))
    assert chosen["attention"] == Choice("native", "_native_math cannot be compiled: it is odd")
    assert chosen["blocks"].value == "compiled"


def test_gelu_in_a_product_that_cannot_be_compiled_is_given_up_before_compiling_is(
    make_pipeline, compiling, monkeypatch
):
    monkeypatch.setattr(WanFeedForward, "gelu_devices", ("cpu",))
    pipeline = make_pipeline()

    def refuse_products(graph, _):
        if any(node.target is torch._addmm_activation for node in graph.graph.nodes):
            raise NotImplementedError("such a product")
        return graph

    compiling(refuse_products)
    chosen = dict(prepare(pipeline, Speed(fuse=True, compile=True)))
    assert chosen["blocks"].value == "compiled"
    assert chosen["GELU"].value == "by itself"
    assert "in the product cannot be compiled" in chosen["GELU"].reason
    assert "such a product" in chosen["GELU"].reason
    assert not any(block.ffn.gelu_in_product for block in pipeline.transformer.blocks)


@pytest.mark.parametrize("faster", [True, False])
def test_eight_bit_layers_are_tried_compiled(make_pipeline, compiling, monkeypatch, faster):
    if not can_multiply():
        pytest.skip("this torch has no 8-bit products with a scale for each row on a CPU")
    pipeline, honest, seen = make_pipeline(), speed._Rehearsal.seconds, []
    pipeline.transformer.to(torch.bfloat16)
    compiling("aot_eager")

    def seconds(rehearsal) -> float:
        honest(rehearsal, 1)
        seen.append((type(pipeline.transformer.blocks[0].ffn.net[2]), graphs()))
        return 1.0 if faster and len(seen) > 1 else 2.0

    monkeypatch.setattr(speed._Rehearsal, "seconds", seconds)
    chosen = dict(prepare(pipeline, MODES["fast"]))
    assert [kind for kind, _ in seen] == [torch.nn.Linear, Float8Linear]
    assert 0 < seen[0][1] < seen[1][1]
    with torch.no_grad():
        assert pipeline.transformer.blocks[0].attn1.joint_projections() is not None
    assert chosen["linear layers"].value == ("float8" if faster else "as they are")
    before = graphs()
    with torch.compiler.set_stance("fail_on_recompile"):
        tell(pipeline)
    assert graphs() == before


def test_eight_bit_attention_is_tried_compiled_and_stories_go_on_with_it(trying, compiling, monkeypatch):
    honest, found = speed._Rehearsal.seconds, iter([2.0, 1.0])
    compiling("aot_eager")
    monkeypatch.setattr(speed._Rehearsal, "seconds", lambda self: honest(self, 1) * 0 + next(found))
    chosen = dict(prepare(trying, MODES["fast"]))
    assert chosen["attention to the cache"].value == "float8"
    assert trying.compiled_for == (16, 32, torch.float8_e4m3fn)
    before = graphs()
    with torch.compiler.set_stance("fail_on_recompile"):
        told = tell(trying)
        live(trying)
    assert graphs() == before
    assert told.isfinite().all()


def live(pipeline) -> None:
    """All that can happen to a story."""
    session = pipeline.open("a red fox", seed=1, rewind_chunks=1)
    for number in range(7):  # contexts of one to six captions
        list(session.shoot(f"runs {number}", chunks=1))
    list(session.shoot("sleeps", chunks=6))  # the window slides
    for chunk in session.shoot("a cat", chunks=5):
        if chunk.index in (1, 3):
            session.redirect("sleeps")
    session.extend(chunks=2)
    list(iter(session.next_chunk, None))
    session.cut("sleeps", chunks=4)
    for _ in range(3):
        session.next_chunk()
    session.rewind(1)
    session.redirect("runs")
    list(iter(session.next_chunk, None))
    session.retake(3)
    list(iter(session.next_chunk, None))
    session.reference(np.zeros((16, 32, 3), np.uint8))
    list(session.branch().shoot("runs", chunks=1))
    session.cut("runs", chunks=3)
    session.next_chunk()
    session.restore(session.snapshot())
    assert len(list(iter(session.next_chunk, None))) == 2


@pytest.mark.parametrize("cache", [None, torch.float8_e4m3fn])
def test_nothing_is_compiled_in_a_whole_storys_life(make_pipeline, compiling, cache):
    compiling("aot_eager")
    pipeline = make_pipeline()
    pipeline.cache_dtype = cache
    prepare(pipeline, Speed(fuse=True, compile=True))
    with torch.compiler.set_stance("fail_on_recompile"), warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # of what would run uncompiled
        live(pipeline)
    assert graphs() == 3  # contexts of one and of several captions, and chunks


def test_other_sizes_than_the_compiled_one_are_warned_of_once(make_pipeline, compiling):
    compiling("eager")
    pipeline = make_pipeline()
    prepare(pipeline, Speed(compile=True), 32, 32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipeline.open("a red fox", height=32, width=32)
    with pytest.warns(RuntimeWarning, match="compiled for 32x32 pixels .* pictures of 16x32 run uncompiled"):
        pipeline.open("a red fox")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipeline.open("a red fox")
    pipeline.cache_dtype = torch.float8_e4m3fn
    with pytest.warns(RuntimeWarning, match="run uncompiled"):
        pipeline.open("a red fox", height=32, width=32)


def test_layers_that_were_changed_after_compiling_are_warned_of_once(make_pipeline, compiling):
    peft = pytest.importorskip("peft")
    compiling("eager")
    pipeline = make_pipeline()
    prepare(pipeline, Speed(compile=True))
    pipeline.transformer.add_adapter(peft.LoraConfig(r=2, target_modules=["to_q"]))
    with pytest.warns(RuntimeWarning, match="layers were changed .* run uncompiled"):
        session = pipeline.open("a red fox")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(session.shoot("runs", chunks=1))
        pipeline.open("a red fox")


def test_compiled_blocks_give_the_same_are_compiled_once_and_leave_the_cache_where_it_is(make_pipeline):
    torch.compiler.reset()  # what others have compiled counts too
    pipeline, compiled = (make_pipeline(window_chunks=60) for _ in range(2))  # a cache larger than all else
    try:
        counters.clear()
        chosen, codes = run_and_get_code(prepare, compiled, MODES["compiled"])
        assert dict(chosen)["blocks"].value == "compiled"
        assert not counters["graph_break"]
        assert counters["stats"]["unique_graphs"]
        with torch.compiler.set_stance("fail_on_recompile"):
            told = tell(compiled)
            check_that_passes_change_only_their_slots(compiled)
        torch.testing.assert_close(told, tell(pipeline), atol=1e-4, rtol=1e-4)
        layer = compiled.new_cache(16, 32)._keys[0].numel()
        shapes = re.findall(r"empty_strided_cpu\(\(([\d, ]+)\)", " ".join(codes))
        made = [prod(int(side) for side in shape.split(",") if side.strip()) for shape in shapes]
        assert made
        assert max(made) < layer // 2, "a copy of a layer's keys or values"
    finally:
        torch.compiler.set_stance("default")
        torch._dynamo.reset()


@torch.no_grad()
def check_that_passes_change_only_their_slots(pipeline) -> None:
    """What was never written is no number, is never read, and stays as it is."""
    cache = pipeline.new_cache(16, 32)
    stored = (cache._keys, cache._values)
    for part in stored:
        part.fill_(nan)
    config, cell = pipeline.transformer.config, pipeline.latent_shape(16, 32)
    text = torch.zeros(1, 1, config["text_length"], config["text_dim"])
    rollout = pipeline.new_rollout(cache, pipeline.transformer.encode_captions(text), 1)
    rollout.fill_context(torch.randn(1, config["context_frames"], *cell), rollout.captions, None, 0)
    frames = config["chunk_frames"]
    for chunk in range(config["window_chunks"]):
        before, start = [part.clone() for part in stored], config["context_frames"] + chunk * frames
        rollout.add(rollout.denoise(lambda _: torch.randn(1, frames, *cell)))
        rollout.commit()
        for part, former in zip(stored, before, strict=True):
            slot = torch.zeros(part.shape[2], dtype=torch.bool)
            slot[start : start + frames] = True
            assert part[:, :, slot].isfinite().all()
            assert torch.equal(part[:, :, ~slot].nan_to_num(7.0), former[:, :, ~slot].nan_to_num(7.0))
            assert part[:, :, start + frames :].isnan().all()
