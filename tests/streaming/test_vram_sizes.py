"""The memory plan, held against what real tensors take."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

import pytest
import torch
from diffusers import AutoencoderKLWan
from torch._C._profiler import _EventType
from torch.profiler import ProfilerActivity, profile
from transformers import UMT5Config, UMT5EncoderModel

from shotstream.machine.tensor_memory import TensorMemoryTracker, peak_bytes
from shotstream.models.autoencoder_taew import TinyWanDecoder
from shotstream.models.autoencoder_wan import WanVideoAutoencoder
from shotstream.models.transformer import CausalWanTransformer3DModel
from shotstream.streaming.vram_plan import RESERVED_BYTES, VRAM_PLANS, VramPlan, recommend, shrink
from shotstream.streaming.vram_sizes import Networks, fake_tensors, measure, measure_networks

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def wan():
    """Wan 2.1 1.3B at its own size."""
    return measure("wan-1.3b")[0]


def small_networks() -> Networks:
    """Networks like Wan's, with two blocks, at 32x48 in bfloat16."""
    text = {"vocab_size": 50, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
    torch.set_default_dtype(torch.bfloat16)
    try:
        return Networks(
            CausalWanTransformer3DModel(
                num_attention_heads=4,
                attention_head_dim=32,
                num_layers=2,
                text_dim=32,
                text_length=16,
                ffn_dim=512,
                window_chunks=2,
            ),
            AutoencoderKLWan(base_dim=8),
            UMT5EncoderModel(UMT5Config(**text, feed_forward_proj="gated-gelu")),
            TinyWanDecoder(widths=(32, 16, 8, 8)),
            height=32,
            width=48,
        )
    finally:
        torch.set_default_dtype(torch.float32)


def allocated_peak(work) -> int:
    """What torch's own allocator reports, with what operations take for themselves."""
    with torch.no_grad():
        work()  # what is made once and kept
    with torch.no_grad(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        work()
    assert recorded.profiler is not None
    events = list(recorded.profiler.kineto_results.experimental_event_tree())
    changes = []
    while events:
        event = events.pop()
        events += event.children
        if event.typed[0] == _EventType.Allocation:
            changes.append((event.start_time_ns, event.typed[1].alloc_size))
    return max(accumulate(change for _, change in sorted(changes)))


def test_the_tracker_counts_what_lives():
    kept = torch.zeros(100)
    with TensorMemoryTracker() as counted:
        made = kept + 1  # 400 bytes
        assert counted.live == 400
        view = made[10:].unflatten(0, (-1, 10))  # no bytes of its own
        kept.add_(1)
        del made
        assert counted.live == 400
        twice = torch.cat([view, view])  # 720 bytes
        assert counted.live == 400 + 720
        del view
        assert counted.live == 720
    assert counted.peak == 400 + 720
    assert twice.shape == (18, 10)


def test_fake_tensors_take_as_many_bytes_as_real_ones():
    real = vars(measure_networks(small_networks()))
    with fake_tensors():
        fake = vars(measure_networks(small_networks()))
    assert fake == pytest.approx(real, rel=0.02)  # transformers leaves a mask out where it can read it


def test_what_is_counted_is_what_is_allocated():
    """Of a pass to 1 %, of decoding to 30 %: here convolutions copy what they read; at Wan's width 6 %.

    Without AVX-512 torch's 3D convolutions unfold all they read, which nobody counts: there decoding only has
    to take no less than was counted.
    """
    networks = small_networks()
    counted, transformer = measure_networks(networks), networks.transformer.float()
    cache = transformer.new_cache(batch=1, tokens_per_frame=6)
    latents = torch.zeros(1, 6, 16, 4, 6)
    with torch.no_grad():
        captions = transformer.encode_captions(torch.zeros(1, 1, 16, 32))

    def context_pass() -> None:
        cache.open_shot()
        cache.fill_context(6)
        transformer(latents, torch.zeros(1), captions, shot_index=0, cache=cache)

    def decode() -> None:
        decoder = WanVideoAutoencoder(networks.vae).open_decoder()
        for _ in range(2):
            decoder.decode(latents[:, :3].bfloat16())

    assert peak_bytes(context_pass) == pytest.approx(allocated_peak(context_pass), rel=0.01)
    allocated, expected = allocated_peak(decode), counted.decoding + counted.decoder_state
    assert expected <= allocated
    if torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        assert allocated / 1.3 <= expected


def test_wan_s_weights_take_what_its_files_take(wan):
    """VramSizes of the published files, two of them in float32; a kilobyte per tensor is names."""
    vae_file, text_file = 507_609_880, 11_361_920_418
    assert 2 * wan.vae == pytest.approx(vae_file, rel=1e-3)
    assert wan.text_encoder == pytest.approx(text_file, rel=1e-3)
    assert 2 * 1_418_996_800 < wan.transformer < 1.02 * 2 * 1_418_996_800  # some stay in float32
    assert wan.text_encoder_int8 < 0.6 * wan.text_encoder


def test_wan_s_cache_is_what_27_frames_take(wan):
    frames, tokens, width, layers = 6 + 7 * 3, 1560, 1536, 30
    assert wan.kv_cache == 2 * layers * frames * tokens * width * 2
    assert 2 * wan.kv_cache_float8 == wan.kv_cache


def test_a_pass_makes_no_table_of_who_attends_to_whom(wan):
    assert wan.passes < 2**30
    assert wan.passes_float8 < 2**30


def test_a_compiled_decoder_is_counted_with_a_whole_chunk_at_once(wan):
    compiled, plain = VramPlan("release"), VramPlan("release", mode="plain")
    assert 2 * wan.decoding < wan.decoding_at_once
    assert wan.device_bytes(compiled) - wan.device_bytes(plain) == wan.decoding_at_once - wan.decoding
    assert plain.options() == "--text release --mode plain"
    larger = replace(wan, decoding_at_once=2 * wan.decoding_at_once)
    for way in (plain, VramPlan("release", offload=True)):
        assert larger.device_bytes(way) == wan.device_bytes(way)
    assert larger.machine_bytes(compiled) == wan.machine_bytes(compiled)


def test_ways_are_ordered_and_recommended_by_what_fits(wan):
    peaks = [wan.device_bytes(way) for way in VRAM_PLANS if way.decoder == "full"]
    assert peaks[0] == max(peaks)
    assert peaks[-1] == min(peaks)
    for way in VRAM_PLANS:
        chosen = recommend(wan, wan.device_bytes(way) + RESERVED_BYTES)
        assert chosen is not None
        assert VRAM_PLANS.index(chosen) <= VRAM_PLANS.index(way)
    assert recommend(wan, min(peaks) + RESERVED_BYTES - 1) is None
    assert VramPlan("release", kv_cache="float8").options() == "--text release --kv-cache float8"


def test_a_session_that_can_go_back_keeps_states_of_the_decoder(wan):
    assert wan.decoder_state > 2**29, "a gigabyte or so: nothing that can be left out of a plan"
    plain, back = VramPlan(), VramPlan(rewind_chunks=4)
    assert wan.device_bytes(back) == wan.device_bytes(plain) + 4 * wan.decoder_state


def test_a_still_is_encoded_beside_a_pass_unless_networks_take_turns(wan):
    larger = replace(wan, still=wan.still + 1000)
    beside, in_turns = VramPlan("release"), VramPlan("release", offload=True)
    assert larger.device_bytes(beside) == wan.device_bytes(beside) + 1000
    assert larger.device_bytes(in_turns) == wan.device_bytes(in_turns)


def test_pictures_are_shrunk_until_they_fit():
    thriftiest = VRAM_PLANS[-1]
    sizes, height, width = measure("mini", 256, 384)
    budget = RESERVED_BYTES + sizes.device_bytes(thriftiest) // 2
    smaller = shrink(sizes, height, width, budget)
    assert smaller is not None
    assert RESERVED_BYTES + measure("mini", *smaller)[0].device_bytes(thriftiest) <= budget
    assert 0.5 < smaller[0] / height < 0.75
    assert shrink(sizes, height, width, RESERVED_BYTES) is None
