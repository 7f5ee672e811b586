from __future__ import annotations

import pytest
import torch

from shotstream.models.device import choose_attention, choose_device, choose_dtype

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
