from __future__ import annotations

import pytest
import torch

from shotstream.models.device import (
    choose_attention,
    choose_device,
    choose_dtype,
    choose_text_place,
    free_memory,
)

pytestmark = pytest.mark.cpu


def test_auto_takes_a_gpu_when_there_is_one():
    choice = choose_device()
    assert choice.value.type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert "CUDA" in choice.reason


@pytest.mark.parametrize("name", ["warp", "meta", "cuda:99"])
def test_a_device_that_is_not_here(name):
    with pytest.raises(ValueError, match=f"no device '{name}' here.*auto or cpu"):
        choose_device(name)


def test_the_cpu_computes_in_float32_with_torch_attention():
    device = choose_device("cpu").value
    assert choose_dtype(device).value == torch.float32
    assert choose_attention().value == "native"


def test_number_formats():
    cpu = torch.device("cpu")
    assert choose_dtype(cpu, stored_bytes=2**31).value == torch.float32
    big = choose_dtype(cpu, stored_bytes=14 * 2**30)
    assert big.value == torch.bfloat16
    assert "14.0 GiB" in big.reason
    assert choose_dtype(cpu, "float32", 14 * 2**30).value == torch.float32
    assert choose_dtype(cpu, "float16").value == torch.float16
    with pytest.raises(ValueError, match="no number format 'int4' here; give auto, float32, bfloat16"):
        choose_dtype(cpu, "int4")


def test_a_text_encoder_is_released_where_the_model_would_take_most_of_the_memory():
    cpu = torch.device("cpu")
    free = free_memory(cpu)
    assert free is None or 2**20 < free < 2**50
    assert choose_text_place(cpu, "auto", 2**20).value == "resident"
    released = choose_text_place(cpu, "auto", 2**60)
    assert released.value == ("resident" if free is None else "release")
    assert choose_text_place(cpu, "int8", 2**60).value == "int8"
    with pytest.raises(ValueError, match="cannot live in 'gpu'"):
        choose_text_place(cpu, "gpu", 1)
