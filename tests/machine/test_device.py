from __future__ import annotations

import pytest
import torch

from shotstream.machine.device import choose_attention, choose_device, choose_dtype

pytestmark = pytest.mark.unit


def test_auto_takes_a_gpu_when_there_is_one():
    choice = choose_device()
    assert choice.value.type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert "CUDA" in choice.reason


@pytest.mark.parametrize("name", ["warp", "meta", "cuda:99"])
def test_a_device_that_is_not_here(name):
    with pytest.raises(ValueError, match=f"no device '{name}' here.*auto or cpu"):
        choose_device(name)


@pytest.mark.parametrize(
    ("flags", "dtype", "reason"),
    [
        ({"avx512_f": True}, torch.float32, "not native"),
        ({"avx512_bf16": True}, torch.bfloat16, "by AVX512-BF16"),
        ({"avx512_bf16": True, "amx_bf16": True}, torch.bfloat16, "by AMX"),
        ({"avx512_bf16": False}, torch.float32, "not native"),
    ],
)
def test_a_cpu_computes_in_bfloat16_if_it_has_instructions_for_it(monkeypatch, flags, dtype, reason):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags)
    choice = choose_dtype(torch.device("cpu"))
    assert choice.value == dtype
    assert reason in choice.reason


def test_a_cpu_attends_as_torch_does():
    assert choose_attention().value == "native"


def test_number_formats(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    cpu = torch.device("cpu")
    assert choose_dtype(cpu, stored_bytes=2**31).value == torch.float32
    big = choose_dtype(cpu, stored_bytes=14 * 2**30)
    assert big.value == torch.bfloat16
    assert "14.0 GiB" in big.reason
    assert choose_dtype(cpu, "float32", 14 * 2**30).value == torch.float32
    assert choose_dtype(cpu, "float16").value == torch.float16
    with pytest.raises(ValueError, match="no number format 'int4' here; give auto, float32, bfloat16"):
        choose_dtype(cpu, "int4")
