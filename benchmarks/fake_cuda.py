"""Makes torch believe in an H100 that is not there, far enough for Inductor to write and build its kernels.

Nothing can run on it. Tensors must be fake (`torch._subclasses.FakeTensorMode`). It needs a torch that was
built for CUDA, with its Triton; it changes torch for the whole process, so use one of its own.
"""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch._dynamo.device_interface import CudaInterface
from torch._subclasses import fake_tensor

COMPUTE_CAPABILITY = (9, 0)
PROPERTIES = SimpleNamespace(
    name="NVIDIA H100 80GB HBM3",
    major=COMPUTE_CAPABILITY[0],
    minor=COMPUTE_CAPABILITY[1],
    total_memory=80 * 2**30,
    multi_processor_count=132,
    max_threads_per_multi_processor=2048,
    max_threads_per_block=1024,
    warp_size=32,
    regs_per_multiprocessor=65536,
    shared_memory_per_block=49152,
    shared_memory_per_block_optin=232448,
    shared_memory_per_multiprocessor=233472,
    L2_cache_size=50 * 2**20,
    is_integrated=0,
    is_multi_gpu_board=0,
    gcnArchName="",
    uuid="0",
    pci_bus_id=0,
    pci_device_id=0,
    pci_domain_id=0,
)
"""What torch would be told by the driver."""


def _always(value: Any) -> Any:
    return lambda *_, **__: value


def install() -> None:
    """Pretend from now on that the card is here.

    Raises:
        RuntimeError: If this torch cannot write code for CUDA.
    """
    if torch.version.cuda is None:
        raise RuntimeError(
            f"torch {torch.__version__} was not built for CUDA and has no Triton; "
            "make an environment with torch's CUDA wheel and run this there"
        )
    _pretend_in_torch()
    _pretend_in_inductor()
    _pretend_in_triton()


def _pretend_in_torch() -> None:
    cuda, stream = torch.cuda, SimpleNamespace(cuda_stream=0, device=torch.device("cuda", 0), stream_id=0)
    stream.device_index, stream.device_type = 0, 1
    facts = {
        "is_available": True,
        "is_initialized": True,
        "is_bf16_supported": True,
        "device_count": 1,
        "current_device": 0,
        "get_device_properties": PROPERTIES,
        "get_device_capability": COMPUTE_CAPABILITY,
        "get_device_name": PROPERTIES.name,
        "current_stream": stream,
        "_lazy_init": None,
        "synchronize": None,
        "set_device": None,
        "_exchange_device": 0,
        "_maybe_exchange_device": 0,
    }
    for name, value in facts.items():
        setattr(cuda, name, _always(value))
    for name in ("getDevice", "setDevice", "exchangeDevice", "maybeExchangeDevice", "getCurrentRawStream"):
        setattr(torch._C, f"_cuda_{name}", _always(0))
    for module in (cuda, importlib.import_module("torch.cuda.random")):
        module.get_rng_state = lambda *_, **__: torch.zeros(16, dtype=torch.uint8)
        module.set_rng_state = _always(None)
    fake_tensor.init_gpu_context = _always(None)
    torch._C._ensureCUDADeviceGuardSet()
    torch._C._select_conv_backend = _always(torch._C._ConvBackend.Cudnn)
    torch.nn.functional.scaled_dot_product_attention = _attend_by_cudnn


def _attend_by_cudnn(query: Tensor, key: Tensor, value: Tensor, **_: Any) -> Tensor:
    """What torch runs on an H100 in half precision; torch would ask the card for it."""
    attend = torch.ops.aten._scaled_dot_product_cudnn_attention
    return attend(query, key, value, None, False, 0.0, False, False)[0]


def _pretend_in_inductor() -> None:
    facts = {
        "get_device_properties": PROPERTIES,
        "current_device": 0,
        "is_available": True,
        "get_compute_capability": 90,
        "is_triton_capable": True,
        "raise_if_triton_unavailable": None,
        "device_count": 1,
        "synchronize": None,
        "set_device": None,
    }
    for name, value in facts.items():
        setattr(CudaInterface, name, staticmethod(_always(value)))
        if hasattr(CudaInterface.Worker, name):
            setattr(CudaInterface.Worker, name, staticmethod(_always(value)))
    passes = "torch._inductor.fx_passes"
    importlib.import_module(f"{passes}.fuse_attention")._sfdp_init = _always(None)  # traces on the device
    padding = importlib.import_module(f"{passes}.pad_mm")
    padding._pad_mm_init, padding.should_pad_bench = _always(None), _always(False)


def _pretend_in_triton() -> None:
    from triton.backends.compiler import GPUTarget
    from triton.runtime import driver

    major, minor = COMPUTE_CAPABILITY
    facts = {
        "get_current_target": GPUTarget("cuda", 10 * major + minor, PROPERTIES.warp_size),
        "get_current_device": 0,
        "get_current_stream": 0,
        "get_active_torch_device": torch.device("cuda", 0),
        "get_device_interface": torch.cuda,
    }
    importlib.import_module("torch._inductor.runtime.triton_helpers").set_driver_to_gpu = _always(None)
    driver.set_active(SimpleNamespace(**{name: _always(value) for name, value in facts.items()}))
